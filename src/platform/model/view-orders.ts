import type { MetadataSet } from '../metadata/types.ts';

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
