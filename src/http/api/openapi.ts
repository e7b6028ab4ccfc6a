import { readRights, rightsFor, mayRunAction, type Rights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { ERRORS } from '../../platform/errors.ts';
import { fieldType } from '../../platform/model/field-types.ts';
import type { FieldModel } from '../../platform/model/types.ts';
import { listObjects } from './describe.ts';
import { AGGREGATE_BODY, QUERY_BODY } from './read-query.ts';
import { BULK_BODY } from './records.ts';
import { ACCEPT_BODY, SIGN_IN_BODY, TOKEN_BODY } from './sessions.ts';
import { NEW_USER_BODY, USER_CHANGE_BODY } from './users.ts';

type Json = Readonly<Record<string, unknown>>;

const json = (schema: Json): Json => ({ 'application/json': { schema } });
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const problem: Json = { description: 'A problem (RFC 9457).', content: { 'application/problem+json': { schema: ref('Problem') } } };
const dataOf = (schema: Json): Json => ({ type: 'object', required: ['data'], properties: { data: schema } });
const list = (schema: Json): Json => dataOf({ type: 'array', items: schema });
const inPath = (name: string, schema: Json = { type: 'string' }): Json => ({ name, in: 'path', required: true, schema });
const inQuery = (name: string, description: string, schema: Json = { type: 'string' }): Json => ({ name, in: 'query', description, schema });
const header = (name: string, required: boolean, description: string): Json => ({ name, in: 'header', required, description, schema: { type: 'string' } });

const IF_MATCH = header('If-Match', true, 'ETag of the record as it was read, such as "v3".');
const ONCE = header('Idempotency-Key', false, 'A repeated request with the same key gets the first answer, for 24 hours.');
const RECORD_ID = inPath('id', { type: 'string', format: 'uuid' });

const LIST_PARAMETERS: readonly Json[] = [
  inQuery('filter', "A condition in CEL, such as status == 'active'."),
  inQuery('fields', 'Names of fields, separated by commas.'),
  inQuery('expand', 'Relations to read along, separated by commas.'),
  inQuery('sort', 'Fields, a leading minus for descending, separated by commas.'),
  inQuery('search', 'Words that the record holds.'),
  inQuery('limit', 'At most this many records.', { type: 'integer', minimum: 1, maximum: 500, default: 50 }),
  inQuery('cursor', 'Where the page before ended.'),
  inQuery('count', 'How to count.', { enum: ['none', 'capped', 'estimate', 'exact'], default: 'none' }),
  inQuery('trash', 'Deleted records instead.', { type: 'boolean' }),
];

interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly parameters?: readonly Json[];
  readonly body?: Json;
  readonly status?: number;
  readonly answer?: Json;
  readonly open?: boolean;
}

function operation({ id, summary, tag, parameters = [], body, status = 200, answer, open = false }: Operation): Json {
  const success = answer === undefined ? { description: 'Done.' } : { description: 'Done.', content: json(answer) };
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    ...(open ? { security: [] } : {}),
    responses: { [String(status)]: success, default: problem },
  };
}

/** OpenAPI 3.1 of exactly what this caller may call, made from the Model in force. */
export function openApiOf(context: CallContext, publicUrl: string): Json {
  const objects = listObjects(context).map(({ name }) => readRights(context, name));
  const schemas = objects.flatMap((rights) => [
    [rights.object.name, recordSchema(rights)],
    ...(rights.canCreate || rights.canUpdate ? [[`${rights.object.name}Values`, valuesSchema(rights)]] : []),
  ]);
  return {
    openapi: '3.1.0',
    info: { title: 'Credenza', version: `v1 (model ${String(context.model.version)})`, description: 'Records of the plan. Every error is a problem document.' },
    servers: [{ url: publicUrl }],
    security: [{ bearer: [] }, { session: [] }],
    paths: { ...generalPaths(context), ...Object.fromEntries(objects.flatMap((rights) => objectPaths(rights))) },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, session: { type: 'apiKey', in: 'cookie', name: 'credenza_session' } },
      schemas: { Problem: problemSchema(), ...Object.fromEntries(schemas) },
    },
  };
}

function problemSchema(): Json {
  const detail = {
    type: 'object',
    required: ['pointer', 'code', 'detail'],
    properties: Object.fromEntries(['pointer', 'code', 'detail', 'rule', 'fix'].map((name) => [name, { type: 'string' }])),
  };
  return {
    type: 'object',
    required: ['type', 'title', 'status', 'code', 'detail', 'requestId'],
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { enum: Object.keys(ERRORS) },
      detail: { type: 'string' },
      requestId: { type: 'string' },
      errors: { type: 'array', items: detail },
    },
  };
}

function nullable(schema: Json): Json {
  return { anyOf: [schema, { type: 'null' }] };
}

function describe(field: FieldModel): Json {
  return { ...fieldType(field).schema(field), title: field.label, ...(field.help === null ? {} : { description: field.help }) };
}

