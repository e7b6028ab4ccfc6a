import type { FieldSchema, MetadataSet } from '../metadata/types.ts';
import { storedType } from './field-types.ts';

const known = new WeakMap<MetadataSet, ReadonlySet<string>>();

/**
 * The fields that a view is sorted by first, as `Object.field`: their order has an index, so that a page of the view is read along it
 * however many records there are. Without one PostgreSQL reads and sorts them all.
 */
export function viewOrders(set: MetadataSet): ReadonlySet<string> {
  const found = known.get(set);
  if (found !== undefined) return found;
  const made = new Set([...set.views.values()].flatMap(({ object, sort }) => (sort === undefined ? [] : [`${object}.${leadOf(sort)}`])));
  known.set(set, made);
  return made;
}

function leadOf(sort: string): string {
  return (sort.split(',')[0] ?? '').trim().replace(/^-/, '');
}

/** Types of columns that lists can be sorted by as they are. */
const ORDERED: ReadonlySet<string> = new Set(['numeric', 'integer', 'boolean', 'date', 'timestamptz']);

/** PostgreSQL keeps 2,700 bytes of an index entry, and a character takes up to four or, as a digit in a sort key, six and a half. */
const LONGEST_IN_INDEX = 400;

/**
 * True for a field whose order may have an index because a view asks for it: a list can be sorted by it, and whatever is written fits the index. A view
 * must not have long texts refused; one that is sorted by such a field sorts as it is read.
 */
export function mayBeOrdered(schema: FieldSchema): boolean {
  const type = storedType(schema);
  if (type === null || type.column === null || schema['x-rollup']?.hot === true) return false;
  return type.sortable ? (schema.maxLength ?? type.maxLength ?? Infinity) <= LONGEST_IN_INDEX : ORDERED.has(type.column.cast);
}
