import type { FieldSchema, MetadataSet, ObjectFile } from '../metadata/types.ts';
import { fieldKind } from './field-types.ts';

/**
 * Where the fields of a wide object stand (`architecture.md`, section 3): a row holds about 450 filled columns, so a table takes 400
 * at the most and further fields go to side tables with the same id. The column's own name says which: `area_x1y2` stands in the object's
 * table, `area_x1y2$1` in its first side table, which bears the table's name with the same ending.
 */

/** Beyond this many columns a filled row no longer fits. */
export const MOST_COLUMNS = 400;
/** Fields that may stand aside do so from here on, so that there is room for those that may not. */
export const MOST_MOVABLE = 320;
/**
 * A side table takes no more than this. A row has 8,160 bytes, of which up to 216 are the header; texts of up to 23 bytes stay in it, with one more
 * for their length (only longer ones are put elsewhere): 329 of them and the id always fit, whatever people write.
 */
export const MOST_ASIDE = 330;
/** Columns of every object's table that belong to no field. */
export const SYSTEM_COLUMNS = 9;
export const MOST_STORED_FIELDS = 1_500;
/** A statement answers at most 1,664 values of a row: those of all fields, computed ones among them, and some to sort and page by. */
export const MOST_VALUES = 1_640;

const SIDE = /\$([1-9]\d*)(?:_s)?$/;

/** The side table in which a column stands, counted from one; 0 for the object's own table. */
export function sideOf(column: string): number {
  return Number(SIDE.exec(column)?.[1] ?? 0);
}

/** The name that a column bears in a side table; its own in the object's table. */
export function onSide(column: string, side: number): string {
  return side === 0 ? column : `${column}$${String(side)}`;
}

/** The table in which a column of the object with the given table stands. */
export function tableOfColumn(table: string, column: string): string {
  return onSide(table, sideOf(column));
}

/** The object's own table, of that or of one of its side tables. */
export function tableOfObject(table: string): string {
  return table.replace(SIDE, '');
}

interface StoredObject {
  readonly table: string;
  readonly fields: ReadonlyMap<string, { readonly column: string | null }>;
}

const known = new WeakMap<StoredObject, readonly string[]>();

/** The side tables in which fields of an object stand, in their order; none for nearly all objects. */
export function sideTables(object: StoredObject): readonly string[] {
  const found = known.get(object);
  if (found !== undefined) return found;
  const sides = new Set([...object.fields.values()].flatMap((field) => (field.column === null ? [] : [sideOf(field.column)])));
  const made = [...sides]
    .filter((side) => side > 0)
    .sort((left, right) => left - right)
    .map((side) => onSide(object.table, side));
  known.set(object, made);
  return made;
}

const BOUND_KINDS: ReadonlySet<string> = new Set(['reference', 'polymorphic', 'file', 'sequence', 'formula', 'rollup']);

/** True for a field of an object of a set. */
export type FieldTest = (file: ObjectFile, objectName: string, fieldName: string, field: FieldSchema) => boolean;

/**
 * Which fields must stand in the object's own table: those that a constraint or a statement of their own needs there (references,
 * files, numbers, computed ones, required, unique and searched ones, states of paths, days of effective-dated facts), and those
 * that a roll-up, a duplicate rule or the display name mentions.
 */
export function boundFields(set: MetadataSet): FieldTest {
  const mentioned = mentionedFields(set);
  const states = new Set([...set.paths.values()].map((path) => `${path.object}.${path.field}`));
  return (file, objectName, fieldName, field) =>
    BOUND_KINDS.has(fieldKind(field)) ||
    field['x-unique'] === true ||
    field['x-search'] === true ||
    file.required?.includes(fieldName) === true ||
    states.has(`${objectName}.${fieldName}`) ||
    mentioned.has(`${objectName}.${fieldName}`);
}

/** What names, keys, days in force, roll-ups and duplicate rules mention, as `Object.field`, each of the object that it is about. */
function mentionedFields(set: MetadataSet): ReadonlySet<string> {
  const found = new Set<string>();
  const add = (object: string, content: unknown): void => {
    for (const word of wordsOf(content)) found.add(`${object}.${word}`);
  };
  for (const [name, file] of set.objects) {
    const texts = [file['x-object'].name, ...(file['x-object'].search ?? [])];
    add(name, [texts, file['x-unique'] ?? [], file['x-effective'] ?? null]);
    // What stands behind a reference may be a field of any object.
    const behind = texts.flatMap((text) => [...text.matchAll(/\.\s*(\w+)/g)].map(([, word]) => word));
    for (const other of set.objects.keys()) add(other, behind);
    for (const { 'x-rollup': rollup } of Object.values(file.properties))
      if (rollup !== undefined) for (const child of pointingAt(set, name, rollup.relation)) add(child, [rollup.value, rollup.filter, rollup.orderBy]);
  }
  for (const { object, rules } of set.matching.values()) add(object, rules);
  return found;
}

/** The objects whose references make a list of this name. */
function pointingAt(set: MetadataSet, object: string, relation: string): readonly string[] {
  const isOne = ({ 'x-ref': ref }: FieldSchema): boolean => ref?.as === relation && [ref.to].flat().includes(object);
  return [...set.objects].filter(([, file]) => Object.values(file.properties).some(isOne)).map(([name]) => name);
}

/** Which fields are given a place in the object's own table before others: those that must stand there, indexed ones, and those of formulas. */
export function fieldsPlacedFirst(set: MetadataSet): FieldTest {
  const isBound = boundFields(set);
  const mentioned = wordsOf([...set.objects.values()].flatMap((file) => Object.values(file.properties).map((field) => field['x-formula'] ?? null)));
  return (file, objectName, fieldName, field) => field['x-index'] === true || mentioned.has(fieldName) || isBound(file, objectName, fieldName, field);
}

function wordsOf(content: unknown): ReadonlySet<string> {
  return new Set(JSON.stringify(content).match(/[A-Za-z_][A-Za-z0-9_]*/g) ?? []);
}
