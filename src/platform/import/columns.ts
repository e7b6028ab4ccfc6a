import { createHash } from 'node:crypto';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import { nearestName } from '../expression/suggest.ts';
import { suggestion } from '../metadata/suggest.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { cellText, type RowMapper } from './row-mapper.ts';
import type { ColumnSetting } from './types.ts';

function objectOf(context: CallContext, name: string): ObjectModel {
  const object = context.model.objects.get(name);
  if (object === undefined) throw new AppError('not_found', `There is no object "${name}".`);
  return object;
}

/** A heading without case, blanks and signs: `Practice ZIP-code` and `practiceZipCode` are alike. */
export function plainHeading(heading: string): string {
  return heading
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]/gu, '');
}

/** What files with the same columns, in whatever order, have in common. */
export function fingerprintOf(header: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([...new Set(header.map(plainHeading))].sort()))
    .digest('hex');
}

/**
 * Columns that are named like the object's fields, by name or label.
 * @throws AppError bad_request for columns of no field, and for two of one
 */
export function byNameSettings(context: CallContext, objectName: string, header: readonly string[]): readonly ColumnSetting[] {
  const object = objectOf(context, objectName);
  const byHeading = new Map(
    [...object.fields.values()].flatMap((field) => [[field.label.toLowerCase(), field] as const, [field.name.toLowerCase(), field] as const]),
  );
  const columns = header.map((heading) => ({ heading, field: byHeading.get(heading.toLowerCase()) ?? null }));
  const unknown = columns.filter((column) => column.field === null);
  if (unknown.length > 0) {
    throw new AppError(
      'bad_request',
      `${objectName} has no field for ${unknown.map((column) => `"${column.heading}"`).join(', ')}. Rename or remove these columns, or name a map.`,
      {
        errors: unknown.map((column) => ({
          pointer: '/header',
          code: 'unknown_column',
          detail: `"${column.heading}" is not a field of ${objectName}.`,
          ...suggestion(column.heading, [...object.fields.keys()]),
        })),
      },
    );
  }
  const twice = columns.find((column, index) => columns.findIndex((other) => other.field === column.field) < index);
  if (twice !== undefined) throw new AppError('bad_request', `Two columns are for "${twice.field?.name ?? twice.heading}". Remove one of them.`);
  return columns.map(({ heading, field }) => ({ column: heading, field: field?.name ?? null }));
}

/** Everything that is wrong with chosen columns, each with a pointer into them. */
function findingsIn(
  context: CallContext,
  object: ObjectModel,
  columns: readonly ColumnSetting[],
  key: readonly string[] | null,
  header: readonly string[],
): readonly ErrorDetail[] {
  const found: ErrorDetail[] = [];
  const rights = rightsFor(context, object.name);
  const names = [...object.fields.keys()].filter((name) => rights.readable.has(name) || rights.writable.has(name));
  columns.forEach(({ column, field }, index) => {
    const at = `/columns/${String(index)}`;
    if (!header.includes(column))
      found.push({ pointer: `${at}/column`, code: 'missing_column', detail: `The file has no column "${column}".`, ...suggestion(column, header) });
    if (field === null) return;
    if (!names.includes(field))
      found.push({ pointer: `${at}/field`, code: 'unknown_field', detail: `${object.name} has no field "${field}".`, ...suggestion(field, names) });
    else if (columns.findIndex((other) => other.field === field) < index)
      found.push({ pointer: `${at}/field`, code: 'twice', detail: `Two columns are for "${field}".`, fix: 'Leave one of them out.' });
    else if (field !== 'id' && !rights.all && !rights.writable.has(field))
      found.push({ pointer: `${at}/field`, code: 'forbidden_field', detail: `You may not set ${field}.`, fix: 'Leave the column out.' });
  });
  key?.forEach((name, index) => {
    if (!columns.some(({ field }) => field === name))
      found.push({ pointer: `/key/${String(index)}`, code: 'missing_key', detail: `No column fills "${name}", which should find existing records.` });
  });
  return found;
}

interface Feed {
  readonly at: number;
  readonly field: FieldModel;
  readonly values: ReadonlyMap<string, string | null> | null;
}

