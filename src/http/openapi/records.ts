import { rightsFor, type Rights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { fieldType } from '../../platform/model/field-types.ts';
import type { FieldModel } from '../../platform/model/types.ts';
import { bulkSchema } from '../api/bulk.ts';
import { LIFECYCLE_BODIES } from '../api/lifecycle.ts';
import { AGGREGATE_BODY, QUERY_BODY } from '../api/read-query.ts';
import { canRead } from '../api/layout.ts';
import {
  camel,
  common,
  dataOf,
  DATE,
  FLAG,
  get,
  IF_MATCH,
  inQuery,
  type Json,
  list,
  listOf,
  ONCE,
  orNull,
  OURS,
  patch,
  post,
  RECORD_ID,
  ref,
  remove,
  shape,
  TEXT,
} from './parts.ts';

const LIST_PARAMETERS: readonly Json[] = [
  inQuery('filter', "A condition in CEL, such as status == 'active'."),
  inQuery('fields', 'Names of fields, separated by commas; displayName asks for the computed name.'),
  inQuery('expand', 'Relations to read along, separated by commas.'),
  inQuery('sort', 'Fields, a leading minus for descending, separated by commas.'),
  inQuery('search', 'Words that the record holds.'),
  inQuery('limit', 'At most this many records.', { type: 'integer', minimum: 1, maximum: 500, default: 50 }),
  inQuery('cursor', 'Where the page before ended.'),
  inQuery('count', 'How to count.', { type: 'string', enum: ['none', 'capped', 'estimate', 'exact'], default: 'none' }),
  inQuery('trash', 'Deleted records instead.', FLAG),
  inQuery('effectiveOn', 'Only facts in force on this day.', DATE),
];

const READ_ONE: readonly Json[] = [
  RECORD_ID,
  inQuery('fields', 'Names of fields, separated by commas.'),
  inQuery('expand', 'Relations to read along, separated by commas.'),
  inQuery('effectiveOn', 'Only facts in force on this day.', DATE),
  inQuery('recordedAt', 'What was known at this moment (a day means its end), made from history.', TEXT),
  inQuery('asOf', 'effectiveOn and recordedAt at once.', TEXT),
];

type Path = readonly [string, Json];

/** Components of one object: its records, what may be written, and a page of a list. */
export function recordSchemas(context: CallContext, rights: Rights): Json {
  const { name } = rights.object;
  return {
    [name]: recordSchema(context, rights),
    ...(rights.canCreate || rights.canUpdate ? { [`${OURS}${name}Values`]: valuesSchema(rights) } : {}),
    [`${OURS}${name}Page`]: shape({ data: listOf(ref(name)), page: shape({ next: orNull(TEXT) }), meta: common('ListMeta') }),
  };
}

function describe(field: FieldModel): Json {
  const schema = fieldType(field).schema(field);
  return { ...schema, title: field.label, ...(field.help === null ? {} : { description: field.help }) };
}

/** A computed value is as long as it comes out. */
function answered(field: FieldModel): Json {
  const schema = describe(field);
  return field.formula === null ? schema : Object.fromEntries(Object.entries(schema).filter(([name]) => !/^(x-)?(min|max)/.test(name)));
}

function recordSchema(context: CallContext, rights: Rights): Json {
  const { object, readable, conditional } = rights;
  const fields = [...object.fields.values()].filter((field) => readable.has(field.name));
  const own = Object.fromEntries(
    fields.map((field) => [field.name, field.name === 'id' || field.name === 'version' ? answered(field) : orNull(answered(field))]),
  );
  const relations = expansions(context, rights);
  const extra = {
    ...(object.fields.has('displayName') ? {} : { displayName: { ...TEXT, description: 'The computed name; when asked for, and in expanded records.' } }),
    ...(object.fields.has('expanded') || Object.keys(relations).length === 0 ? {} : { expanded: { type: 'object', properties: relations } }),
  };
  const note = conditional.size === 0 ? {} : { description: `Null in some records: ${[...conditional].join(', ')}.` };
  return { type: 'object', title: object.label, ...note, required: ['id', 'version'], properties: { ...own, ...extra } };
}

/** What `expanded` may hold: a record or null for a reference, a list that may go on for a to-many path. */
function expansions(context: CallContext, { object, readable }: Rights): Json {
  const ones = [...object.fields.values()].flatMap((field): Path[] => {
    const targets = readable.has(field.name) ? (field.ref?.to ?? []).filter((target) => canRead(context, target)) : [];
    return targets.length === 0 ? [] : [[field.name, { anyOf: [...targets.map(ref), { type: 'null' }] }]];
  });
  const manys = [...object.toMany.values()]
    .filter((path) => canRead(context, path.object) && rightsFor(context, path.object).readable.has(path.via))
    .map((path): Path => [path.name, shape({ data: listOf(ref(path.object)), more: FLAG })]);
  return Object.fromEntries([...ones, ...manys]);
}

function valuesSchema({ object, writable }: Rights): Json {
  const fields = [...object.fields.values()].filter((field) => writable.has(field.name));
  return {
    type: 'object',
    title: `Values of ${object.label}`,
    additionalProperties: false,
    properties: Object.fromEntries(fields.map((field) => [field.name, orNull(describe(field))])),
  };
}

/** The addresses of one object, as far as this caller may use them. */
export function recordPaths(rights: Rights): Json {
  const { object } = rights;
  const { name: tag, plural, label } = object;
  const base = `/api/v1/records/${tag}`;
  const one = dataOf(ref(tag));
  const page = common(`${tag}Page`);
  const values = common(`${tag}Values`);
  const equals = [...object.fields.values()].filter(
    (field) => rights.readable.has(field.name) && field.column !== null && field.name !== 'id' && field.name !== 'version',
  );
  const parameters = [...LIST_PARAMETERS, ...equals.map((field) => inQuery(field.name, `Only where ${field.label} is this.`))];
  const versioned = [RECORD_ID, IF_MATCH];
  return {
    [base]: {
      ...get({ id: `list${tag}`, summary: plural, tag, parameters, answer: page, errors: ['forbidden', 'not_found'] }),
      ...(rights.canCreate
        ? post({
            id: `create${tag}`,
            summary: `Create a ${label}`,
            tag,
            parameters: [ONCE],
            body: values,
            status: 201,
            answer: one,
            headers: ['ETag', 'Location'],
            errors: ['conflict_unique', 'validation_failed'],
          })
        : {}),
    },
    [`${base}/query`]: post({ id: `query${tag}`, summary: `${plural}, asked for as JSON`, tag, parameters: [ONCE], body: QUERY_BODY.schema, answer: page }),
    [`${base}/aggregate`]: post({
      id: `aggregate${tag}`,
      summary: `Figures over ${plural}`,
      tag,
      parameters: [ONCE],
      body: AGGREGATE_BODY.schema,
      answer: common('Figures'),
    }),
    [`${base}/{id}`]: {
      ...get({ id: `get${tag}`, summary: `One ${label}`, tag, parameters: READ_ONE, answer: one, headers: ['ETag'] }),
      ...(rights.canUpdate
        ? patch({ id: `change${tag}`, summary: `Change a ${label}; null clears`, tag, parameters: versioned, body: values, answer: one, headers: ['ETag'] })
        : {}),
      ...(rights.canDelete ? remove({ id: `delete${tag}`, summary: `Move a ${label} to the trash`, tag, parameters: versioned }) : {}),
    },
    [`${base}/{id}/layout`]: get({
      id: `layout${tag}`,
      summary: `Sections of the page of a ${label}`,
      tag,
      parameters: [RECORD_ID],
      answer: dataOf(common('PageSections')),
    }),
    [`${base}/{id}/history`]: get({
      id: `history${tag}`,
      summary: `Versions of a ${label}`,
      tag,
      parameters: [RECORD_ID],
      answer: list(common('HistoryEntry')),
    }),
    [`${base}/{id}/duplicates`]: get({
      id: `duplicates${tag}`,
      summary: `Records that a duplicate rule takes for the same as a ${label}`,
      tag,
      parameters: [RECORD_ID],
      answer: list(common('DuplicatePair')),
    }),
    ...writePaths(rights, base),
    ...transitionPaths(rights, base, one),
    ...filePaths(rights, base),
  };
}

function writePaths(rights: Rights, base: string): Json {
  const { name: tag, plural, label } = rights.object;
  const parameters = [RECORD_ID, IF_MATCH, ONCE];
  const outcomes = list(common('WriteOutcome'));
  const hasValues = rights.canCreate || rights.canUpdate;
  return {
    ...(hasValues || rights.canDelete
      ? {
          [`${base}/bulk`]: post({
            id: `bulk${tag}`,
            summary: `Up to 500 writes of ${plural}, all or nothing or each by itself`,
            tag,
            parameters: [ONCE],
            body: bulkSchema(hasValues ? common(`${tag}Values`) : undefined),
            answer: outcomes,
            also: { 207: outcomes },
            errors: ['not_found', 'conflict_version', 'precondition_required'],
          }),
        }
      : {}),
    ...(rights.canDelete
      ? {
          [`${base}/{id}/restore`]: post({
            id: `restore${tag}`,
            summary: `Take a ${label} out of the trash, with what went there with it`,
            tag,
            parameters,
            body: LIFECYCLE_BODIES.restore.schema,
            bodyOptional: true,
            answer: shape({ data: ref(tag), meta: common('Restored') }),
            headers: ['ETag'],
          }),
        }
      : {}),
    ...(rights.object.effective !== null && rights.canUpdate && rights.canCreate
      ? {
          [`${base}/{id}/succeed`]: post({
            id: `succeed${tag}`,
            summary: `End a ${label} on the day before, and open the one that follows it`,
            tag,
            parameters,
            body: common(`${tag}Values`),
            status: 201,
            answer: shape({ data: ref(tag), meta: common('Succeeded') }),
            headers: ['ETag', 'Location'],
            errors: ['conflict_unique', 'validation_failed'],
          }),
        }
      : {}),
    ...(rights.canUpdate && rights.canDelete
      ? {
          [`${base}/{id}/merge`]: post({
            id: `merge${tag}`,
            summary: `Merge other ${plural} into a ${label}`,
            tag,
            parameters,
            body: LIFECYCLE_BODIES.merge.schema,
            answer: shape({ data: ref(tag), meta: common('Merged') }),
            headers: ['ETag'],
          }),
        }
      : {}),
    ...(rights.canUpdate || rights.canDelete
      ? {
          [`${base}/{id}/undo`]: post({
            id: `undo${tag}`,
            summary: `Take back the last change of a ${label}, or a merge into it`,
            tag,
            parameters,
            body: LIFECYCLE_BODIES.undo.schema,
            bodyOptional: true,
            answer: shape({ data: orNull(ref(tag)), meta: common('Undone') }),
            headers: ['ETag'],
          }),
        }
      : {}),
  };
}

function transitionPaths({ object, transitions }: Rights, base: string, one: Json): Json {
  const tag = object.name;
  const open = [...(object.path?.transitions.values() ?? [])].filter((entry) => transitions.has(entry.name));
  const states = get({
    id: `transitions${tag}`,
    summary: 'What leads on from here, and what holds it back',
    tag,
    parameters: [RECORD_ID],
    answer: list(common('TransitionState')),
  });
  const moves = open.map((entry): Path => {
    const accepted = [...new Set([...entry.accepts, ...entry.required])].flatMap((name) => object.fields.get(name) ?? []);
    const body = {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(accepted.map((field) => [field.name, orNull(describe(field))])),
    };
    const id = `${camel(entry.name).replace(/^./, (letter) => letter.toLowerCase())}${tag}`;
    const move = { id, summary: entry.label, tag, parameters: [RECORD_ID, IF_MATCH, ONCE], body, bodyOptional: true, answer: one, headers: ['ETag'] as const };
    return [`${base}/{id}/transitions/${entry.name}`, post(move)];
  });
  return { [`${base}/{id}/transitions`]: states, ...Object.fromEntries(moves) };
}

function filePaths({ object, readable }: Rights, base: string): Json {
  const bytes = { '*/*': { schema: { type: 'string', contentEncoding: 'binary' } } };
  return Object.fromEntries(
    [...object.fields.values()]
      .filter((field) => field.kind === 'file' && readable.has(field.name))
      .map((field): Path => {
        const id = `file${object.name}${camel(field.name)}`;
        const headers = ['ETag', 'Content-Disposition'] as const;
        return [`${base}/{id}/files/${field.name}`, get({ id, summary: field.label, tag: object.name, parameters: [RECORD_ID], answers: bytes, headers })];
      }),
  );
}
