import type { Knex } from 'knex';
import type { Clock, Instant, VirtualClock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { DrainCounts, Worker } from '../jobs/worker.ts';
import { nextDueAfter } from './runs.sql.ts';

export interface RunDueOptions {
  readonly db: Knex;
  readonly clock: Clock | VirtualClock;
  readonly worker: Pick<Worker, 'drain'>;
  /** Default: now. Later than now only with a virtual clock, which is for sandboxes: the caller sees to that. */
  readonly until?: Instant;
  /** Called when everything due at a moment is done; a simulation checks its invariants here. */
  readonly afterMoment?: (db: Knex, now: Instant) => Promise<void>;
}

export interface RunDueResult {
  readonly until: Instant;
  /** Moments at which something was due. */
  readonly moments: number;
  readonly counts: DrainCounts;
}

/** Does everything that is due up to a moment, in the order of time, and leaves the clock at that moment. */
export async function runDue(options: RunDueOptions): Promise<RunDueResult> {
  const { db, clock, worker } = options;
  // One form of instants, for they are compared as text.
  const until = options.until === undefined ? clock.now() : new Date(options.until).toISOString();
  const virtual = 'advanceTo' in clock ? clock : null;
  if (virtual === null && until > clock.now()) {
    throw new AppError('bad_request', `It is ${clock.now()}: what becomes due by ${until} can be done ahead of time only in a sandbox.`);
  }
  const counts: Record<string, number> = {};
  let moments = 0;
  for (;;) {
    const done = await worker.drain();
    for (const [name, count] of Object.entries(done)) counts[name] = (counts[name] ?? 0) + count;
    moments += 1;
    await options.afterMoment?.(db, clock.now());
    if (virtual === null || clock.now() >= until) return { until, moments, counts };
    const next = await nextDueAfter(db, clock.now());
    virtual.advanceTo(next === null || next > until ? until : next);
  }
}
