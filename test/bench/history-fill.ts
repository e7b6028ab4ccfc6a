import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Clock } from '../../src/platform/clock.ts';
import type { Log } from '../../src/platform/log.ts';
import type { ObjectModel } from '../../src/platform/model/types.ts';
import { readHistoryTables } from '../../src/platform/schema/history-years.sql.ts';
import { makeHistoryYears } from '../../src/platform/schema/history-years.ts';
import { ident, keyword, rows, run, sql, type Sql } from '../../src/platform/sql.ts';
import { fillObject, idOf, SCHEMA, withoutIndexes } from './large-database.ts';

/** Versions that each record has. */
export const VERSIONS = 20;

/** Each record is changed for an eighth of ten years. */
const GENERATIONS = 8;
const FIRST_DAY = '2016-01-01T00:00:00Z';
const DAYS = 3_650;

/**
 * Fills networks and the history of their names, `VERSIONS` rows a record, over the ten years from 2016, in the order of time: an eighth of the records is changed
 * during 456 days, in turns, so that the rows of a record lie far from one another; then comes the next eighth. The rows are those that the engine writes.
 * They fall where there are partitions; the worker's job makes the others (`splitHistory`).
 * @returns how many records there are
 */
export async function fillHistory(db: Knex, network: ObjectModel, historyRows: number): Promise<number> {
  const records = Math.floor(historyRows / VERSIONS);
  const generation = Math.ceil(records / GENERATIONS);
  const atOf = (n: Sql, v: Sql): Sql =>
    sql`timestamptz '${keyword(FIRST_DAY)}' + (((${n} - 1) / ${generation}::bigint * ${VERSIONS}::int + ${v} - 1) * ${generation}::bigint + (${n} - 1) % ${generation}::bigint)
      * (interval '${keyword(String(DAYS))} days' / ${generation * GENERATIONS * VERSIONS}::bigint)`;
  const values = { name: sql`'Network ' || n || ', ' || ${VERSIONS}::int`, type: sql`'hmo'::text`, lineOfBusiness: sql`'commercial'::text` };
  const life = { created: atOf(sql`n`, sql`1`), updated: atOf(sql`n`, sql`${VERSIONS}::int`), version: VERSIONS };
  await fillObject(db, network, records, values, life);
  const name = network.fields.get('name')?.id ?? '';
  const at = atOf(sql`n`, sql`v`);
  const changes = sql`case when v = 1 then '{}'::jsonb
    else jsonb_build_object(${name}::text, jsonb_build_array('Network ' || n || ', ' || (v - 1), 'Network ' || n || ', ' || v)) end`;
  await withoutIndexes(db, 'record_history', async () => {
    await run(
      db,
      sql`insert into ${ident(SCHEMA, 'record_history')} (object_id, record_id, version, kind, at, recorded_at, actor, cause, changes)
          select ${network.id}, ${idOf()}, v, case when v = 1 then 'created' else 'updated' end, ${at}, ${at}, 'system:bench',
            '{"kind": "command", "name": "bench"}'::jsonb, ${changes}
          from (select p / (${generation}::bigint * ${VERSIONS}::int) * ${generation}::bigint + p % ${generation}::bigint + 1 as n,
                  (p / ${generation}::bigint % ${VERSIONS}::int + 1)::int as v
                from generate_series(0, ${generation * GENERATIONS * VERSIONS - 1}::bigint) as p) as written where n <= ${records}::int`,
    );
  });
  await run(db, sql`vacuum (analyze) ${ident(SCHEMA, 'record_history')}`);
  return records;
}

/** Has the worker's job move what lies in the default partition to partitions by year. @returns in how many steps, and the longest of them in ms */
export async function splitHistory(db: Knex, clock: Clock, log: Log): Promise<{ readonly steps: number; readonly longestMs: number }> {
  const job = makeHistoryYears({ clock, log, pauseMs: 1_000 });
  let longestMs = 0;
  for (let steps = 0; ;) {
    const from = performance.now();
    if ((await job.run(db)) > 0) {
      steps += 1;
      longestMs = Math.max(longestMs, performance.now() - from);
      continue;
    }
    const { isDefaultEmpty, filled } = await readHistoryTables(db);
    if (isDefaultEmpty && filled.size === 0) return { steps, longestMs };
    // Others held a lock.
    await delay(1_000);
  }
}

/** Partitions of the history that a plan looks into. */
export function partitionsOf(lines: readonly string[]): readonly string[] {
  return [...new Set(lines.flatMap((line) => /(?:Scan|scan).* on (record_history_(?:\d{4}|default))\b/.exec(line)?.[1] ?? []))].sort();
}

/** The plan of a statement, a line each. */
export async function planLines(db: Knex, statement: ReturnType<typeof sql>): Promise<readonly string[]> {
  const found = await rows(db, sql`explain (analyze, buffers, costs off, timing off, summary off) ${statement}`);
  return found.map((row) => String(row['QUERY PLAN']));
}
