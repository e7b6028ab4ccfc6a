import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import { isUuid } from '../ids.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import type { RecordData } from '../query/types.ts';
import type { Image } from './batch.ts';
import { targetOf } from './images.ts';
import { lockRecords } from './load.sql.ts';
import { planOf, type ObjectPlan } from './object-plan.ts';
import { uniqueConflict } from './pg-errors.ts';
import { liveTargets } from './references.sql.ts';
import { keepTrashRelations, liveRecords, takeTrashRelations, type TrashRelation } from './trash-relations.sql.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from './types.ts';
import { takenKeys } from './uniques.sql.ts';
import { savepoint } from './write.sql.ts';

/** Another record that a restore brought back, linked again, or left as it is. */
export interface RestoredRelation {
  readonly object: string;
  readonly id: string;
}

export interface LeftRelation extends RestoredRelation {
  readonly code: string;
  readonly reason: string;
}

export interface Restored {
  readonly record: RecordData | null;
  readonly id: string;
  readonly version: number;
  /** Records that had gone to the trash with it and are back. */
  readonly restored: readonly RestoredRelation[];
  /** Records whose reference to it was cleared and stands again. */
  readonly relinked: readonly RestoredRelation[];
  /** Records that stay as they are, for what happened meanwhile, with why. */
  readonly left: readonly LeftRelation[];
}

interface Outcome {
  readonly restored: RestoredRelation[];
  readonly relinked: RestoredRelation[];
  readonly left: LeftRelation[];
}

/** Children written in one go. */
const CHUNK = 500;

/**
 * Takes a record out of the trash, and with `relations` what went there with it and the references to it that were cleared.
 * What cannot come back, for somebody changed it or took its key meanwhile, is left and said. Writes, in one transaction.
 * The caller needs the right to restore the record itself; the rest follows as it did into the trash. What the answer
 * lists is what the caller may see.
 * @throws AppError conflict_unique or conflict_reference with every field that stands against the record itself
 */
export function restoreRecord(
  engine: RecordEngine,
  db: Knex,
  context: CallContext,
  object: string,
  item: { readonly id: string; readonly version: number; readonly relations: boolean },
): Promise<Restored> {
  return inTransaction(db, async (tx) => {
    const written = await restoreRoot(engine, tx, context, object, item);
    const outcome: Outcome = { restored: [], relinked: [], left: [] };
    if (item.relations) await restoreRelations(engine, tx, context, { object, id: item.id, version: item.version }, outcome);
    return { ...written, ...(await visible(tx, context, outcome)) };
  });
}

async function restoreRoot(
  engine: RecordEngine,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  { id, version }: { readonly id: string; readonly version: number },
): Promise<Awaited<ReturnType<RecordEngine['writeOne']>>> {
  await savepoint(tx, 'set');
  try {
    const written = await engine.writeOne(tx, context, object, { kind: 'restore', id, version });
    await savepoint(tx, 'release');
    return written;
  } catch (error) {
    if (!isAppError(error, 'conflict_unique') && !isAppError(error, 'conflict_reference')) throw error;
    await savepoint(tx, 'back');
    const errors = await conflictsOf(tx, context, planOf(context.model, object), id);
    throw errors.length === 0 ? error : new AppError(error.code, `${error.message}`, { errors, cause: error });
  }
}

/** Everything that stands against a record in the trash coming back: keys that others took, references to what is gone. */
async function conflictsOf(tx: Knex.Transaction, context: CallContext, plan: ObjectPlan, id: string): Promise<readonly ErrorDetail[]> {
  const image = (await lockRecords(tx, plan.object, [id], context.model.version)).get(id);
  if (image === undefined) return [];
  const { readable } = rightsFor(context, plan.object.name);
  const found: ErrorDetail[] = [];
  for (const key of plan.uniques) {
    const isFull = key.every((field) => (image[field.name] ?? null) !== null);
    if (!isFull || !key.every((field) => readable.has(field.name))) continue;
    const taken = await takenKeys(tx, plan.object, key, [{ index: 0, id, image }]);
    if (taken.has(0)) found.push(...uniqueConflict(plan.object, key).errors);
  }
  for (const field of plan.references) {
    if (readable.has(field.name) && !(await isAlive(tx, context, field, image))) {
      const detail = `${field.label} points to a record that is gone.`;
      found.push({ pointer: `/${field.name}`, code: 'reference', detail, fix: 'Restore that record first.' });
    }
  }
  return found;
}

async function isAlive(tx: Knex.Transaction, context: CallContext, field: FieldModel, image: Image): Promise<boolean> {
  const target = targetOf(field, image[field.name]);
  if (target === null || !isUuid(target.id)) return true;
  const live = await liveTargets(tx, context.model, new Map([[target.object, new Set([target.id])]]), () => null);
  return live.get(target.object)?.has(target.id) === true;
}

