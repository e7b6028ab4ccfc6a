import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType, ExprValue, Row } from '../expression/types.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { ImportMapFile } from '../metadata/types.ts';
import { bindColumns, byNameSettings } from './columns.ts';
import { cellText, type RowMapper } from './row-mapper.ts';
import type { ImportSettings } from './types.ts';

type Closure = (row: Row, context: EvalContext) => ExprValue;

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
    fields: fields.map(({ field }) => field),
    map: (cells) => {
      const row = new Map<string, string>();
      for (const [index, heading] of header.entries()) row.set(heading, cellText(cells[index]));
      const at = evaluation(context, row);
      const rejected = rejects.find((reject) => reject.holds(nothing, at) === true);
      if (rejected !== undefined) return { reason: rejected.reason, column: rejected.column };
      return { values: Object.fromEntries(fields.map(({ field, value }) => [field, value(nothing, at)])), id: null };
    },
    columnOf: (field) => fields.find((entry) => entry.field === field)?.column ?? null,
  };
}

/**
 * Binds settings to a file's header: the named map, the columns that were chosen, or the columns as they are named.
 * @throws AppError bad_request when columns are missing or are for no field
 */
export function bindSettings(context: CallContext, object: string, settings: ImportSettings, header: readonly string[]): RowMapper {
  if (settings.map === null) return bindColumns(context, object, settings.columns ?? byNameSettings(context, object, header), settings.key, header);
  const mapper = bindMap(context, settings.map, object, header);
  return settings.key === null ? mapper : { ...mapper, key: settings.key };
}
