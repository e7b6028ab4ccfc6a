import { FIELD_TYPES } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import type { Typed } from './types.ts';

export type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

/** What was typed, to the value that would be stored; a complaint in plain words when it cannot be. */
export function parseTyped(object: ObjectModel, field: FieldModel, typed: Typed): Parsed {
  const value = FIELD_TYPES[field.kind].parse(typed, field);
  if (value === null || value === undefined) return { ok: true, value: null };
  const complaint = object.validate({ [field.name]: value }).find((error) => error.pointer === `/${field.name}` || error.pointer.startsWith(`/${field.name}/`));
  if (complaint === undefined) return { ok: true, value };
  return { ok: false, message: complaint.fix === undefined ? complaint.detail : `${complaint.detail} ${complaint.fix}` };
}

/** A stored value as a person would have typed it. */
export function typeValue(field: FieldModel, value: unknown): Typed {
  if (Array.isArray(value)) return value.map(String);
  return FIELD_TYPES[field.kind].csv(value);
}
