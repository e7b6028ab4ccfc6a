import { sortKey } from '../expression/sort-key.ts';
import { dayInZone, instantInZone } from '../expression/zones.ts';
import { FIELD_TYPES, fieldType, isFieldKind } from '../model/field-types.ts';
import type { FieldKind, FieldModel } from '../model/types.ts';
import { compileValidate } from '../model/validate.ts';
import type { FillSource } from './types.ts';

/** What a value becomes in another type; null when it does not convert. */
export interface Converted {
  readonly value: unknown;
}

/** Turns what the driver answers for a field of one type into the stored form of another. */
export interface Converter {
  /** @param object the object column's value, for a polymorphic reference */
  convert(raw: unknown, object: unknown): Converted | null;
  /** The columns of the target, ready for jsonb: value, sort key, object. */
  columns(converted: unknown): { readonly value: unknown; readonly sort: string | null; readonly object: string | null };
}

/** Makes the converter for one field. `zone` says which day an instant falls on. */
export function makeConverter(source: FillSource, target: FieldModel, zone: string): Converter {
  const from = kindOfStored(source);
  const field: FieldModel = { ...target, required: false, name: 'value' };
  const validate = compileValidate(new Map([['value', field]]));
  const type = fieldType(field);
  return {
    convert(raw, object) {
      if (raw === null || raw === undefined) return { value: null };
      for (const candidate of candidates(from, raw, object, source.refersTo, target, zone)) {
        const value = type.parse(candidate, field) ?? null;
        if (value === null) return { value: null };
        if (validate({ value }).length === 0) return { value };
      }
      return null;
    },
    columns(converted) {
      if (target.objectColumn === null) return { value: converted ?? null, sort: typeof converted === 'string' ? sortKey(converted) : null, object: null };
      const { id, object } = targetParts(converted);
      return { value: id, sort: null, object };
    },
  };
}

function targetParts(value: unknown): { readonly id: string | null; readonly object: string | null } {
  if (typeof value !== 'object' || value === null || !('id' in value) || !('object' in value)) return { id: null, object: null };
  return typeof value.id === 'string' && typeof value.object === 'string' ? { id: value.id, object: value.object } : { id: null, object: null };
}

/** Ways to read a value as the new type, the best first: as it is, by its meaning, as the text that files show. */
function candidates(from: FieldKind, raw: unknown, object: unknown, refersTo: string | null, target: FieldModel, zone: string): readonly unknown[] {
  const type = FIELD_TYPES[from];
  if (from === 'polymorphic') {
    if (target.objectColumn !== null) return [{ object, id: raw }];
    return target.ref === null || target.ref.to[0] === object ? [raw] : [];
  }
  if (target.objectColumn !== null) return refersTo === null ? [] : [{ object: refersTo, id: raw }];
  const value = type.format(raw);
  const day = from === 'date' && target.valueKind === 'instant' && typeof value === 'string' ? instantInZone(value, '00:00', zone) : null;
  const local = from === 'instant' && target.valueKind === 'date' && typeof value === 'string' ? dayInZone(value, zone) : null;
  return [...(day === null ? [] : [day]), ...(local === null ? [] : [local]), value, type.csv(value)];
}

const BY_CAST: Readonly<Record<string, FieldKind>> = {
  numeric: 'decimal',
  boolean: 'boolean',
  date: 'date',
  timestamptz: 'instant',
  'text[]': 'textList',
  jsonb: 'json',
  uuid: 'reference',
};

/** Kind of what is stored; for names that an earlier release recorded, what its column tells. */
export function kindOfStored(stored: { readonly shape: string | null; readonly valueKind: string | null }): FieldKind {
  const kind = stored.valueKind?.split(':').at(-1) ?? '';
  if (isFieldKind(kind)) return kind;
  const shape = stored.shape ?? 'text';
  if (shape === 'uuid+object') return 'polymorphic';
  if (shape === 'text+sort') return 'text';
  return BY_CAST[castOfShape(shape)] ?? 'longText';
}

/** The cast at the beginning of a shape: `uuid` of `uuid>k3v9q2m4x7ab`. */
export function castOfShape(shape: string): string {
  return /^[^+>]+/.exec(shape)?.[0] ?? shape;
}
