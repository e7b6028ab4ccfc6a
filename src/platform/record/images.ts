import { sortKey } from '../expression/sort-key.ts';
import type { ExprValue, Row } from '../expression/types.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import type { Image } from './batch.ts';

/** A stored field with its columns: the value's own first, then the target object's of a polymorphic reference. */
export interface StoredColumns {
  readonly field: FieldModel;
  readonly columns: readonly string[];
}

const stored = new WeakMap<ObjectModel, readonly StoredColumns[]>();
const polymorphic = new WeakMap<ObjectModel, readonly string[]>();

/** Fields that have columns, with those that are read. */
export function storedFields(object: ObjectModel): readonly StoredColumns[] {
  const known = stored.get(object);
  if (known !== undefined) return known;
  const made = [...object.fields.values()].flatMap((field) => {
    if (field.column === null) return [];
    return [{ field, columns: field.objectColumn === null ? [field.column] : [field.column, field.objectColumn] }];
  });
  stored.set(object, made);
  return made;
}

/** A row of the database as an image in the API's form. */
export function imageOf(object: ObjectModel, row: Readonly<Record<string, unknown>>): Image {
  const image: Record<string, unknown> = {};
  for (const { field, columns } of storedFields(object)) {
    const value = row[columns[0] ?? ''] ?? null;
    const target = columns[1];
    image[field.name] = target === undefined ? fieldType(field).format(value) : value === null ? null : { object: row[target], id: value };
  }
  return image;
}

const arrayReaders = new WeakMap<ObjectModel, (row: readonly unknown[]) => Image>();

/** Makes the function that turns a row, as an array in the order of `storedFields`, into an image. */
export function imageReader(object: ObjectModel): (row: readonly unknown[]) => Image {
  const known = arrayReaders.get(object);
  if (known !== undefined) return known;
  let at = 0;
  const readers = storedFields(object).map(({ field, columns }) => {
    const reader = { name: field.name, at, isPointer: columns.length === 2, format: fieldType(field).format };
    at += columns.length;
    return reader;
  });
  const made = (row: readonly unknown[]): Image => {
    const image: Record<string, unknown> = {};
    for (const reader of readers) {
      const value = row[reader.at] ?? null;
      image[reader.name] = !reader.isPointer ? reader.format(value) : value === null ? null : { object: row[reader.at + 1], id: value };
    }
    return image;
  };
  arrayReaders.set(object, made);
  return made;
}

/** Physical columns of a set of fields, with sort keys and targets. */
export function physicalColumns(fields: readonly FieldModel[]): readonly string[] {
  return fields.flatMap((field) => [field.column, field.sortColumn, field.objectColumn].filter((column) => column !== null));
}

/** The fields of an image by physical column, as jsonb takes them. */
export function physicalRow(image: Image, fields: readonly FieldModel[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const field of fields) {
    if (field.column === null) continue;
    const value = image[field.name] ?? null;
    if (field.objectColumn !== null) {
      const target = targetOf(field, value);
      row[field.column] = target?.id ?? null;
      row[field.objectColumn] = target?.object ?? null;
    } else row[field.column] = value;
    if (field.sortColumn !== null) row[field.sortColumn] = typeof value === 'string' ? sortKey(value) : null;
  }
  return row;
}

export interface Target {
  readonly object: string;
  readonly id: string;
}

/** What a reference's value points at, or null when it is empty or not understood. */
export function targetOf(field: FieldModel, value: unknown): Target | null {
  if (field.ref === null) return null;
  if (typeof value === 'string') {
    const object = field.ref.to[0];
    return object === undefined || field.objectColumn !== null ? null : { object, id: value };
  }
  if (typeof value !== 'object' || value === null || !('object' in value) || !('id' in value)) return null;
  return typeof value.object === 'string' && typeof value.id === 'string' ? { object: value.object, id: value.id } : null;
}

/** An image as expressions see it: a polymorphic reference is its id. */
export function rowOf(object: ObjectModel, image: Image): Row {
  const names = polymorphic.get(object) ?? [...object.fields.values()].filter((field) => field.objectColumn !== null).map((field) => field.name);
  polymorphic.set(object, names);
  if (names.length === 0) return image;
  const row: Record<string, unknown> = { ...image };
  for (const name of names) {
    const value = image[name];
    if (typeof value === 'object' && value !== null && 'id' in value) row[name] = value.id;
  }
  return row;
}

/** Coerces input to the stored form; empty text and empty lists become null. What is not understood stays, for validation to name. */
export function parseValue(field: FieldModel, input: unknown): unknown {
  const value = fieldType(field).parse(input, field) ?? null;
  return value === '' || (Array.isArray(value) && value.length === 0) ? null : value;
}

/** The value of an expression as input for a field: a record stands for its id. */
export function toInput(field: FieldModel, value: ExprValue): unknown {
  return field.ref !== null && typeof value === 'object' && value !== null && 'id' in value && !('object' in value) ? value.id : value;
}

/** Equality of stored values; members of objects are compared whatever their order, for jsonb keeps none. */
export function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    return Array.isArray(left) && Array.isArray(right) && left.length === right.length && left.every((item, index) => isSame(item, right[index]));
  }
  const [before, after] = [new Map(Object.entries(left)), new Map(Object.entries(right))];
  return before.size === after.size && [...before].every(([name, value]) => after.has(name) && isSame(value, after.get(name)));
}
