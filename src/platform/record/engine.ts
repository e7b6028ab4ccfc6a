import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction, isRetried } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { fault as defaultFault, type Fault } from '../fault.ts';
import { makeReader } from '../query/reader.ts';
import type { RecordData } from '../query/types.ts';
import { isTransaction } from '../sql.ts';
import { answerOf, isAnswerable } from './answer.ts';
import { isDirect, runDirect } from './direct.ts';
import { planOf, type ObjectPlan } from './object-plan.ts';
import { makeBatch, preparedBatch, writeBatch, type Machinery } from './pipeline.ts';
import { translateWriteError } from './pg-errors.ts';
import type { PolicyLookup } from './related.sql.ts';
import type { RecordEngine, RecordHook, WriteItem, WriteOptions, WriteOutcome } from './types.ts';
import { savepoint } from './write.sql.ts';
import type { Batch, Image } from './batch.ts';

export interface RecordEngineOptions {
  /** Called inside the record's transaction after history, audit and event are written. */
  readonly hooks?: readonly RecordHook[];
  /** Named points for crash tests; the process-wide plan of `fault.ts` by default. */
  readonly faults?: Fault;
  /** Answers `policy(...)` in guards, checks and defaults; without it such an expression fails with a clear word. */
  readonly policies?: PolicyLookup;
  /** Told of a write whose Model was replaced meanwhile, so that the next call asks for the one in force. */
  readonly onModelChanged?: () => void;
}

/**
 * The single write path: every write of a record, from wherever, is a batch that goes through here.
 * Nothing outside the database happens, so that a transaction may be tried again.
 */
export function makeRecordEngine(options: RecordEngineOptions = {}): RecordEngine {
  const faults = options.faults ?? defaultFault;
  const reader = makeReader();
  const machinery: Machinery = {
    hooks: options.hooks ?? [],
    faults,
    policies: options.policies,
    write: (tx, context, object, items, more) => write(machinery, tx, context, object, items, more),
    current: (tx, context, object, id) => readBack(reader, tx, context, object, id),
  };
  const telling = async <T>(writing: Promise<T>): Promise<T> => {
    try {
      return await writing;
    } catch (error) {
      if (isAppError(error, 'model_changed')) options.onModelChanged?.();
      throw error;
    }
  };
  return {
    write: (tx, context, object, items, more) => telling(write(machinery, tx, context, object, items, more ?? {})),
    writeOne: async (db, context, object, item) => {
      const direct = await writeWithoutLock(machinery, db, context, object, item);
      const answer = direct ?? (await telling(inTransaction(db, (tx) => writeUnderLock(machinery, reader, tx, context, object, item))));
      faults('record.after_commit');
      return answer;
    },
  };
}

type Written = Awaited<ReturnType<RecordEngine['writeOne']>>;

/** Writes by one statement where that is enough; null when it is not, or when somebody else wrote meanwhile. */
async function writeWithoutLock(machinery: Machinery, db: Knex, context: CallContext, object: string, item: WriteItem): Promise<Written | null> {
  const plan = planOf(context.model, object);
  if (isTransaction(db) || !isDirect(machinery, plan, item) || !isAnswerable(context, object)) return null;
  const batch = await tryDirect(machinery, db, context, plan, item);
  if (batch === null) return null;
  // It is written from here on: what fails now must not have it written once more.
  const { id, image } = writtenImage(batch);
  return { record: await answerOf(db, context, object, image, machinery.policies), id, version: Number(image?.['version']) };
}

async function tryDirect(
  machinery: Machinery,
  db: Knex,
  context: CallContext,
  plan: ObjectPlan,
  item: Extract<WriteItem, { kind: 'create' | 'update' }>,
): Promise<Batch | null> {
  try {
    return await runDirect(machinery, db, context, plan.object.name, item);
  } catch (error) {
    const known = translateWriteError(plan.object, error);
    if (known instanceof AppError) throw known;
    // What a lock would have kept away is tried again under lock.
    if (isRetried(error)) return null;
    throw error;
  }
}

