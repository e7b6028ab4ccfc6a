import type { Knex } from 'knex';
import { schedule, type ScheduledTask } from 'node-cron';
import type { Clock } from '../clock.ts';
import { describeFailure } from '../failure.ts';
import type { Log } from '../log.ts';

/** One kind of work. `run` does one bounded batch in its own transactions and answers how many things it did; 0 = nothing is due. */
export interface JobHandler {
  readonly name: string;
  readonly run: (db: Knex) => Promise<number>;
  /** While idle the heartbeat asks this handler no more often than this; default every second. */
  readonly everySeconds?: number;
}

export type DrainCounts = Readonly<Record<string, number>>;

export interface Worker {
  /** Does everything that is due at the clock's time, handler by handler, until nothing is left. Throws what a handler throws. */
  drain(): Promise<DrainCounts>;
  /** Starts the heartbeat: once a second it looks for due work and does it. Failures are logged and tried again at the next beat. */
  start(): void;
  /** Hint that there is something to do (after a commit): looks at once when started, else does nothing. */
  poke(): void;
  /** Stops the heartbeat and waits for the work in hand. */
  stop(): Promise<void>;
}

export interface WorkerOptions {
  readonly db: Knex;
  readonly clock: Clock;
  readonly handlers: readonly JobHandler[];
  readonly log: Log;
}

/** Bound on rounds of one drain, so that work that makes more work for ever is noticed instead of hanging. */
const MAX_ROUNDS = 100_000;

/** The worker: node-cron is only its heartbeat, what is due stands in rows. Any number may run on one database. */
export function makeWorker(options: WorkerOptions): Worker {
  const { db, clock, handlers, log } = options;
  const askAgainAt = new Map<string, number>();
  let beat: ScheduledTask | null = null;
  let inHand: Promise<void> | null = null;
  let again = false;

  async function drain(): Promise<DrainCounts> {
    const counts: Record<string, number> = Object.fromEntries(handlers.map((handler) => [handler.name, 0]));
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      let done = 0;
      for (const handler of handlers) {
        const count = await handler.run(db);
        counts[handler.name] = (counts[handler.name] ?? 0) + count;
        done += count;
      }
      if (done === 0) return counts;
    }
    throw new Error(`The worker found new work ${String(MAX_ROUNDS)} times in a row.`);
  }

  async function beatOnce(forced: boolean): Promise<void> {
    const started = clock.nowMs();
    let busy = true;
    while (busy && beat !== null) {
      busy = false;
      for (const handler of handlers) {
        if (!forced && started < (askAgainAt.get(handler.name) ?? 0)) continue;
        askAgainAt.set(handler.name, started + (handler.everySeconds ?? 1) * 1000 - 100);
        try {
          if ((await handler.run(db)) > 0) busy = true;
        } catch (error) {
          log.error({ handler: handler.name, ...describeFailure(error) }, 'A job failed; it is tried again at the next beat.');
        }
      }
      if (busy) forced = true;
    }
  }

  function look(forced: boolean): void {
    if (beat === null) return;
    if (inHand !== null) {
      again ||= forced;
      return;
    }
    inHand = beatOnce(forced).finally(() => {
      inHand = null;
      if (again) {
        again = false;
        look(true);
      }
    });
    void inHand;
  }

  return {
    drain,
    start() {
      beat ??= schedule('* * * * * *', () => look(false), { suppressMissedWarning: true });
    },
    poke: () => look(true),
    async stop() {
      const stopping = beat;
      beat = null;
      await stopping?.destroy();
      await inHand;
    },
  };
}
