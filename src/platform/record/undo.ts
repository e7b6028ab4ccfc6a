import type { Knex } from 'knex';
import { unknownRecord } from '../access/rights.ts';
import { readRowRights, type RowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import type { FieldModel } from '../model/types.ts';
import type { Reader } from '../query/reader.ts';
import type { RecordData } from '../query/types.ts';
import type { Image } from './batch.ts';
import { lockRecords } from './load.sql.ts';
import { mergeAt, mergeById, wasPartedAt, type MergeRow } from './merge.sql.ts';
import { planOf, type ObjectPlan } from './object-plan.ts';
import { partRecords, type Kept } from './part.ts';
import { restoreRecord } from './restore.ts';
import type { RecordEngine } from './types.ts';
import { lastChange, type Change } from './undo.sql.ts';

export interface UndoDeps {
  readonly engine: RecordEngine;
  readonly reader: Reader;
}

export interface UndoRequest {
  readonly id: string;
  /** Version of the record as the caller read it. */
  readonly version: number;
  /** A merge into this record, also one after which it was changed; without it the last change is undone. */
  readonly merge: string | null;
}

export interface Undone {
  readonly undid: Change['kind'] | 'merged';
  /** Null when the record is in the trash now, or out of the caller's sight. */
  readonly record: RecordData | null;
  readonly version: number;
  /** What stays as it is, for somebody changed it since; as far as the caller may see it. */
  readonly kept: readonly Kept[];
}

/**
 * Takes back the last change of a record, or a merge into it: a changed record gets its old values, a new one goes to the
 * trash, a trashed one comes back with its relations, merged ones are parted. The undo is a change of its own, with the
 * caller's own rights, and but for parted records can itself be undone. Writes, in one transaction.
 * @throws AppError conflict_state for a step along the path: what followed from it is not taken back by this
 */
export function undoChange(deps: UndoDeps, db: Knex, context: CallContext, object: string, request: UndoRequest): Promise<Undone> {
  return inTransaction(db, async (tx) => {
    const plan = planOf(context.model, object);
    const { image, rights } = await load(tx, context, plan, request.id);
    if (image['version'] !== request.version) throw await stale(deps, tx, context, plan, request, image);
    const merge = request.merge === null ? await mergeAt(tx, request.id, request.version) : await namedMerge(tx, plan, request.id, request.merge);
    if (merge !== null) return undoMerge(deps, tx, context, plan, merge, rights);
    if (await wasPartedAt(tx, request.id, request.version))
      throw new AppError('conflict_state', `The last change of this ${plan.object.label} undid a merge; merge the records again instead.`);
    const change = await lastChange(tx, plan.object.id, request.id, rights.dates);
    if (change === null) throw new AppError('conflict_state', `The history of this ${plan.object.label} does not say what was changed last.`);
    return undoOne(deps, tx, context, plan, request, change);
  });
}

async function load(tx: Knex.Transaction, context: CallContext, plan: ObjectPlan, id: string): Promise<{ readonly image: Image; readonly rights: RowRights }> {
  const { name } = plan.object;
  if (!isUuid(id)) throw unknownRecord(name, id);
  const image = (await lockRecords(tx, plan.object, [id], context.model.version)).get(id);
  const rights = (await readRowRights(tx, context, name, [id])).get(id);
  if (image === undefined || rights?.canRead !== true || (rights.isTrashed && !rights.canDelete)) throw unknownRecord(name, id);
  return { image, rights };
}

async function stale(
  { reader }: UndoDeps,
  tx: Knex.Transaction,
  context: CallContext,
  { object }: ObjectPlan,
  request: UndoRequest,
  image: Image,
): Promise<AppError> {
  const current = image['deletedAt'] === null ? await reader.get(tx, context, object.name, request.id) : null;
  const message = `Somebody changed this ${object.label} since you read it (you have version ${request.version}, now it is ${String(image['version'])}).`;
  return new AppError('conflict_version', message, { extra: { current, clashing: [] } });
}

async function namedMerge(tx: Knex.Transaction, { object }: ObjectPlan, id: string, mergeId: string): Promise<MergeRow> {
  const merge = isUuid(mergeId) ? await mergeById(tx, mergeId) : null;
  if (merge === null || merge.survivorId !== id || merge.object !== object.name)
    throw new AppError('not_found', `There is no such merge into this ${object.label}.`);
  if (merge.undoneAt !== null) throw new AppError('conflict_state', 'This merge was undone before.');
  return merge;
}

async function undoMerge(
  deps: UndoDeps,
  tx: Knex.Transaction,
  context: CallContext,
  { object }: ObjectPlan,
  merge: MergeRow,
  rights: RowRights,
): Promise<Undone> {
  if (rights.isTrashed) throw new AppError('conflict_state', `This ${object.label} is in the trash; restore it first.`);
  if (!rights.canUpdate) throw new AppError('forbidden', `You may not change this ${object.label}, so you may not part it.`);
  const kept = await partRecords(deps.engine, tx, { ...context, allowDuplicates: true }, merge);
  return { undid: 'merged', ...(await now(deps, tx, context, object.name, merge.survivorId)), kept: await visible(tx, context, kept) };
}

async function undoOne(
  deps: UndoDeps,
  tx: Knex.Transaction,
  context: CallContext,
  plan: ObjectPlan,
  request: UndoRequest,
  { kind, changes }: Change,
): Promise<Undone> {
  const { name } = plan.object;
  const { id, version } = request;
  switch (kind) {
    case 'created':
    case 'restored': {
      const gone = await deps.engine.writeOne(tx, context, name, { kind: 'delete', id, version });
      return { undid: kind, record: null, version: gone.version, kept: [] };
    }
    case 'deleted': {
      const back = await restoreRecord(deps.engine, tx, context, name, { id, version, relations: true });
      const kept = back.left.map((left): Kept => ({ object: left.object, id: left.id, field: null, reason: left.reason }));
      return { undid: kind, record: back.record, version: back.version, kept };
    }
    case 'updated': {
      const written = await deps.engine.writeOne(tx, context, name, { kind: 'update', id, version, values: formerValues(plan, changes) });
      return { undid: kind, record: written.record, version: written.version, kept: [] };
    }
  }
}

/** The old values of what was changed. What the engine computes follows by itself. */
function formerValues({ object }: ObjectPlan, changes: Change['changes']): Readonly<Record<string, unknown>> {
  const fields = new Map([...object.fields.values()].map((field): [string, FieldModel] => [field.id, field]));
  const values: Record<string, unknown> = {};
  for (const [fieldId, [old]] of Object.entries(changes)) {
    const field = fields.get(fieldId);
    if (field === undefined) continue;
    if (field.name === object.path?.field) {
      const detail = `The last change of this ${object.label} was a step along its path, which other work may have followed.`;
      throw new AppError('conflict_state', detail, {
        errors: [{ pointer: `/${field.name}`, code: 'state', detail, fix: 'Use a transition that leads back.' }],
      });
    }
    if (!field.readOnly && (!field.system || field.name === 'ownerId')) values[field.name] = old;
  }
  return values;
}

async function now(
  { reader }: UndoDeps,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  id: string,
): Promise<{ readonly record: RecordData | null; readonly version: number }> {
  const plan = planOf(context.model, object);
  const image = (await lockRecords(tx, plan.object, [id], context.model.version)).get(id);
  try {
    return { record: await reader.get(tx, context, object, id), version: Number(image?.['version']) };
  } catch (error) {
    if (isAppError(error, 'not_found')) return { record: null, version: Number(image?.['version']) };
    throw error;
  }
}

async function visible(tx: Knex.Transaction, context: CallContext, kept: readonly Kept[]): Promise<readonly Kept[]> {
  const seen = new Map<string, RowRights>();
  for (const object of new Set(kept.map((entry) => entry.object))) {
    const ids = [...new Set(kept.filter((entry) => entry.object === object).map(({ id }) => id))];
    for (const [id, rights] of await readRowRights(tx, context, object, ids))
      if (rights.canRead && (!rights.isTrashed || rights.canDelete)) seen.set(id, rights);
  }
  return kept.filter(({ id, field }) => seen.has(id) && (field === null || seen.get(id)?.readable.has(field) === true));
}
