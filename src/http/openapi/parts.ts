import type { ErrorCode } from '../../platform/errors.ts';
import { STATUS } from '../problem.ts';

/** Building blocks of the OpenAPI document. */
export type Json = Readonly<Record<string, unknown>>;

export const TEXT: Json = { type: 'string' };
export const FLAG: Json = { type: 'boolean' };
export const WHOLE: Json = { type: 'integer' };
export const UUID: Json = { type: 'string', format: 'uuid' };
export const INSTANT: Json = { type: 'string', format: 'date-time' };
export const DATE: Json = { type: 'string', format: 'date' };
/** Any JSON value: what it is depends on a field's kind. */
export const ANY: Json = {};
/** An object whose members are named by metadata. */
export const MAP: Json = { type: 'object', additionalProperties: true };

export const oneOf = (...values: readonly string[]): Json => ({ type: 'string', enum: values });
export const listOf = (items: Json): Json => ({ type: 'array', items });
/** A component of an object, which has the object's name. */
export const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
/** A component of ours. Administrators name objects as they like, so the mark is settled when the document is put together. */
export const common = (name: string): Json => ref(`${OURS}${name}`);
export const OURS = '~';
export const orNull = (schema: Json): Json =>
  typeof schema['type'] === 'string' && !('enum' in schema) ? { ...schema, type: [schema['type'], 'null'] } : { anyOf: [schema, { type: 'null' }] };

/** An object of exactly these members; those named in `optional` may be missing. */
export function shape(properties: Json, optional: readonly string[] = []): Json {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', ...(required.length === 0 ? {} : { required }), properties };
}

export const dataOf = (schema: Json): Json => shape({ data: schema });
export const list = (schema: Json): Json => dataOf(listOf(schema));

export const inPath = (name: string, schema: Json = TEXT): Json => ({ name, in: 'path', required: true, schema });
export const inQuery = (name: string, description: string, schema: Json = TEXT): Json => ({ name, in: 'query', description, schema });
export const header = (name: string, required: boolean, description: string): Json => ({ name, in: 'header', required, description, schema: TEXT });

export const IF_MATCH = header('If-Match', true, 'ETag of the record as it was read, such as "v3".');
/** Of a draft: it may be left out, and what is sent is merged. */
export const IF_MATCH_DRAFT = header(
  'If-Match',
  false,
  'ETag of the form as it was read, such as "v3"; a stale one is refused. Without it answers are merged.',
);
export const ONCE = header('Idempotency-Key', false, 'A repeated request with the same key gets the first answer, for 24 hours.');
export const REASON = header('Change-Reason', false, 'Why; kept in the history of what changes.');
export const RECORD_ID = inPath('id', UUID);

/** Names of the answers that are problems, by status; the document keeps each once. */
export const PROBLEMS: Readonly<Record<number, { readonly name: string; readonly description: string }>> = {
  400: { name: 'BadRequest', description: 'The request cannot be read, or names something that does not exist.' },
  401: { name: 'Unauthenticated', description: 'Sign in first.' },
  403: { name: 'Forbidden', description: 'You may not do this.' },
  404: { name: 'NotFound', description: 'There is no such thing, or you may not see it.' },
  409: { name: 'Conflict', description: 'A conflict of state, uniqueness or reference; Retry-After where a later try may succeed.' },
  412: { name: 'Stale', description: 'Somebody changed the record since you read it: the current one, as far as you may read it, and the clashing fields.' },
  413: { name: 'TooLarge', description: 'The request is larger than this address takes.' },
  415: { name: 'WrongMediaType', description: 'This content type is not accepted.' },
  422: { name: 'Invalid', description: 'Some values are missing or wrong; all findings at once.' },
  428: { name: 'VersionNeeded', description: 'Send If-Match.' },
  429: { name: 'TooMany', description: 'Too many tries; see Retry-After.' },
  503: { name: 'Unavailable', description: 'Something that this needs does not answer; see Retry-After.' },
};

/** The answers that are problems, each with the codes that it may have. */
export function problemResponses(): Json {
  return Object.fromEntries(
    Object.entries(PROBLEMS).map(([status, { name, description }]) => {
      const codes = Object.entries(STATUS).flatMap(([code, found]) => (found === Number(status) ? [code] : []));
      const schema = { allOf: [common('Problem'), { type: 'object', properties: { status: { const: Number(status) }, code: { enum: codes } } }] };
      return [name, { description, content: { 'application/problem+json': { schema } } }];
    }),
  );
}

