import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { inTransaction, SQLSTATE, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { shortLocks } from './applying.ts';
import {
  attachYears,
  claimSplit,
  copyRows,
  countTo,
  hasMoreThan,
  highestNumber,
  indexFilled,
  lockHistory,
  makeEmpty,
  moveSplit,
  nextYear,
  readHistoryTables,
  swapDefault,
  type HistoryTables,
  type SplitState,
  type Year,
} from './history-years.sql.ts';

export interface HistoryYearsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Rows that are copied by one transaction; 20,000 take about 0.2 s. */
  readonly rowsAtOnce?: number;
  /** At most this many rows are copied while everybody waits. */
  readonly rowsAtLast?: number;
  /** How long it leaves others alone, by the machine's own time, after it did not get a lock. */
  readonly pauseMs?: number;
}

const ROWS_AT_ONCE = 20_000;
const ROWS_AT_LAST = 2_000;
/** Partitions are made a year ahead: to look four times a day is more than enough. */
const LOOK_AGAIN_MS = 6 * 3_600_000;
const PAUSE_MS = 10_000;

/**
 * Work of the worker: the partitions of the history for this year and the next, by the clock that dates the records, made before a row needs them. A write never fails for
 * want of one: it lands in the default partition, whose rows are copied into partitions of their years in small transactions while everybody reads
 * and writes on, and stay there until one short transaction puts the copies in its place. A killed copy goes on where it was.
 */
export function makeHistoryYears(options: HistoryYearsOptions): {
  readonly name: string;
  readonly everySeconds: number;
  readonly run: (db: Knex) => Promise<number>;
} {
  const { clock, log, rowsAtOnce = ROWS_AT_ONCE, rowsAtLast = ROWS_AT_LAST, pauseMs = PAUSE_MS } = options;
  let lookAgainAt = 0;
  let pausedUntil = 0;
  /** Up to which number the copies were counted: that takes long, and is not done anew when a lock is tried again. */
  let counted: string | null = null;
  const run = async (db: Knex): Promise<number> => {
    const nowMs = clock.nowMs();
    if (nowMs < lookAgainAt || performance.now() < pausedUntil) return 0;
    const years = yearsAhead(clock.now());
    try {
      const tables = await readHistoryTables(db);
      const done = isSplit(tables) ? await ahead(db, tables, years) : await split(db, years);
      if (isSplit(tables) && done === 0) lookAgainAt = nowMs + LOOK_AGAIN_MS;
      return done;
    } catch (error) {
      if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
      pausedUntil = performance.now() + pauseMs;
      log.info({ handler: 'history-years' }, 'Others hold the history for long; its partitions are seen to later.');
      return 0;
    }
  };

  const ahead = async (db: Knex, { attached }: HistoryTables, years: readonly Year[]): Promise<number> => {
    const missing = years.filter((year) => !attached.has(year));
    if (missing.length === 0) return 0;
    return inTransaction(db, async (tx) => {
      if ((await claimSplit(tx)) === null) return 0;
      await shortLocks(tx);
      const now = await readHistoryTables(tx);
      const made = missing.filter((year) => !now.attached.has(year));
      await makeEmpty(tx, made);
      // A row on its way to the default partition would be refused once its year has a partition of its own: writers are kept out, for milliseconds.
      await lockHistory(tx, made);
      // Rows of these years came in meanwhile: the tables are there, and `split` moves the rows.
      if (!(await readHistoryTables(tx)).isDefaultEmpty) return made.length;
      await attachYears(tx, made);
      if (made.length > 0) log.info({ years: made }, 'Partitions of the history are made.');
      return made.length;
    });
  };

  const split = (db: Knex, years: readonly Year[]): Promise<number> =>
    inTransaction(db, async (tx) => {
      const state = await claimSplit(tx);
      if (state === null) return 0;
      const tables = await readHistoryTables(tx);
      if (isSplit(tables)) return 0;
      await shortLocks(tx);
      const copied = await copyRows(tx, state.copiedTo, state.knownTo, rowsAtOnce);
      if (copied !== null) {
        await moveSplit(tx, { ...state, copiedTo: copied.copiedTo, copiedRows: state.copiedRows + copied.count });
        return copied.count;
      }
      if (await hasMoreThan(tx, state.copiedTo, rowsAtLast)) {
        await moveSplit(tx, { ...state, knownTo: await highestNumber(tx) });
        return 1;
      }
      const bare = [...tables.filled].find(([, isIndexed]) => !isIndexed)?.[0];
      if (bare !== undefined) {
        await indexFilled(tx, bare);
        return 1;
      }
      await finish(tx, tables, state, years);
      return 1;
    });

  const finish = async (tx: Knex.Transaction, tables: HistoryTables, state: SplitState, years: readonly Year[]): Promise<void> => {
    if (counted !== state.copiedTo) {
      const there = await countTo(tx, state.copiedTo);
      if (there !== state.copiedRows)
        throw new AppError('internal', `Of ${String(there)} rows of the history ${String(state.copiedRows)} were copied; it stays in one partition.`);
      counted = state.copiedTo;
    }
    const coming = years.filter((year) => !tables.attached.has(year) && !tables.filled.has(year));
    await makeEmpty(tx, coming);
    await lockHistory(tx, [...tables.filled.keys(), ...coming]);
    const lockedAt = performance.now();
    await copyRows(tx, state.copiedTo, null, null);
    const { filled } = await readHistoryTables(tx);
    for (const [year, isIndexed] of filled) if (!isIndexed) await indexFilled(tx, year);
    await swapDefault(tx, [...filled.keys()].sort());
    await moveSplit(tx, { knownTo: '0', copiedTo: '0', copiedRows: 0 });
    log.info({ years: [...filled.keys()].sort(), rows: state.copiedRows, lockedMs: Math.round(performance.now() - lockedAt) }, 'The history is split by year.');
  };

  return { name: 'history-years', everySeconds: 10, run };
}

function isSplit({ isDefaultEmpty, filled }: HistoryTables): boolean {
  return isDefaultEmpty && filled.size === 0;
}

function yearsAhead(now: string): readonly Year[] {
  const year = now.slice(0, 4);
  return [year, nextYear(year)];
}
