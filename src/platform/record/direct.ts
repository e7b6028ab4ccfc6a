import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { sideTables } from '../model/side-tables.ts';
import { pending, type Batch } from './batch.ts';
import { writeDirect } from './direct.sql.ts';
import { isUnmatched } from './duplicates.ts';
import { mayMove } from './moves.ts';
import type { ObjectPlan } from './object-plan.ts';
import type { Machinery } from './pipeline.ts';
import { makeBatch, preparedBatch } from './pipeline.ts';
import { feedsOf } from './rollup-feeds.ts';
import { sideRowsOf } from './side.ts';
import type { WriteItem } from './types.ts';

/**
 * True for a write that needs nothing held while it is prepared: the record is read without a lock, and one statement
 * writes it if it still stands at the version that was read. What names other records (they must not be trashed meanwhile),
 * takes a number, moves along a path, counts for a roll-up, stands in several tables, or is followed by other writes goes by the transaction.
 */
export function isDirect(machinery: Machinery, plan: ObjectPlan, item: WriteItem): item is Extract<WriteItem, { kind: 'create' | 'update' }> {
  if ((item.kind !== 'create' && item.kind !== 'update') || item.cause !== undefined) return false;
  if (sideTables(plan.object).length > 0 || plan.parentLocks.length > 0 || feedsOf(plan.model, plan.object).length > 0) return false;
  if (machinery.hooks.some((hook) => hook.object === '*' || hook.object === plan.object.name)) return false;
  if (item.kind === 'create' && (plan.sequences.length > 0 || plan.defaults.some(({ field }) => field.ref !== null))) return false;
  if (!isUnmatched(plan, item)) return false;
  if (item.kind === 'update' && mayMove(plan, item.values)) return false;
  return plan.references.every((field) => (item.values[field.name] ?? null) === null);
}

/**
 * Prepares and writes one item outside a transaction.
 * @returns null when the record or the Model changed meanwhile: nothing was written, and the write is to be done under lock
 * @throws AppError as every write does
 */
export async function runDirect(machinery: Machinery, db: Knex, context: CallContext, object: string, item: WriteItem): Promise<Batch | null> {
  const batch = makeBatch({ db, tx: null }, context, object, [item], {}, true);
  await preparedBatch(machinery, batch);
  const [entry] = pending(batch);
  if (entry === undefined) return batch;
  const { plan, actor } = batch;
  const kind = item.kind === 'create' ? 'create' : 'update';
  const written = new Set(['version', 'updatedAt', 'updatedBy', ...entry.changed]);
  const fields = plan.stored
    .map(({ field }) => field)
    .filter((field) => (kind === 'create' ? (entry.after[field.name] ?? null) !== null : written.has(field.name)));
  machinery.faults('record.before_write');
  const isWritten = await writeDirect(db, context, plan.object, { kind, id: entry.id, after: entry.after, fields, side: sideRowsOf(batch, [entry]), actor });
  return isWritten ? batch : null;
}