export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly parameters?: readonly Json[];
  /** Schema of a JSON body. */
  readonly body?: Json;
  /** The body may be left out. */
  readonly bodyOptional?: boolean;
  /** A body that is not JSON, by media type. */
  readonly content?: Json;
  readonly status?: number;
  /** Schema of the answer; without it the answer has no body. */
  readonly answer?: Json;
  /** An answer that is not JSON, by media type. */
  readonly answers?: Json;
  /** Further good answers, by status. */
  readonly also?: Readonly<Record<number, Json>>;
  /** Names of headers that come with the answer. */
  readonly headers?: readonly ('ETag' | 'Location' | 'Content-Disposition')[];
  /** Nobody needs to sign in for it. */
  readonly open?: boolean;
  /** Errors beside those that every such call may end in. */
  readonly errors?: readonly (ErrorCode | number)[];
}

const HEADERS: Readonly<Record<string, string>> = {
  ETag: 'The version, for If-Match.',
  Location: 'Where the new thing is.',
  'Content-Disposition': 'The name under which to keep it.',
};

type Entry = readonly [string, Json];
type Method = 'get' | 'post' | 'patch' | 'put' | 'delete';

function make(method: Method, given: Operation): Json {
  const { id, summary, tag, body, content, answer, answers, open = false, status = answer === undefined && answers === undefined ? 204 : 200 } = given;
  const isWrite = method !== 'get';
  const parameters = [...(given.parameters ?? []), ...(isWrite && !open ? [REASON] : [])];
  const hasBody = body !== undefined || content !== undefined;
  const good = answers ?? (answer === undefined ? undefined : json(answer));
  const headers = Object.fromEntries((given.headers ?? []).map((name) => [name, { description: HEADERS[name] ?? name, schema: TEXT }]));
  const success = { description: 'Done.', ...(given.headers === undefined ? {} : { headers }), ...(good === undefined ? {} : { content: good }) };
  const also = Object.entries(given.also ?? {}).map(([code, schema]): Entry => [code, { description: 'Done in part, or begun.', content: json(schema) }]);
  const problems = problemsOf(method, { ...given, parameters }, hasBody).map((code): Entry => [
    String(code),
    { $ref: `#/components/responses/${PROBLEMS[code]?.name ?? ''}` },
  ]);
  return {
    [method]: {
      operationId: id,
      summary,
      tags: [tag],
      ...(parameters.length === 0 ? {} : { parameters }),
      ...(hasBody ? { requestBody: { required: given.bodyOptional !== true, content: content ?? json(body ?? {}) } } : {}),
      ...(open ? { security: [] } : {}),
      responses: { [String(status)]: success, ...Object.fromEntries([...also, ...problems]) },
    },
  };
}

const json = (schema: Json): Json => ({ 'application/json': { schema } });

/** What a call of this kind may end in besides success. */
function problemsOf(method: Method, { parameters = [], open = false, errors = [] }: Operation, hasBody: boolean): readonly number[] {
  const has = (name: string): boolean => parameters.some((parameter) => parameter['name'] === name);
  const isWrite = method !== 'get';
  const found = new Set<number>([400, 503]);
  if (!open) found.add(401);
  if (isWrite && !open) found.add(403);
  if (parameters.some((parameter) => parameter['in'] === 'path')) found.add(404);
  if (parameters.some((parameter) => parameter['name'] === 'If-Match' && parameter['required'] === true))
    for (const status of [409, 412, 422, 428]) found.add(status);
  if (has('Idempotency-Key')) for (const status of [409, 422]) found.add(status);
  // A body is read before anything else is looked at, also where none is asked for.
  if (hasBody || isWrite) for (const status of [413, 415]) found.add(status);
  for (const error of errors) found.add(typeof error === 'number' ? error : STATUS[error]);
  return [...found].sort((left, right) => left - right);
}

export const get = (operation: Operation): Json => make('get', operation);
export const post = (operation: Operation): Json => make('post', operation);
export const patch = (operation: Operation): Json => make('patch', operation);
export const put = (operation: Operation): Json => make('put', operation);
export const remove = (operation: Operation): Json => make('delete', operation);

/** `weekly-visits` as `WeeklyVisits`, for the names of operations. */
export function camel(name: string): string {
  return name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
