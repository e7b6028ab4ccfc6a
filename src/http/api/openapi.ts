import { readRights, type Rights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { ERRORS } from '../../platform/errors.ts';
import { fieldType } from '../../platform/model/field-types.ts';
import type { FieldModel } from '../../platform/model/types.ts';
import { listObjects } from './describe.ts';
import { AGGREGATE_BODY, QUERY_BODY } from './read-query.ts';
import { BULK_BODY } from './records.ts';
import { generalPaths } from './openapi-general.ts';
import { dataOf, IF_MATCH, inQuery, list, ONCE, operation, RECORD_ID, ref, type Json } from './openapi-parts.ts';

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

/** OpenAPI 3.1 of exactly what this caller may call, made from the Model in force. */
export function openApiOf(context: CallContext, publicUrl: string, sendsMail: boolean): Json {
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
    paths: { ...generalPaths(context, sendsMail), ...Object.fromEntries(objects.flatMap((rights) => objectPaths(rights))) },
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