function recordSchema({ object, readable, conditional }: Rights): Json {
  const fields = [...object.fields.values()].filter((field) => readable.has(field.name));
  const properties = Object.fromEntries(
    fields.map((field) => [field.name, field.name === 'id' || field.name === 'version' ? describe(field) : nullable(describe(field))]),
  );
  const note = conditional.size === 0 ? {} : { description: `In some records left out: ${[...conditional].join(', ')}.` };
  return { type: 'object', title: object.label, ...note, required: ['id', 'version'], properties };
}

function valuesSchema({ object, writable }: Rights): Json {
  const fields = [...object.fields.values()].filter((field) => writable.has(field.name));
  return {
    type: 'object',
    title: `Values of ${object.label}`,
    additionalProperties: false,
    properties: Object.fromEntries(fields.map((field) => [field.name, nullable(describe(field))])),
  };
}

function objectPaths(rights: Rights): readonly (readonly [string, Json])[] {
  const { object } = rights;
  const { name: tag, plural, label } = object;
  const base = `/api/v1/records/${tag}`;
  const one = dataOf(ref(tag));
  const page: Json = {
    type: 'object',
    required: ['data', 'page', 'meta'],
    properties: {
      data: { type: 'array', items: ref(tag) },
      page: { type: 'object', properties: { next: { type: ['string', 'null'] } } },
      meta: { type: 'object' },
    },
  };
  const equals = [...object.fields.values()].filter((field) => rights.readable.has(field.name) && field.column !== null && !field.system);
  const parameters = [...LIST_PARAMETERS, ...equals.map((field) => inQuery(field.name, `Only where ${field.label} is this.`))];
  const create = rights.canCreate
    ? { post: operation({ id: `create${tag}`, summary: `Create a ${label}`, tag, parameters: [ONCE], body: ref(`${tag}Values`), status: 201, answer: one }) }
    : {};
  const patch = rights.canUpdate
    ? {
        patch: operation({
          id: `change${tag}`,
          summary: `Change a ${label}; null clears`,
          tag,
          parameters: [RECORD_ID, IF_MATCH],
          body: ref(`${tag}Values`),
          answer: one,
        }),
      }
    : {};
  const remove = rights.canDelete
    ? { delete: operation({ id: `delete${tag}`, summary: `Move a ${label} to the trash`, tag, parameters: [RECORD_ID, IF_MATCH], status: 204 }) }
    : {};
  const item = operation({
    id: `get${tag}`,
    summary: `One ${label}`,
    tag,
    parameters: [RECORD_ID, inQuery('fields', 'Names of fields.'), inQuery('expand', 'Relations to read along.')],
    answer: one,
  });
  const paths: (readonly [string, Json])[] = [
    [base, { get: operation({ id: `list${tag}`, summary: plural, tag, parameters, answer: page }), ...create }],
    [`${base}/query`, { post: operation({ id: `query${tag}`, summary: `${plural}, asked for as JSON`, tag, body: QUERY_BODY.schema, answer: page }) }],
    [
      `${base}/aggregate`,
      { post: operation({ id: `aggregate${tag}`, summary: `Figures over ${plural}`, tag, body: AGGREGATE_BODY.schema, answer: { type: 'object' } }) },
    ],
    [`${base}/{id}`, { get: item, ...patch, ...remove }],
    [
      `${base}/{id}/layout`,
      {
        get: operation({
          id: `layout${tag}`,
          summary: `Sections of the page of a ${label}`,
          tag,
          parameters: [RECORD_ID],
          answer: dataOf({ type: 'object', properties: { sections: { type: 'array', items: { type: 'object' } } } }),
        }),
      },
    ],
    [
      `${base}/{id}/history`,
      { get: operation({ id: `history${tag}`, summary: `Versions of a ${label}`, tag, parameters: [RECORD_ID], answer: list({ type: 'object' }) }) },
    ],
  ];
  if (rights.canCreate || rights.canUpdate || rights.canDelete) {
    paths.push([
      `${base}/bulk`,
      {
        post: operation({
          id: `bulk${tag}`,
          summary: `Up to 500 writes of ${plural}`,
          tag,
          parameters: [ONCE],
          body: BULK_BODY.schema,
          answer: list({ type: 'object' }),
        }),
      },
    ]);
  }
  if (rights.canDelete) {
    paths.push([
      `${base}/{id}/restore`,
      { post: operation({ id: `restore${tag}`, summary: `Take a ${label} out of the trash`, tag, parameters: [RECORD_ID, IF_MATCH, ONCE], answer: one }) },
    ]);
  }
  return [...paths, ...transitionPaths(rights, base, one), ...filePaths(rights, base)];
}

