import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType, ExprValue, Row } from '../expression/types.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { ImportMapFile } from '../metadata/types.ts';

type Closure = (row: Row, context: EvalContext) => ExprValue;

/** A map bound to one file's header: cells in, values of a record or a reason out. */
export interface RowMapper {
  readonly key: readonly string[];
  readonly createOnly: ReadonlySet<string>;
  /** References that stay empty when no record has the key that was given. */
  readonly optionalReferences: ReadonlySet<string>;
  map(cells: readonly string[]): { readonly values: Readonly<Record<string, unknown>> } | { readonly reason: string; readonly column: string };
  /** The column that feeds a field, for messages about it. */
  columnOf(field: string): string | null;
}

const ROW: Readonly<Record<string, ExprType>> = { row: { kind: 'json' } };

function evaluation(context: CallContext, row: ReadonlyMap<string, string>): EvalContext {
  return {
    now: context.now,
    today: context.today,
    user: null,
    subject: null,
    variables: { row },
    one: () => null,
    many: () => [],
    policy: () => null,
    calendars: context.model.calendarLookup,
  };
}

function firstColumn(text: string): string | null {
  return /(?:col|[A-Za-z]+)\('((?:[^'\\]|\\.)+)'\)/.exec(text)?.[1] ?? null;
}

function namedMap(context: CallContext, name: string, object: string): ImportMapFile['targets'][string] & { readonly requires: readonly string[] } {
  const file = context.model.imports.get(name);
  if (file === undefined)
    throw new AppError('bad_request', `There is no import map "${name}".`, {
      errors: [{ pointer: '/map', code: 'unknown', detail: `Known maps: ${[...context.model.imports.keys()].join(', ')}.` }],
    });
  const target = file.targets[object];
  if (target === undefined) throw new AppError('bad_request', `The map "${name}" does not fill ${object}; it fills ${Object.keys(file.targets).join(', ')}.`);
  return { ...target, requires: file.requires };
}

function checkHeader(header: readonly string[], requires: readonly string[]): void {
  const missing = requires.filter((column) => !header.includes(column));
  if (missing.length === 0) return;
  throw new AppError(
    'bad_request',
    `The file lacks ${missing.length === 1 ? 'the column' : 'the columns'} ${missing.map((column) => `"${column}"`).join(', ')}.`,
    {
      errors: missing.map((column) => ({
        pointer: '/header',
        code: 'missing_column',
        detail: `"${column}" is not in the header.`,
        ...suggestion(column, header),
      })),
    },
  );
}

/** Binds a named map to a header. @throws AppError bad_request when columns that it needs are missing */
export function bindMap(context: CallContext, name: string, object: string, header: readonly string[]): RowMapper {
  const target = namedMap(context, name, object);
  checkHeader(header, target.requires);
  const { model } = context;
  const closure = (text: string): Closure => compileJs(model.expression(text, null, ROW), model.expressions);
  const fields = Object.entries(target.fields).map(([field, text]) => ({ field, value: closure(text), column: firstColumn(text) }));
  const rejects = (target.reject ?? []).map((reject) => ({ ...reject, holds: closure(reject.when) }));
  const nothing: Row = {};
  return {
    key: target.key,
    createOnly: new Set(target.createOnly ?? []),
    optionalReferences: new Set(target.optionalReferences ?? []),
    map: (cells) => {
      const row = new Map(header.map((heading, index) => [heading, (cells[index] ?? '').trim()]));
      const at = evaluation(context, row);
      const rejected = rejects.find((reject) => reject.holds(nothing, at) === true);
      if (rejected !== undefined) return { reason: rejected.reason, column: rejected.column };
      return { values: Object.fromEntries(fields.map(({ field, value }) => [field, value(nothing, at)])) };
    },
    columnOf: (field) => fields.find((entry) => entry.field === field)?.column ?? null,
  };
}

/** Maps columns that are named like the object's fields (by name or label); a field named `id` finds the record. */
export function bindByName(context: CallContext, object: string, header: readonly string[]): RowMapper {
  const target = context.model.objects.get(object);
  if (target === undefined) throw new AppError('not_found', `There is no object "${object}".`);
  const byHeading = new Map(
    [...target.fields.values()].flatMap((field) => [[field.name.toLowerCase(), field] as const, [field.label.toLowerCase(), field] as const]),
  );
  const columns = header.map((heading) => ({ heading, field: byHeading.get(heading.toLowerCase()) ?? null }));
  const unknown = columns.filter((column) => column.field === null);
  if (unknown.length > 0) {
    throw new AppError(
      'bad_request',
      `${object} has no field for ${unknown.map((column) => `"${column.heading}"`).join(', ')}. Rename or remove these columns, or name a map.`,
      {
        errors: unknown.map((column) => ({
          pointer: '/header',
          code: 'unknown_column',
          detail: `"${column.heading}" is not a field of ${object}.`,
          ...suggestion(column.heading, [...target.fields.keys()]),
        })),
      },
    );
  }
  const twice = columns.find((column, index) => columns.findIndex((other) => other.field === column.field) < index);
  if (twice !== undefined) throw new AppError('bad_request', `Two columns are for "${twice.field?.name ?? twice.heading}". Remove one of them.`);
  const unique = [...target.fields.values()].find((field) => field.unique && columns.some((column) => column.field === field));
  return {
    key: columns.some((column) => column.field?.name === 'id') ? ['id'] : unique === undefined ? [] : [unique.name],
    createOnly: new Set(),
    optionalReferences: new Set(),
    map: (cells) => ({
      values: Object.fromEntries(
        columns.flatMap((column, index) => (column.field === null || column.field.name === 'id' ? [] : [[column.field.name, cells[index] ?? '']])),
      ),
    }),
    columnOf: (field) => columns.find((column) => column.field?.name === field)?.heading ?? null,
  };
}
