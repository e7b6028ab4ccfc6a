import { Router } from 'express';
import type { Reader } from '../../platform/query/reader.ts';
import { MOST_SOURCES, mergeRecords } from '../../platform/record/merge.ts';
import { restoreRecord } from '../../platform/record/restore.ts';
import type { RecordEngine } from '../../platform/record/types.ts';
import { succeedRecord } from '../../platform/record/succeed.ts';
import { undoChange } from '../../platform/record/undo.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, ifMatch, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { valuesOf } from './read-query.ts';

export interface LifecycleRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly engine: RecordEngine;
}

const id = { type: 'string' };

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const LIFECYCLE_BODIES = {
  restore: bodySchema<{ readonly relations?: boolean } | null>({
    type: ['object', 'null'],
    additionalProperties: false,
    properties: { relations: { type: 'boolean', default: true, description: 'Also what went to the trash with it, and references that were cleared.' } },
  }),
  merge: bodySchema<{
    readonly sources: readonly { readonly id: string; readonly version: number }[];
    readonly fields?: Readonly<Record<string, string>>;
    readonly fill?: boolean;
    readonly preview?: boolean;
  }>({
    type: 'object',
    additionalProperties: false,
    required: ['sources'],
    properties: {
      sources: {
        type: 'array',
        minItems: 1,
        maxItems: MOST_SOURCES,
        description: 'Records that are merged into this one.',
        items: { type: 'object', additionalProperties: false, required: ['id', 'version'], properties: { id, version: { type: 'integer', minimum: 1 } } },
      },
      fields: { type: 'object', additionalProperties: id, description: 'Field to the id of the record whose value is taken.' },
      fill: { type: 'boolean', default: true, description: 'What this record lacks is taken from the first of the others that has it.' },
      preview: { type: 'boolean', default: false, description: 'Only say what would come out; nothing is written.' },
    },
  }),
  undo: bodySchema<{ readonly merge?: string } | null>({
    type: ['object', 'null'],
    additionalProperties: false,
    properties: { merge: { ...id, description: 'A merge into this record; without it the last change is undone.' } },
  }),
};

/** Out of the trash with relations, merging and parting, undoing the last change, one fact after another. */
export function lifecycleRoutes(deps: LifecycleRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.post(
    '/:object/:id/restore',
    handle(deps, (call) => restore(deps, call)),
  );
  router.post(
    '/:object/:id/merge',
    handle(deps, (call) => merge(deps, call)),
  );
  router.post(
    '/:object/:id/undo',
    handle(deps, (call) => undo(deps, call)),
  );
  router.post(
    '/:object/:id/succeed',
    handle(deps, (call) => succeed(deps, call)),
  );
  return router;
}

async function restore({ engine }: LifecycleRouteDeps, { request, db, context }: Call): Promise<Answer> {
  const version = ifMatch(request);
  const relations = readBody(request, LIFECYCLE_BODIES.restore)?.relations ?? true;
  const { record, restored, relinked, left, ...written } = await restoreRecord(engine, db, context, param(request, 'object'), {
    id: param(request, 'id'),
    version,
    relations,
  });
  return { body: { data: record ?? { id: written.id, version: written.version }, meta: { restored, relinked, left } }, version: written.version };
}

async function merge(deps: LifecycleRouteDeps, { request, db, context }: Call): Promise<Answer> {
  const version = ifMatch(request);
  const { sources, fields = {}, fill = true, preview = false } = readBody(request, LIFECYCLE_BODIES.merge);
  const survivor = { id: param(request, 'id'), version };
  const merged = await mergeRecords(deps, db, context, param(request, 'object'), { survivor, sources, fields, fill, preview });
  const data = merged.record ?? { id: survivor.id, version: merged.version };
  const meta = { merge: merged.merge, preview, moved: merged.moved };
  return preview ? { body: { data, meta } } : { body: { data, meta }, version: merged.version };
}

async function undo(deps: LifecycleRouteDeps, { request, db, context }: Call): Promise<Answer> {
  const version = ifMatch(request);
  const mergeId = readBody(request, LIFECYCLE_BODIES.undo)?.merge ?? null;
  const undone = await undoChange(deps, db, context, param(request, 'object'), { id: param(request, 'id'), version, merge: mergeId });
  return { body: { data: undone.record, meta: { undid: undone.undid, version: undone.version, kept: undone.kept } }, version: undone.version };
}

async function succeed({ engine }: LifecycleRouteDeps, { request, db, context }: Call): Promise<Answer> {
  const [object, version] = [param(request, 'object'), ifMatch(request)];
  const made = await succeedRecord(engine, db, context, object, { id: param(request, 'id'), version, values: valuesOf(request.body) });
  const body = { data: made.record ?? { id: made.id, version: made.version }, meta: { closed: made.closed } };
  return { status: 201, body, version: made.version, location: `/api/v1/records/${object}/${made.id}` };
}