/** Binds chosen columns to a header; a field named `id` finds the record. @throws AppError bad_request with every finding */
export function bindColumns(
  context: CallContext,
  objectName: string,
  columns: readonly ColumnSetting[],
  key: readonly string[] | null,
  header: readonly string[],
): RowMapper {
  const object = objectOf(context, objectName);
  const errors = findingsIn(context, object, columns, key, header);
  if (errors.length > 0) throw new AppError('bad_request', errors.map(({ detail }) => detail).join(' '), { errors });
  const feeds = columns.flatMap(({ column, field, values }): readonly Feed[] => {
    const model = field === null ? undefined : object.fields.get(field);
    return model === undefined ? [] : [{ at: header.indexOf(column), field: model, values: values === undefined ? null : new Map(Object.entries(values)) }];
  });
  const isKey = new Set(key ?? defaultKey(feeds.map(({ field }) => field)));
  const written = feeds.filter(({ field }) => field.name !== 'id');
  const identity = feeds.find(({ field }) => field.name === 'id');
  return {
    key: [...isKey],
    createOnly: new Set(),
    optionalReferences: new Set(columns.flatMap(({ field, optional }) => (field !== null && optional === true ? [field] : []))),
    fields: written.map(({ field }) => field.name),
    map: (cells) => {
      const values: Record<string, unknown> = {};
      for (const { at, field, values: named } of written) values[field.name] = valueOf(cells[at], named);
      return { values, id: identity === undefined ? null : cellText(cells[identity.at]).toLowerCase() || null };
    },
    columnOf: (field) => columns.find((column) => column.field === field)?.column ?? null,
  };
}

function valueOf(cell: unknown, named: ReadonlyMap<string, string | null> | null): unknown {
  if (named !== null) {
    const known = named.get(cellText(cell));
    if (known !== undefined) return known;
  }
  return cell ?? '';
}

/** What finds existing records when nobody says: the id, else the first unique field in the file. */
function defaultKey(fields: readonly FieldModel[]): readonly string[] {
  if (fields.some(({ name }) => name === 'id')) return ['id'];
  const unique = fields.find((field) => field.unique);
  return unique === undefined ? [] : [unique.name];
}

/** What a column is probably for. */
export interface ColumnGuess {
  readonly column: string;
  readonly field: string | null;
  /** `same`: named like the field. `similar`: nearly so, to be looked at. */
  readonly confidence: 'same' | 'similar' | 'none';
}

/** Guesses which field each column fills, among those that the caller may set. */
export function guessColumns(context: CallContext, objectName: string, header: readonly string[]): readonly ColumnGuess[] {
  const { object, writable } = rightsFor(context, objectName);
  const byHeading = new Map<string, string>();
  for (const field of object.fields.values()) {
    if (!writable.has(field.name) && field.name !== 'id') continue;
    for (const heading of [field.label, field.name]) byHeading.set(plainHeading(heading), field.name);
  }
  const taken = new Set<string>();
  const same = header.map((column) => {
    const field = byHeading.get(plainHeading(column)) ?? null;
    if (field === null || taken.has(field)) return null;
    taken.add(field);
    return field;
  });
  return header.map((column, index): ColumnGuess => {
    const exact = same[index] ?? null;
    if (exact !== null) return { column, field: exact, confidence: 'same' };
    const plain = plainHeading(column);
    const open = [...byHeading].filter(([, field]) => !taken.has(field)).map(([heading]) => heading);
    const near =
      plain.length < 4
        ? null
        : (open.find((heading) => heading.length >= 4 && (heading.includes(plain) || plain.includes(heading))) ?? nearestName(plain, open));
    const field = near === null ? null : (byHeading.get(near) ?? null);
    if (field === null) return { column, field: null, confidence: 'none' };
    taken.add(field);
    return { column, field, confidence: 'similar' };
  });
}

/** The code that a cell of a picklist column stands for; null when none does. */
export function guessValue(field: FieldModel, text: string): string | null {
  const parsed: unknown = FIELD_TYPES[field.kind].parse(text, field);
  const codes = field.values?.values ?? [];
  if (typeof parsed !== 'string') return null;
  if (codes.some(({ code }) => code === parsed)) return parsed;
  const names = codes.flatMap(({ code, label }) => [[plainHeading(label), code] as const, [plainHeading(code), code] as const]);
  const near = nearestName(
    plainHeading(text),
    names.map(([name]) => name),
  );
  return names.find(([name]) => name === near)?.[1] ?? null;
}
