import { rightsFor } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { VIEW_BODIES } from '../api/views.ts';
import {
  common,
  dataOf,
  get,
  IF_MATCH,
  inPath,
  inQuery,
  list,
  listOf,
  MAP,
  ONCE,
  orNull,
  patch,
  post,
  RECORD_ID,
  remove,
  shape,
  TEXT,
  UUID,
  type Json,
} from './parts.ts';

const tag = 'General';

/** What the caller may see of the Model, search across it, this document, and files. */
export function generalPaths(context: CallContext): Json {
  const writes = [...context.model.objects.keys()].some((name) => rightsFor(context, name).canCreate || rightsFor(context, name).canUpdate);
  const search = [{ ...inQuery('q', 'Words.'), required: true }, inQuery('objects', 'Only these.'), inQuery('limit', 'At most.', { type: 'integer' })];
  return {
    '/api/v1/objects': get({ id: 'listObjects', summary: 'Objects that you may see', tag, answer: list(common('ObjectSummary')) }),
    '/api/v1/objects/{object}': get({
      id: 'getObject',
      summary: 'One object: fields, path, views, layout',
      tag,
      parameters: [inPath('object')],
      answer: dataOf(common('ObjectDescription')),
    }),
    '/api/v1/search': get({ id: 'search', summary: 'Search across objects', tag, parameters: search, answer: list(common('SearchHit')) }),
    '/api/v1/duplicates': get({
      id: 'listDuplicates',
      summary: 'Pairs of records that a duplicate rule takes for the same',
      tag,
      parameters: [{ ...inQuery('object', 'Of this object.'), required: true }],
      answer: list(common('DuplicatePair')),
      errors: ['not_found'],
    }),
    '/api/v1/duplicates/{id}/dismiss': post({
      id: 'dismissDuplicate',
      summary: 'Two records are not the same: the pair is not listed again',
      tag,
      parameters: [inPath('id', UUID), ONCE],
    }),
    '/api/v1/views': {
      ...get({
        id: 'listViews',
        summary: 'Views of an object: those of the metadata, your own, and those that others share',
        tag,
        parameters: [{ ...inQuery('object', 'Of this object.'), required: true }],
        answer: list(common('View')),
        errors: ['not_found', 'forbidden'],
      }),
      ...post({
        id: 'saveView',
        summary: 'Save a view',
        tag,
        parameters: [ONCE],
        body: VIEW_BODIES.create.schema,
        status: 201,
        answer: dataOf(common('View')),
        headers: ['ETag', 'Location'],
        errors: ['not_found', 'conflict_unique'],
      }),
    },
    '/api/v1/views/{id}': {
      ...get({
        id: 'getView',
        summary: 'One saved view',
        tag,
        parameters: [RECORD_ID],
        answer: dataOf(common('View')),
        headers: ['ETag'],
        errors: ['forbidden'],
      }),
      ...patch({
        id: 'changeView',
        summary: 'Change a saved view of your own',
        tag,
        parameters: [RECORD_ID, IF_MATCH],
        body: VIEW_BODIES.change.schema,
        answer: dataOf(common('View')),
        headers: ['ETag'],
      }),
      ...remove({ id: 'deleteView', summary: 'Delete a saved view of your own', tag, parameters: [RECORD_ID, IF_MATCH] }),
    },
    '/api/v1/trash': get({
      id: 'listTrash',
      summary: 'What lies in the trash, of all objects whose records you may delete',
      tag,
      parameters: [
        inQuery('objects', 'Only these, separated by commas.'),
        inQuery('limit', 'At most.', { type: 'integer', minimum: 1, maximum: 500, default: 50 }),
        inQuery('cursor', 'Where the page before ended.'),
      ],
      answer: shape({ data: listOf(common('TrashedRecord')), page: shape({ next: orNull(TEXT) }) }),
    }),
    '/api/v1/openapi.json': get({ id: 'getOpenApi', summary: 'This document', tag, answer: MAP }),
    '/api/v1/client.ts': get({
      id: 'getClient',
      summary: 'A TypeScript client of exactly these addresses',
      tag,
      answers: { 'text/typescript': { schema: TEXT } },
    }),
    ...(writes
      ? {
          '/api/v1/files': post({
            id: 'uploadFile',
            summary: 'Upload a file; its id is then written into a record',
            tag,
            parameters: [{ ...inQuery('name', 'File name.'), required: true }, ONCE],
            content: { '*/*': { schema: { type: 'string', contentEncoding: 'binary' } } },
            status: 201,
            answer: dataOf(common('StoredFile')),
            errors: ['validation_failed'],
          }),
        }
      : {}),
  };
}
