import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../../src/platform/sql.ts';

/** What was seen in the database while a change was carried out. */
export interface Watched {
  /** The longest that a statement of the served process waited for a lock, as far as samples show. */
  readonly lockMs: number;
  /** From the new version being in force until every process says that it runs on it; null when there was no new version. */
  readonly seenMs: number | null;
}

const SAMPLE_MS = 10;

/** Looks at locks and versions every 10 ms until it is told to stop. */
export function watch(db: Knex): { readonly stop: () => Promise<Watched> } {
  let isOver = false;
  let lockMs = 0;
  let first: number | null = null;
  let inForceAt: number | null = null;
  let seenAt: number | null = null;
  const look = async (): Promise<void> => {
    const [row] = await rows(
      db,
      sql`select (select max(version) from ${platformTable(db, 'metadata_version')}) as version,
            (select min(model_version) from ${platformTable(db, 'process')}) as slowest,
            (select extract(epoch from max(clock_timestamp() - query_start)) * 1000 from pg_catalog.pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query not ilike 'alter%' and query not ilike 'lock%' and query not ilike 'drop%') as waiting`,
    );
    const now = performance.now();
    const version = Number(row?.['version']);
    lockMs = Math.max(lockMs, Number(row?.['waiting'] ?? 0));
    first ??= version;
    if (version > first) inForceAt ??= now;
    if (inForceAt !== null && Number(row?.['slowest']) >= version) seenAt ??= now;
  };
  const looking = (async () => {
    while (!isOver) {
      await look();
      await delay(SAMPLE_MS);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await looking;
      return { lockMs: Math.round(lockMs), seenMs: inForceAt === null || seenAt === null ? null : Math.round(seenAt - inForceAt) };
    },
  };
}

/** Where the time of one change went, in milliseconds: planning, its steps, waiting until every process is ready, putting the version in force. */
export interface Parts {
  readonly plan: number;
  readonly steps: number;
  readonly ready: number;
  readonly switch: number;
}

/** Notes the named points of a change as it passes them. */
export function stopwatch(): { readonly pass: (point: string) => void; readonly parts: () => Parts } {
  const from = performance.now();
  let last = from;
  const parts = { plan: 0, steps: 0, ready: 0, switch: 0 };
  let isPlanned = false;
  return {
    pass: (point) => {
      const now = performance.now();
      const took = now - last;
      last = now;
      if (!isPlanned) {
        parts.plan = took;
        isPlanned = true;
      } else if (point === 'schema.before_version') parts.ready += took;
      else if (point === 'schema.after_version') parts.switch += took;
      else if (point === 'schema.after_step') parts.steps += took;
    },
    parts: () => ({ plan: Math.round(parts.plan), steps: Math.round(parts.steps), ready: Math.round(parts.ready), switch: Math.round(parts.switch) }),
  };
}
