import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError, isAppError } from '../errors.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { fail, pending, txOf, type Batch, type Entry } from './batch.ts';
import { pointingAt, type Pointing } from './references.sql.ts';
import { keepTrashRelations, liveRecords, type TrashRelation } from './trash-relations.sql.ts';
import type { WriteItem, WriteOptions, WriteOutcome } from './types.ts';

/** Writes that follow from trashing: children that are trashed too, or lose their reference. */
export interface FollowUp {
  readonly object: ObjectModel;
  /** The reference that is cleared; null when the children go to the trash. */
  readonly cleared: FieldModel | null;
  /** Child's id -> id of the record that it points at. */
  readonly targets: ReadonlyMap<string, string>;
}

/**
 * What still points at the records that go to the trash (they are locked FOR UPDATE by now, so no new reference can
 * come in between). Records that restrict end the entry, with nothing but their number; the rest is answered as writes.
 */
export async function lookForChildren(batch: Batch): Promise<readonly FollowUp[]> {
  const going = pending(batch).filter((entry) => entry.item.kind === 'delete');
  const { plan } = batch;
  if (going.length === 0) return [];
  const pointing = await pointingAt(
    txOf(batch),
    plan.object,
    plan.inbound,
    going.map((entry) => entry.id),
  );
  // Records that go in the same batch do not hold each other.
  const leaving = new Set(going.map((entry) => entry.id));
  for (const entry of going) refuseRestricted(batch, entry, pointing, leaving);
  const left = going.filter((entry) => entry.failure === null);
  return pointing.flatMap((found) => followUp(found, left, leaving));
}

function refuseRestricted(batch: Batch, entry: Entry, pointing: readonly Pointing[], leaving: ReadonlySet<string>): void {
  const ids = pointing.filter(({ inbound }) => inbound.onDelete === 'restrict').flatMap(({ byTarget }) => byTarget.get(entry.id) ?? []);
  const count = new Set(ids.filter((id) => !leaving.has(id))).size;
  if (count === 0) return;
  const message = `${count === 1 ? 'One other record still points' : `${count} other records still point`} to this ${batch.plan.object.label}.`;
  const errors = [{ pointer: '', code: 'restrict', detail: message, fix: 'Delete or change those records first.' }];
  fail(batch, entry, new AppError('conflict_reference', message, { errors, extra: { count } }));
}

function followUp({ inbound, byTarget }: Pointing, entries: readonly Entry[], leaving: ReadonlySet<string>): readonly FollowUp[] {
  if (inbound.onDelete === 'restrict') return [];
  const targets = new Map(entries.flatMap((entry) => (byTarget.get(entry.id) ?? []).filter((id) => !leaving.has(id)).map((id) => [id, entry.id] as const)));
  return targets.size === 0 ? [] : [{ object: inbound.object, cleared: inbound.onDelete === 'cascade' ? null : inbound.field, targets }];
}

type WriteBatch = (
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
  options: WriteOptions,
) => Promise<readonly WriteOutcome[]>;

/** Carries out what follows from trashing, and keeps what it did, so that a restore can take it back. */
export async function followChildren(write: WriteBatch, batch: Batch, followUps: readonly FollowUp[]): Promise<void> {
  const tx = txOf(batch);
  // What goes to the trash goes first: it loses no references. What went with another child is not written again.
  for (const { object, cleared, targets } of [...followUps].sort((left, right) => Number(left.cleared !== null) - Number(right.cleared !== null))) {
    const ids = [...(await liveRecords(tx, object, [...targets.keys()]))];
    const items = ids.map((id): WriteItem => (cleared === null ? { kind: 'delete', id } : { kind: 'update', id, values: { [cleared.name]: null } }));
    try {
      const outcomes = await write(tx, batch.context, object.name, items, { mode: 'atomic', asSystem: true, events: batch.events });
      await keepTrashRelations(tx, relationsOf(batch, { object, cleared, targets }, outcomes));
    } catch (error) {
      if (!isAppError(error, 'validation_failed')) throw error;
      const why = isOpen(batch, object) ? `: ${error.message}` : '.';
      throw new AppError('conflict_reference', `Another record that points here cannot lose its reference${why}`, { cause: error });
    }
  }
}

/** Whether the caller may read every record of the object whole, so that what is wrong with one of them may be said. */
function isOpen({ rights, context }: Batch, object: ObjectModel): boolean {
  if (rights === null) return true;
  return rightsFor(context, object.name).readGrants.some(
    (grant) => grant.read.kind === 'all' && [...object.fields.keys()].every((name) => grant.fields.has(name)),
  );
}

function relationsOf(batch: Batch, { object, cleared, targets }: FollowUp, outcomes: readonly WriteOutcome[]): readonly TrashRelation[] {
  const versions = new Map(batch.entries.map((entry) => [entry.id, Number(entry.after['version'])]));
  return outcomes.flatMap((outcome) => {
    if (!outcome.ok) return [];
    const rootId = targets.get(outcome.id) ?? '';
    return [{ rootId, rootVersion: versions.get(rootId) ?? 0, object: object.name, id: outcome.id, version: outcome.version, fieldId: cleared?.id ?? null }];
  });
}