/** Brings back what followed a record into the trash, and what followed that. */
async function restoreRelations(
  engine: RecordEngine,
  tx: Knex.Transaction,
  context: CallContext,
  root: { readonly object: string; readonly id: string; readonly version: number },
  outcome: Outcome,
): Promise<void> {
  const relations = await takeTrashRelations(tx, root.id, root.version);
  for (const group of grouped(relations)) {
    const object = context.model.objects.get(group[0]?.object ?? '');
    // An object that metadata has dropped since has nothing to be brought back.
    if (object === undefined) continue;
    const fieldId = group[0]?.fieldId ?? null;
    if (fieldId === null) await restoreChildren(engine, tx, context, object, group, outcome);
    else await relink(engine, tx, context, object, fieldId, { ...root, group }, outcome);
  }
}

function grouped(relations: readonly TrashRelation[]): readonly (readonly TrashRelation[])[] {
  const groups = new Map<string, TrashRelation[]>();
  for (const relation of relations) {
    const key = `${relation.fieldId === null ? 0 : 1} ${relation.object} ${relation.fieldId ?? ''}`;
    groups.set(key, [...(groups.get(key) ?? []), relation]);
  }
  // What comes back must be there before anything is linked to it.
  return [...groups].sort(([left], [right]) => (left < right ? -1 : 1)).flatMap(([, group]) => chunks(group));
}

function chunks<T>(list: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / CHUNK) }, (_, index) => list.slice(index * CHUNK, (index + 1) * CHUNK));
}

async function restoreChildren(
  engine: RecordEngine,
  tx: Knex.Transaction,
  context: CallContext,
  object: ObjectModel,
  group: readonly TrashRelation[],
  outcome: Outcome,
): Promise<void> {
  const items = group.map(({ id, version }): WriteItem => ({ kind: 'restore', id, version }));
  const written = await writeTogether(engine, tx, context, object.name, items);
  for (const [index, relation] of group.entries()) {
    if (settle(written[index], relation, outcome.restored, outcome)) await restoreRelations(engine, tx, context, relation, outcome);
    // What could not come back now may come back when it is restored by itself.
    else await keepTrashRelations(tx, [relation]);
  }
}

/** All at once, for they may point at each other; one by one where that is not possible. */
async function writeTogether(
  engine: RecordEngine,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
): Promise<readonly WriteOutcome[]> {
  await savepoint(tx, 'set');
  try {
    const written = await engine.write(tx, context, object, items, { mode: 'atomic', asSystem: true });
    await savepoint(tx, 'release');
    return written;
  } catch (error) {
    if (!isAppError(error) || error.code === 'internal') throw error;
    await savepoint(tx, 'back');
    await savepoint(tx, 'release');
    return engine.write(tx, context, object, items, { mode: 'each', asSystem: true });
  }
}

async function relink(
  engine: RecordEngine,
  tx: Knex.Transaction,
  context: CallContext,
  object: ObjectModel,
  fieldId: string,
  { object: target, id, group }: { readonly object: string; readonly id: string; readonly group: readonly TrashRelation[] },
  outcome: Outcome,
): Promise<void> {
  const field = [...object.fields.values()].find((entry) => entry.id === fieldId);
  if (field === undefined || field.column === null) return;
  const ids = group.map((relation) => relation.id);
  const free = await liveRecords(tx, object, ids, field);
  for (const relation of group) {
    if (!free.has(relation.id))
      outcome.left.push({
        object: object.name,
        id: relation.id,
        code: 'conflict_state',
        reason: `${field.label} was filled, or the record went to the trash, meanwhile.`,
      });
  }
  const linked = group.filter((relation) => free.has(relation.id));
  const value = field.objectColumn === null ? id : { object: target, id };
  const items = linked.map((relation): WriteItem => ({ kind: 'update', id: relation.id, values: { [field.name]: value } }));
  const written = await engine.write(tx, context, object.name, items, { mode: 'each', asSystem: true });
  linked.forEach((relation, index) => settle(written[index], relation, outcome.relinked, outcome));
}

function settle(written: WriteOutcome | undefined, { object, id }: TrashRelation, done: RestoredRelation[], outcome: Outcome): boolean {
  if (written === undefined) throw new AppError('internal', 'A write of a restore was lost.');
  if (written.ok) done.push({ object, id });
  else outcome.left.push({ object, id, code: written.code, reason: written.message });
  return written.ok;
}

/** Only what the caller may see. */
async function visible(tx: Knex.Transaction, context: CallContext, outcome: Outcome): Promise<Outcome> {
  const all = [...outcome.restored, ...outcome.relinked, ...outcome.left];
  const seen = new Set<string>();
  for (const object of new Set(all.map((entry) => entry.object))) {
    if (!rightsFor(context, object).canRead) continue;
    const ids = all.filter((entry) => entry.object === object).map((entry) => entry.id);
    for (const [id, rights] of await readRowRights(tx, context, object, ids)) if (rights.canRead && (!rights.isTrashed || rights.canDelete)) seen.add(id);
  }
  const kept = <T extends RestoredRelation>(list: readonly T[]): T[] => list.filter((entry) => seen.has(entry.id));
  return { restored: kept(outcome.restored), relinked: kept(outcome.relinked), left: kept(outcome.left) };
}
