import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { isUuid } from '../ids.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { idsByKey, keyText } from '../query/by-key.ts';
import type { RowMapper } from './row-mapper.ts';

/** A row that the map could read. */
export interface ReadRow {
  readonly line: number;
  /** The record's id where the file gives one. */
  readonly id: string | null;
  readonly values: Readonly<Record<string, unknown>>;
}

/** A row that cannot be imported. */
export interface Rejection {
  readonly line: number;
  readonly column: string | null;
  readonly reason: string;
}

/** A reference whose cells hold a key of the other object (a number, a code) in place of its id. */
interface Lookup {
  readonly field: FieldModel;
  readonly target: ObjectModel;
  readonly key: FieldModel;
}

/** Unique fields whose values are text, and so told from an id. */
function keyOf(object: ObjectModel): FieldModel | null {
  const keys = [...object.fields.values()].filter((field) => field.unique && field.column !== null && FIELD_TYPES[field.kind].column?.cast === 'text');
  return keys.length === 1 ? (keys[0] ?? null) : null;
}

function lookupsOf(context: CallContext, object: string, fieldNames: Iterable<string>): readonly Lookup[] {
  const fields = context.model.objects.get(object)?.fields;
  return [...fieldNames].flatMap((name) => {
    const field = fields?.get(name);
    const target = field?.kind === 'reference' ? context.model.objects.get(field.ref?.to[0] ?? '') : undefined;
    const key = target === undefined ? null : keyOf(target);
    return field === undefined || target === undefined || key === null ? [] : [{ field, target, key }];
  });
}

/** True when rows may point at records that rows before them make: those must be written first. */
export function refersToItself(context: CallContext, object: string, mapper: RowMapper): boolean {
  return lookupsOf(context, object, mapper.fields).some(({ target }) => target.name === object);
}

/** The key that a cell holds; null when it is empty or already an id. */
function keyIn(lookup: Lookup, row: ReadRow): string | null {
  const value = row.values[lookup.field.name];
  if (typeof value !== 'string' || isUuid(value)) return null;
  const parsed: unknown = FIELD_TYPES[lookup.key.kind].parse(value, lookup.key);
  return typeof parsed === 'string' && parsed !== '' ? parsed : null;
}

/**
 * Puts ids where references were given by the unique field of the record they mean: one statement for each reference and
 * chunk. A key that no record has rejects its row, or leaves the field empty where the map says so. Reads only.
 */
export async function resolveReferences(
  db: Knex,
  context: CallContext,
  object: string,
  mapper: RowMapper,
  given: readonly ReadRow[],
): Promise<{ readonly rows: readonly ReadRow[]; readonly rejected: readonly Rejection[] }> {
  let rows = given;
  const rejected: Rejection[] = [];
  for (const lookup of lookupsOf(context, object, mapper.fields)) {
    const { field, target, key } = lookup;
    const wanted = [...new Set(rows.map((row) => keyIn(lookup, row)).filter((value) => value !== null))];
    if (wanted.length === 0) continue;
    const ids = await idsByKey(
      db,
      context,
      target.name,
      [key.name],
      wanted.map((value) => [value]),
    );
    rows = rows.flatMap((row) => {
      const value = keyIn(lookup, row);
      if (value === null) return [row];
      const id = ids.get(keyText([value])) ?? null;
      if (id === null && !mapper.optionalReferences.has(field.name)) {
        const reason = `${field.label}: there is no ${target.label} with the ${key.label} "${value}".`;
        rejected.push({ line: row.line, reason, column: mapper.columnOf(field.name) });
        return [];
      }
      return [{ ...row, values: { ...row.values, [field.name]: id } }];
    });
  }
  return { rows, rejected };
}
