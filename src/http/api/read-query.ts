import type { Request } from 'express';
import { AppError } from '../../platform/errors.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import type { GetOptions } from '../../platform/query/list.ts';
import type { AggregateQuery, ReadQuery } from '../../platform/query/types.ts';
import { bodySchema } from '../body.ts';

const COUNTS = ['none', 'capped', 'estimate', 'exact'] as const;
/** Looked at by the reader, which says what is wrong with it. */
const DAY = { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$' };
/** History is replayed for one record and its related lists, never for a whole list. */
const OF_ONE = ['asOf', 'recordedAt'];
const names = { type: 'array', items: { type: 'string' }, maxItems: 200 };

/** The body of POST .../query: the parameters of the list as JSON. */
export const QUERY_BODY = bodySchema<Omit<ReadQuery, 'object'>>({
  type: 'object',
  additionalProperties: false,
  properties: {
    filter: { type: 'string' },
    equals: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean', 'null'] } },
    fields: names,
    expand: names,
    sort: names,
    search: { type: 'string' },
    limit: { type: 'integer' },
    cursor: { type: 'string' },
    count: { enum: [...COUNTS] },
    trash: { type: 'boolean' },
    effectiveOn: DAY,
  },
});

/** The body of POST .../aggregate. */
export const AGGREGATE_BODY = bodySchema<Omit<AggregateQuery, 'object'>>({
  type: 'object',
  additionalProperties: false,
  required: ['measures'],
  properties: {
    filter: { type: 'string' },
    search: { type: 'string' },
    groupBy: names,
    measures: {
      type: 'array',
      minItems: 1,
      maxItems: 20,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['as', 'op'],
        properties: {
          as: { type: 'string', pattern: '^[a-zA-Z]\\w{0,40}$' },
          op: { enum: ['count', 'sum', 'min', 'max', 'avg', 'medianDays'] },
          field: { type: 'string' },
          since: { type: 'string' },
        },
      },
    },
    limit: { type: 'integer' },
    effectiveOn: DAY,
  },
});

/** Parameters of an address, each at most once. @throws AppError invalid_query */
export function parametersOf(request: Request): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const at = request.originalUrl.indexOf('?');
  for (const [name, value] of new URLSearchParams(at < 0 ? '' : request.originalUrl.slice(at + 1))) {
    if (found.has(name)) throw invalidQuery(name, `The parameter "${name}" is given twice.`);
    found.set(name, value);
  }
  return found;
}

/** Refuses parameters that an address does not know. @throws AppError invalid_query */
export function onlyParameters(request: Request, known: readonly string[]): ReadonlyMap<string, string> {
  const found = parametersOf(request);
  for (const name of found.keys()) {
    if (!known.includes(name))
      throw invalidQuery(name, `There is no parameter "${name}" here.`, known.length === 0 ? undefined : `Known: ${known.join(', ')}.`);
  }
  return found;
}

export function listOf(text: string | undefined): readonly string[] | undefined {
  return text === undefined ? undefined : text.split(',').map((part) => part.trim());
}

/** The list query of an address; what is not a parameter of ours is a field that must equal the value. */
export function listQuery(request: Request, object: string): ReadQuery {
  const given = new Map(parametersOf(request));
  for (const name of OF_ONE) {
    if (given.has(name))
      throw invalidQuery(name, `"${name}" asks for one record and its related lists, not for a whole list.`, 'Read one record with it, or use "effectiveOn".');
  }
  const take = (name: string): string | undefined => {
    const value = given.get(name);
    given.delete(name);
    return value;
  };
  const query = {
    filter: take('filter'),
    fields: listOf(take('fields')),
    expand: listOf(take('expand')),
    sort: listOf(take('sort')),
    search: take('search'),
    limit: wholeNumber('limit', take('limit')),
    cursor: take('cursor'),
    count: countOf(take('count')),
    trash: flag('trash', take('trash')),
    effectiveOn: take('effectiveOn'),
    equals: undefined as Readonly<Record<string, string>> | undefined,
  };
  if (given.size > 0) query.equals = Object.fromEntries(given);
  return { object, ...present(query) };
}

/** How one record is read: its fields, what is expanded, and the day or moment that is asked for. */
export function getOptions(request: Request): GetOptions {
  const found = onlyParameters(request, ['fields', 'expand', 'effectiveOn', 'recordedAt', 'asOf']);
  return present({
    fields: listOf(found.get('fields')),
    expand: listOf(found.get('expand')),
    effectiveOn: found.get('effectiveOn'),
    recordedAt: found.get('recordedAt'),
    asOf: found.get('asOf'),
  });
}

/** A parameter that is a whole number. @throws AppError invalid_query */
export function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,6}$/.test(text)) throw invalidQuery(name, `"${name}" is a whole number.`);
  return Number(text);
}

function flag(name: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== 'true' && text !== 'false') throw invalidQuery(name, `"${name}" is true or false.`);
  return text === 'true';
}

function countOf(text: string | undefined): ReadQuery['count'] {
  if (text === undefined) return undefined;
  const found = COUNTS.find((name) => name === text);
  if (found === undefined) throw invalidQuery('count', `"count" is one of ${COUNTS.join(', ')}.`);
  return found;
}

type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the members that are undefined. */
export function present<T extends object>(value: T): Present<T> {
  const kept: Present<T> = {};
  for (const key of Object.keys(value) as (keyof T)[]) {
    const entry = value[key];
    if (entry !== undefined) Object.assign(kept, { [key]: entry });
  }
  return kept;
}

/** A record's values as sent: an object of anything. @throws AppError bad_request */
export function valuesOf(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new AppError('bad_request', 'The body is a JSON object of field values.');
  return Object.fromEntries(Object.entries(body));
}
