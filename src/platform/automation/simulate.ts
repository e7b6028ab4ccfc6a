import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { makeVirtualClock, type Instant, type VirtualClock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { seededRandom, type RandomBytes } from '../ids.ts';
import type { DrainCounts, Worker } from '../jobs/worker.ts';
import { isSandbox } from '../mail/mail.sql.ts';
import { findMail, findRuns, type MailFindings, type RunFindings } from './findings.sql.ts';
import { runDue } from './run-due.ts';
import { readSimulationLog, tendTables } from './sandbox.sql.ts';

export interface SimulateOptions {
  readonly db: Knex;
  readonly from: Instant;
  readonly to: Instant;
  readonly seed: number;
  /** Wires the product on the simulation's clock and randomness (ids included); nothing may leave the process. */
  readonly wire: (clock: VirtualClock, random: RandomBytes) => Pick<Worker, 'drain'> | Promise<Pick<Worker, 'drain'>>;
  /** Checks what must hold after every moment; throws when it does not. */
  readonly afterMoment?: (db: Knex, now: Instant) => Promise<void>;
}

export interface SimulationResult {
  readonly moments: number;
  readonly counts: DrainCounts;
  readonly lines: number;
  /** SHA-256 of the log of (instant, rule or mail, record by order of appearance, outcome): the same for the same seed and data. */
  readonly hash: string;
  /** Mail made in the span, and what went twice. */
  readonly mails: MailFindings;
  /** Runs of rules in the span, and what was done twice. */
  readonly runs: RunFindings;
}

/**
 * Runs the product under a virtual clock from due moment to due moment.
 * @throws AppError forbidden on a database that is not a sandbox
 */
export async function simulate(options: SimulateOptions): Promise<SimulationResult> {
  const { db, from, to } = options;
  if (!(await isSandbox(db))) throw new AppError('forbidden', 'Simulations run only on a database marked as a sandbox: make one with `credenza sandbox`.');
  if (to <= from) throw new AppError('bad_request', `The simulation must end after it starts (${from} to ${to}).`);
  const clock = makeVirtualClock(from);
  const worker = await options.wire(clock, seededRandom(options.seed));
  const tend = makeUpkeep(db, clock.nowMs());
  const afterMoment = async (handle: Knex, now: Instant): Promise<void> => {
    await tend(Date.parse(now));
    await options.afterMoment?.(handle, now);
  };
  const { moments, counts } = await runDue({ db, clock, worker, until: to, afterMoment });
  const [mails, runs] = [await findMail(db, from, to), await findRuns(db, from, to)];
  return { moments, counts, ...(await hashLog(db, from, to)), mails, runs };
}

const DAY_MS = 86_400_000;
/** Simulated days between two looks at the queues. */
const QUEUE_DAYS = 3;

/** Tends the queues every few simulated days, and all tables after the first moment and whenever four times as much time has passed. */
function makeUpkeep(db: Knex, startMs: number): (nowMs: number) => Promise<void> {
  let [nextQueues, nextAll] = [startMs, startMs];
  return async (nowMs) => {
    if (nowMs < Math.min(nextQueues, nextAll)) return;
    await tendTables(db, nowMs >= nextAll ? 'all' : 'queues');
    if (nowMs >= nextAll) nextAll = Math.max(nowMs + DAY_MS, startMs + 4 * (nowMs - startMs));
    nextQueues = nowMs + QUEUE_DAYS * DAY_MS;
  };
}

const PAGE = 5000;

async function hashLog(db: Knex, from: Instant, to: Instant): Promise<{ readonly lines: number; readonly hash: string }> {
  const hash = createHash('sha256');
  const ordinals = new Map<string, number>();
  let lines = 0;
  for (;;) {
    const page = await readSimulationLog(db, from, to, lines, PAGE);
    for (const line of page) {
      if (line.record !== null && !ordinals.has(line.record)) ordinals.set(line.record, ordinals.size + 1);
      hash.update(`${line.at}|${line.what}|${line.record === null ? '' : String(ordinals.get(line.record))}|${line.detail}\n`);
    }
    lines += page.length;
    if (page.length < PAGE) return { lines, hash: hash.digest('hex') };
  }
}
