import type { Knex } from 'knex';
import { inTransaction } from '../db.ts';
import { fault } from '../fault.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import { keyText } from '../query/by-key.ts';
import { uniqueConflict } from '../record/pg-errors.ts';
import { prepareBlock, writeBlock, type BlockOutcome, type BlockWork, type PreparedBlock } from './block.ts';
import { doneChunks, keepFindings, noteChunk, takeChunk } from './progress.sql.ts';
import { refersToItself, type ReadRow } from './references.ts';
import { makeSeenKeys, type SeenKeys } from './seen-keys.ts';
import { stagedBlock } from './staging.sql.ts';
import type { Finding, Phase } from './types.ts';

/** Blocks whose transactions are open at once: while the database writes one, the next is validated. */
const AT_ONCE = 2;

export interface JobWork extends BlockWork {
  readonly jobId: string;
  readonly phase: Phase;
}

/** Looks, before each block, whether to go on; throws to stop between two blocks. */
export type Checkpoint = (blocksDone: number) => Promise<void>;

/** Ends a transaction of which nothing is to stay. */
class NothingStays extends Error {}

/** Runs `work` in a transaction and rolls it back. */
async function withoutTrace<T>(db: Knex, work: (tx: Knex.Transaction) => Promise<T>): Promise<T> {
  const box: { answer: { readonly value: T } | null } = { answer: null };
  try {
    await inTransaction(db, async (tx) => {
      box.answer = { value: await work(tx) };
      throw new NothingStays();
    });
  } catch (error) {
    if (!(error instanceof NothingStays)) throw error;
  }
  if (box.answer === null) throw new TypeError('A transaction ended without an answer.');
  return box.answer.value;
}

async function keepOutcome(tx: Knex.Transaction, work: JobWork, ordinal: number, outcome: BlockOutcome): Promise<void> {
  await keepFindings(tx, work.jobId, work.phase, outcome.findings);
  await noteChunk(tx, work.jobId, work.phase, ordinal, outcome);
}

/** Writes a block and notes what became of it, in one transaction; a block that somebody else has done is left. */
async function runBlock(db: Knex, work: JobWork, prepared: PreparedBlock): Promise<void> {
  const { ordinal, rows } = prepared.block;
  await inTransaction(db, async (tx) => {
    if (!(await takeChunk(tx, work.jobId, 'run', ordinal, rows.length))) return;
    const outcome = await writeBlock(tx, work, prepared);
    fault('import.in_chunk');
    await keepOutcome(tx, work, ordinal, outcome);
  });
  fault('import.after_chunk');
}

/** Tries a block in a transaction that leaves nothing, and notes what would become of it. */
async function checkBlock(db: Knex, work: JobWork, prepared: PreparedBlock, taken: TakenKeys, tx: Knex.Transaction | null): Promise<void> {
  const { ordinal, rows } = prepared.block;
  const tried = tx === null ? await withoutTrace(db, (own) => writeBlock(own, work, prepared)) : await writeBlock(tx, work, prepared);
  const outcome = taken.without(tried, new Map(rows.map(({ line, cells }) => [line, cells])));
  await inTransaction(db, async (noting) => {
    if (await takeChunk(noting, work.jobId, 'check', ordinal, rows.length)) await keepOutcome(noting, work, ordinal, outcome);
  });
}

interface TakenKeys {
  without(outcome: BlockOutcome, cells: ReadonlyMap<number, readonly unknown[]>): BlockOutcome;
}

/**
 * Unique values of rows that would be written, over the whole file: a check writes nothing, so the database cannot see that two
 * blocks want the same value. Those of the import's own key are seen to elsewhere.
 */