function transitionPaths({ object, transitions }: Rights, base: string, one: Json): readonly (readonly [string, Json])[] {
  const tag = object.name;
  const open = [...(object.path?.transitions.values() ?? [])].filter((entry) => transitions.has(entry.name));
  if (open.length === 0) return [];
  const parameters = [RECORD_ID, IF_MATCH, ONCE];
  return [
    [
      `${base}/{id}/transitions`,
      {
        get: operation({
          id: `transitions${tag}`,
          summary: 'What leads on from here, and what holds it back',
          tag,
          parameters: [RECORD_ID],
          answer: list({ type: 'object' }),
        }),
      },
    ],
    ...open.map((entry): readonly [string, Json] => {
      const accepted = [...new Set([...entry.accepts, ...entry.required])].flatMap((name) => object.fields.get(name) ?? []);
      const body = {
        type: 'object',
        additionalProperties: false,
        properties: Object.fromEntries(accepted.map((field) => [field.name, nullable(describe(field))])),
      };
      const id = `${entry.name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())}${tag}`;
      return [`${base}/{id}/transitions/${entry.name}`, { post: operation({ id, summary: entry.label, tag, parameters, body, answer: one }) }];
    }),
  ];
}

function filePaths({ object, readable }: Rights, base: string): readonly (readonly [string, Json])[] {
  return [...object.fields.values()]
    .filter((field) => field.kind === 'file' && readable.has(field.name))
    .map((field) => [
      `${base}/{id}/files/${field.name}`,
      { get: operation({ id: `file${object.name}${field.name}`, summary: field.label, tag: object.name, parameters: [RECORD_ID] }) },
    ]);
}

function generalPaths(context: CallContext): Json {
  const tag = 'General';
  const anything = { type: 'object' };
  const writes = [...context.model.objects.keys()].some((name) => rightsFor(context, name).canCreate || rightsFor(context, name).canUpdate);
  const user = dataOf(anything);
  const users = {
    '/api/v1/users': {
      get: operation({ id: 'listUsers', summary: 'Accounts', tag, answer: list(anything) }),
      post: operation({ id: 'addUser', summary: 'Add an account', tag, parameters: [ONCE], body: NEW_USER_BODY.schema, status: 201, answer: user }),
    },
    '/api/v1/users/{id}': {
      get: operation({ id: 'getUser', summary: 'One account', tag, parameters: [RECORD_ID], answer: user }),
      patch: operation({ id: 'changeUser', summary: 'Change an account', tag, parameters: [RECORD_ID, IF_MATCH], body: USER_CHANGE_BODY.schema, answer: user }),
    },
    '/api/v1/users/{id}/invitation': {
      post: operation({ id: 'inviteUser', summary: 'A new invitation', tag, parameters: [RECORD_ID], status: 201, answer: user }),
    },
  };
  return {
    '/api/v1/sign-in': { post: operation({ id: 'signIn', summary: 'Sign in with a password', tag, body: SIGN_IN_BODY.schema, answer: user, open: true }) },
    '/api/v1/sign-out': { post: operation({ id: 'signOut', summary: 'End the session', tag, status: 204 }) },
    '/api/v1/session': { get: operation({ id: 'getSession', summary: 'Who is signed in, with the CSRF token', tag, answer: user }) },
    '/api/v1/me': { get: operation({ id: 'getMe', summary: 'The same as /session', tag, answer: user }) },
    '/api/v1/invitations/{secret}': {
      get: operation({ id: 'getInvitation', summary: 'Whom an invitation is for', tag, parameters: [inPath('secret')], answer: user, open: true }),
    },
    '/api/v1/invitations/accept': {
      post: operation({ id: 'acceptInvitation', summary: 'Take an invitation', tag, body: ACCEPT_BODY.schema, answer: user, open: true }),
    },
    '/api/v1/tokens': {
      post: operation({ id: 'createToken', summary: 'A new API token, shown once', tag, body: TOKEN_BODY.schema, status: 201, answer: user }),
    },
    '/api/v1/tokens/{id}': { delete: operation({ id: 'revokeToken', summary: 'End an API token', tag, parameters: [RECORD_ID], status: 204 }) },
    '/api/v1/objects': { get: operation({ id: 'listObjects', summary: 'Objects that you may see', tag, answer: list(anything) }) },
    '/api/v1/objects/{object}': {
      get: operation({ id: 'getObject', summary: 'One object: fields, path, views, layout', tag, parameters: [inPath('object')], answer: user }),
    },
    '/api/v1/search': {
      get: operation({
        id: 'search',
        summary: 'Search across objects',
        tag,
        parameters: [{ ...inQuery('q', 'Words.'), required: true }, inQuery('objects', 'Only these.'), inQuery('limit', 'At most.')],
        answer: list(anything),
      }),
    },
    '/api/v1/openapi.json': { get: operation({ id: 'getOpenApi', summary: 'This document', tag, answer: anything }) },
    ...(writes
      ? {
          '/api/v1/files': {
            post: {
              ...operation({ id: 'uploadFile', summary: 'Upload a file', tag, parameters: [inQuery('name', 'File name.')], status: 201, answer: user }),
              requestBody: { required: true, content: { '*/*': { schema: { type: 'string', contentEncoding: 'binary' } } } },
            },
          },
        }
      : {}),
    ...(mayRunAction(context, 'users') ? users : {}),
  };
}