async function writeUnderLock(
  machinery: Machinery,
  reader: ReturnType<typeof makeReader>,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  item: WriteItem,
): Promise<Written> {
  const { id, image } = writtenImage(await runAtomic(machinery, tx, context, object, [item], {}));
  const made = item.kind === 'delete' ? null : await answerOf(tx, context, object, image, machinery.policies);
  const record = made ?? (item.kind === 'delete' ? null : await readBack(reader, tx, context, object, id));
  machinery.faults('record.before_commit');
  return { record, id, version: Number(image?.['version']) };
}

function writtenImage(batch: Batch): { readonly id: string; readonly image: Image | null } {
  const [entry] = batch.entries;
  if (entry === undefined) throw new AppError('internal', 'The record engine lost an item.');
  return { id: entry.id, image: entry.idle ? entry.before : entry.after };
}

/** The record as the caller may read it, or null when it is out of the caller's sight. */
async function readBack(reader: ReturnType<typeof makeReader>, db: Knex, context: CallContext, object: string, id: string): Promise<RecordData | null> {
  try {
    return await reader.get(db, context, object, id);
  } catch (error) {
    if (isAppError(error, 'not_found')) return null;
    throw error;
  }
}

async function write(
  machinery: Machinery,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
  options: WriteOptions,
): Promise<readonly WriteOutcome[]> {
  if (items.length === 0) return [];
  if (options.mode === 'each') return writeEach(machinery, tx, context, object, items, options);
  return outcomesOf(await runAtomic(machinery, tx, context, object, items, options), 0);
}

async function runAtomic(
  machinery: Machinery,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
  options: WriteOptions,
): Promise<Batch> {
  const batch = makeBatch({ db: tx, tx }, context, object, items, options, true);
  try {
    await preparedBatch(machinery, batch);
    await writeBatch(machinery, batch);
  } catch (error) {
    throw translateWriteError(batch.plan.object, error);
  }
  return batch;
}

/**
 * Items fail one by one. What can be seen beforehand is sorted out before anything is written; what only the database
 * sees (a key taken by a write that commits meanwhile) undoes the set, which is halved until the culprit stands alone.
 */
async function writeEach(
  machinery: Machinery,
  tx: Knex.Transaction,
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
  options: WriteOptions,
  offset = 0,
): Promise<readonly WriteOutcome[]> {
  const batch = makeBatch({ db: tx, tx }, context, object, items, options, false);
  await savepoint(tx, 'set');
  try {
    await preparedBatch(machinery, batch);
    await writeBatch(machinery, batch);
    await savepoint(tx, 'release');
    return outcomesOf(batch, offset);
  } catch (error) {
    const known = translateWriteError(batch.plan.object, error);
    if (!(known instanceof AppError) || known.code === 'internal') throw known;
    await savepoint(tx, 'back');
    await savepoint(tx, 'release');
    // No item is at fault: what was written is undone, and the caller does all of it by the Model in force.
    if (known.code === 'model_changed') throw known;
    if (items.length === 1) return [{ ok: false, index: offset, code: known.code, message: known.message, errors: known.errors }];
    const half = Math.ceil(items.length / 2);
    const first = await writeEach(machinery, tx, context, object, items.slice(0, half), options, offset);
    return [...first, ...(await writeEach(machinery, tx, context, object, items.slice(half), options, offset + half))];
  }
}

function outcomesOf(batch: Batch, offset: number): readonly WriteOutcome[] {
  return batch.entries.map((entry): WriteOutcome => {
    const { failure } = entry;
    if (failure !== null) return { ok: false, index: offset + entry.index, code: failure.code, message: failure.message, errors: failure.errors };
    const image = entry.idle ? entry.before : entry.after;
    return { ok: true, id: entry.id, version: Number(image?.['version']), changed: !entry.idle, created: entry.item.kind === 'create' };
  });
}