function makeTakenKeys({ context, object, mapper }: BlockWork): TakenKeys {
  const model = context.model.objects.get(object);
  const named = new Set(mapper.fields);
  const single = [...(model?.fields.values() ?? [])].filter((field) => field.unique && !field.system).map((field) => [field]);
  const sets = (model?.unique ?? []).map((names) => names.flatMap((name) => model?.fields.get(name) ?? []));
  const keys = [...single, ...sets].filter((key) => key.every(({ name }) => named.has(name)) && key.map(({ name }) => name).join() !== mapper.key.join());
  const seen = keys.map((): SeenKeys => makeSeenKeys());
  const clash = (row: ReadRow): Omit<Finding, 'cells'> | null => {
    for (const [index, key] of keys.entries()) {
      const values: readonly unknown[] = key.map((field) => FIELD_TYPES[field.kind].parse(row.values[field.name], field) ?? null);
      const earlier = values.includes(null) ? null : (seen[index]?.firstLine(keyText(values), row.line) ?? null);
      if (earlier === null || model === undefined) continue;
      const [error] = uniqueConflict(model, key).errors;
      const reason = error === undefined ? '' : `${error.detail} ${error.fix ?? ''}`.trim();
      return { line: row.line, column: mapper.columnOf(key[0]?.name ?? ''), reason, recordId: null };
    }
    return null;
  };
  return {
    without: (outcome, cells) => {
      const clashes = [...outcome.written].sort((a, b) => a.line - b.line).flatMap((row) => clash(row) ?? []);
      if (clashes.length === 0) return outcome;
      const findings = [...outcome.findings, ...clashes.map((found) => ({ ...found, cells: cells.get(found.line) ?? [] }))];
      const { created, rejected } = outcome.counts;
      return { ...outcome, findings, counts: { ...outcome.counts, created: created - clashes.length, rejected: rejected + clashes.length } };
    },
  };
}

/**
 * Does the blocks of a job that are not done yet, in order, and stops between two of them when the checkpoint throws. May be called again in another process: what was written is not written again.
 */
export async function workOff(db: Knex, work: JobWork, checkpoint: Checkpoint): Promise<void> {
  const refers = refersToItself(work.context, work.object, work.mapper);
  if (work.phase === 'run') return inBlocks(db, db, work, checkpoint, refers ? 1 : AT_ONCE, (prepared) => runBlock(db, work, prepared));
  const taken = makeTakenKeys(work);
  // Rows that point at rows before them must find these written, so that such a file is checked in one transaction.
  if (refers) return withoutTrace(db, (tx) => inBlocks(db, tx, work, checkpoint, 1, (prepared) => checkBlock(db, work, prepared, taken, tx)));
  return inBlocks(db, db, work, checkpoint, 1, (prepared) => checkBlock(db, work, prepared, taken, null));
}

async function inBlocks(
  db: Knex,
  reading: Knex,
  work: JobWork,
  checkpoint: Checkpoint,
  atOnce: number,
  act: (prepared: PreparedBlock) => Promise<void>,
): Promise<void> {
  const done = await doneChunks(db, work.jobId, work.phase);
  const seen = makeSeenKeys();
  const open = new Set<Promise<void>>();
  const failed: { first: { readonly error: unknown } | null } = { first: null };
  const begin = (prepared: PreparedBlock): void => {
    const task: Promise<void> = act(prepared)
      .catch((error: unknown) => {
        failed.first ??= { error };
      })
      .finally(() => open.delete(task));
    open.add(task);
  };
  const free = async (most: number): Promise<void> => {
    while (open.size > most) await Promise.race(open);
  };
  try {
    for (let ordinal = 0; failed.first === null; ordinal += 1) {
      await checkpoint(ordinal);
      const block = await stagedBlock(db, work.jobId, ordinal);
      if (block === null) break;
      if (atOnce === 1) await free(0);
      // What is done already is read all the same: later rows must not repeat it.
      const prepared = await prepareBlock(reading, work, block, seen);
      if (done.has(ordinal)) continue;
      await free(atOnce - 1);
      begin(prepared);
    }
  } catch (error) {
    failed.first ??= { error };
  }
  // Whatever happened: no block is left in the middle, and what went wrong first is what is reported.
  await free(0);
  if (failed.first !== null) throw failed.first.error;
}
