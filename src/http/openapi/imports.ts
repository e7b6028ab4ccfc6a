import { rightsFor } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { IMPORT_SETTINGS_BODY } from '../api/imports.ts';
import {
  common,
  dataOf,
  FLAG,
  get,
  inQuery,
  INSTANT,
  list,
  listOf,
  oneOf,
  orNull,
  post,
  put,
  RECORD_ID,
  shape,
  TEXT,
  UUID,
  WHOLE,
  type Json,
} from './parts.ts';

const tag = 'Imports';

const COUNTS = shape({ read: WHOLE, created: WHOLE, updated: WHOLE, unchanged: WHOLE, skipped: WHOLE, rejected: WHOLE });
const UNDONE = shape({ removed: WHOLE, restored: WHOLE, kept: WHOLE });
const COLUMN = shape({ column: TEXT, field: orNull(TEXT), values: { type: 'object', additionalProperties: orNull(TEXT) }, optional: FLAG }, [
  'values',
  'optional',
]);
const SETTINGS = shape({
  map: orNull(TEXT),
  columns: orNull(listOf(COLUMN)),
  key: orNull(listOf(TEXT)),
  existing: oneOf('update', 'skip'),
  missing: oneOf('create', 'skip'),
  rules: oneOf('all', 'none'),
});
const STATES = ['uploading', 'reading', 'ready', 'checking', 'checked', 'running', 'done', 'dry-run', 'failed', 'cancelled', 'undoing', 'undone'] as const;

/** Shapes of what imports answer. */
export const IMPORT_SCHEMAS: Readonly<Record<string, Json>> = {
  ImportSettings: SETTINGS,
  ImportJob: shape({
    id: UUID,
    object: TEXT,
    fileName: TEXT,
    format: oneOf('csv', 'ndjson', 'xlsx'),
    state: oneOf(...STATES),
    settings: common('ImportSettings'),
    header: listOf(TEXT),
    size: WHOLE,
    rows: WHOLE,
    progress: { anyOf: [COUNTS, UNDONE, { type: 'null' }] },
    cancelRequested: FLAG,
    error: orNull(TEXT),
    checked: orNull(COUNTS),
    counts: orNull(COUNTS),
    undone: orNull(UNDONE),
    createdAt: INSTANT,
    createdBy: TEXT,
    finishedAt: orNull(INSTANT),
  }),
  ImportPreview: shape({
    header: listOf(TEXT),
    rows: listOf(shape({ line: WHOLE, cells: listOf(TEXT) })),
    guess: listOf(shape({ column: TEXT, field: orNull(TEXT), confidence: oneOf('same', 'similar', 'none') })),
    maps: listOf(shape({ name: TEXT, label: TEXT })),
    remembered: { anyOf: [common('ImportSettings'), { type: 'null' }] },
    suggested: common('ImportSettings'),
  }),
  ImportValue: shape({ value: TEXT, count: WHOLE, code: orNull(TEXT) }),
  ImportKept: shape({ recordId: orNull(UUID), reason: TEXT }),
};

const UPLOAD: Json = {
  'multipart/form-data': {
    schema: {
      type: 'object',
      required: ['object', 'file'],
      properties: {
        object: { ...TEXT, description: 'What the rows become. Comes before the file, as do map and settings.' },
        map: { ...TEXT, description: 'A named map.' },
        settings: { ...TEXT, description: 'How the file becomes records, as JSON.' },
        file: { type: 'string', contentMediaType: 'application/octet-stream', description: 'CSV, NDJSON or XLSX.' },
      },
    },
  },
};

/** Exports of the objects that the caller may export. */
export function exportPaths(context: CallContext): Json {
  const open = [...context.model.objects.keys()].map((name) => rightsFor(context, name)).filter(({ canExport, canRead }) => canExport && canRead);
  const parameters = [
    inQuery('format', 'csv unless told.', oneOf('csv', 'ndjson', 'xlsx')),
    inQuery('filter', 'A condition in CEL.'),
    inQuery('fields', 'Names of fields, separated by commas.'),
    inQuery('search', 'Words that the record holds.'),
    inQuery('effectiveOn', 'Only facts in force on this day.'),
  ];
  const answers = Object.fromEntries(
    ['text/csv', 'application/x-ndjson', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'].map((type) => [type, { schema: TEXT }]),
  );
  return Object.fromEntries(
    open.map(({ object: { name, plural } }) => [
      `/api/v1/exports/${name}`,
      get({ id: `export${name}`, summary: `${plural} as a file`, tag: name, parameters, answers, headers: ['Content-Disposition'] }),
    ]),
  );
}

/** Imports, for callers who may create or change records of some object. */
export function importPaths(context: CallContext): Json {
  const may = [...context.model.objects.keys()].some((name) => rightsFor(context, name).canCreate || rightsFor(context, name).canUpdate);
  if (!may) return {};
  const job = dataOf(common('ImportJob'));
  const base = '/api/v1/imports/{id}';
  const parameters = [RECORD_ID];
  const act = (name: string, summary: string): readonly [string, Json] => [
    `${base}/${name}`,
    post({ id: `${name}Import`, summary, tag, parameters, status: 202, answer: job, errors: ['conflict_state', 'bad_request'] }),
  ];
  return {
    '/api/v1/imports': {
      ...get({ id: 'listImports', summary: 'Your imports, the newest first', tag, answer: list(common('ImportJob')) }),
      ...post({
        id: 'beginImport',
        summary: 'Upload a file; it is read by the worker and is then ready',
        tag,
        content: UPLOAD,
        status: 202,
        answer: job,
        headers: ['Location'],
        errors: ['payload_too_large', 'not_found'],
      }),
    },
    [base]: get({ id: 'getImport', summary: 'An import: state, progress, counts', tag, parameters, answer: job }),
    '/api/v1/jobs/{id}': get({ id: 'getJob', summary: 'The same as /imports/{id}', tag, parameters, answer: job }),
    [`${base}/preview`]: get({
      id: 'previewImport',
      summary: 'The first rows, and what the columns are probably for',
      tag,
      parameters,
      answer: dataOf(common('ImportPreview')),
      errors: ['conflict_state'],
    }),
    [`${base}/values`]: get({
      id: 'importValues',
      summary: 'What stands in a column, over the whole file',
      tag,
      parameters: [...parameters, { ...inQuery('column', 'Heading of the column.'), required: true }, inQuery('field', 'The field whose values they become.')],
      answer: shape({ data: listOf(common('ImportValue')), more: FLAG }),
    }),
    [`${base}/settings`]: put({
      id: 'setUpImport',
      summary: 'What the columns are for; remembered for the next file with these columns',
      tag,
      parameters,
      body: IMPORT_SETTINGS_BODY.schema,
      answer: job,
      errors: ['conflict_state'],
    }),
    ...Object.fromEntries([
      act('check', 'Try every row and write nothing'),
      act('start', 'Write the rows'),
      act('cancel', 'Stop; what is written stays and can be undone'),
      act('undo', 'Take back what was written; later edits stay'),
    ]),
    [`${base}/errors`]: get({
      id: 'importErrors',
      summary: 'The rejected rows, as a file that can be corrected and imported again',
      tag,
      parameters,
      answers: { 'text/csv': { schema: TEXT }, 'application/x-ndjson': { schema: TEXT } },
      headers: ['Content-Disposition'],
    }),
    [`${base}/kept`]: get({ id: 'importKept', summary: 'Records that an undo left alone, and why', tag, parameters, answer: list(common('ImportKept')) }),
  };
}
