import type { Knex } from 'knex';
import { schedule, type ScheduledTask } from 'node-cron';
import type { Clock, Instant } from '../clock.ts';
import { describeFailure } from '../failure.ts';
import type { Log } from '../log.ts';
import { joinSql, ready, rowArrays, sql, type ReadyStatement, type Sql } from '../sql.ts';

/** One kind of work. `run` does one bounded batch in its own transactions and answers how many things it did; 0 = nothing is due. */
export interface JobHandler {
  readonly name: string;
  readonly run: (db: Knex) => Promise<number>;
  /** While idle the heartbeat asks this handler no more often than this; default every second. */
  readonly everySeconds?: number;
  /**
   * A condition that holds whenever `run` may have something to do, cheap to look up; its text is always the same. The heartbeat asks all
   * such conditions in one statement and runs only what waits. Without one the handler is run to find out.
   */
  readonly waiting?: (db: Knex, now: Instant) => Sql;
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
/** However little seems to wait, every handler is run so often: some also tidy up. */
const RUN_ALL_MS = 60_000;

/** The worker: node-cron is only its heartbeat, what is due stands in rows. Any number may run on one database. */
export function makeWorker(options: WorkerOptions): Worker {
  const { db, clock, handlers, log } = options;
  const askAgainAt = new Map<string, number>();
  const look = makeLook(handlers);
  let ranAllAt = -Infinity;
  let beat: ScheduledTask | null = null;
  let inHand: Promise<void> | null = null;
  let again = false;

  async function drain(): Promise<DrainCounts> {
    const counts: Record<string, number> = Object.fromEntries(handlers.map((handler) => [handler.name, 0]));
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      let done = 0;
      // Each is run once; after that, as at the heartbeat, those for which nothing waits are left out.
      const idle = round === 0 ? NOBODY : await look(db, clock.now());
      for (const handler of handlers) {
        if (idle.has(handler.name)) continue;
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
    // Also when the clock was set back: what was to be asked again later would wait for as long.
    if (started - ranAllAt >= RUN_ALL_MS || started < ranAllAt) {
      forced = true;
      ranAllAt = started;
    }
    const idle = forced ? NOBODY : await nothingFor();
    let busy = true;
    while (busy && beat !== null) {
      busy = false;
      for (const handler of handlers) {
        if (!forced && (idle.has(handler.name) || started < (askAgainAt.get(handler.name) ?? 0))) continue;
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

  /** Names of the handlers for which nothing waits; none when that cannot be asked, for then each says itself what is wrong. */
  async function nothingFor(): Promise<ReadonlySet<string>> {
    try {
      return await look(db, clock.now());
    } catch (error) {
      log.error(describeFailure(error), 'The worker could not ask what waits.');
      return NOBODY;
    }
  }

  function beatNow(forced: boolean): void {
    if (beat === null) return;
    if (inHand !== null) {
      again ||= forced;
      return;
    }
    inHand = beatOnce(forced).finally(() => {
      inHand = null;
      if (again) {
        again = false;
        beatNow(true);
      }
    });
    void inHand;
  }

  return {
    drain,
    start() {
      beat ??= schedule('* * * * * *', () => beatNow(false), { suppressMissedWarning: true });
    },
    poke: () => beatNow(true),
    async stop() {
      const stopping = beat;
      beat = null;
      await stopping?.destroy();
      await inHand;
    },
  };
}

const NOBODY: ReadonlySet<string> = new Set();

/** Asks in one statement for which handlers nothing waits. */
function makeLook(handlers: readonly JobHandler[]): (db: Knex, now: Instant) => Promise<ReadonlySet<string>> {
  let statement: ReadyStatement | null = null;
  return async (db, now) => {
    const asked = handlers.flatMap(({ name, waiting }) => (waiting === undefined ? [] : [{ name, condition: waiting(db, now) }]));
    if (asked.length === 0) return NOBODY;
    const all = sql`select ${joinSql(asked.map(({ condition }) => condition))}`;
    statement ??= ready(all.text, 'worker_waiting');
    const [answer] = await rowArrays(db, statement, all.values);
    return new Set(asked.flatMap(({ name }, index) => (answer?.[index] === false ? [name] : [])));
  };
}
