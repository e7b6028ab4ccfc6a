import type { Knex } from 'knex';
import type { ObjectModel } from '../../src/platform/model/types.ts';
import { ident, rows, run, sql } from '../../src/platform/sql.ts';
import { fillObject, idOf, SCHEMA, withoutIndexes } from './large-database.ts';

/** Versions that each record has. */
export const VERSIONS = 20;

/**
 * Fills networks and the history of their names, `VERSIONS` rows a record, written over ten years as they come: the first versions of all
 * records, then the second ones, so that the rows of a record lie far from one another. The rows are those that the engine writes.
 * @returns how many records there are
 */
export async function fillHistory(db: Knex, network: ObjectModel, historyRows: number): Promise<number> {
  const records = Math.floor(historyRows / VERSIONS);
  await fillObject(db, network, records, {
    name: sql`'Network ' || n || ', ' || ${VERSIONS}::int`,
    type: sql`'hmo'::text`,
    lineOfBusiness: sql`'commercial'::text`,
  });
  const name = network.fields.get('name')?.id ?? '';
  const at = sql`timestamptz '2016-01-01' + ((v - 1) * ${records}::bigint + n) * (interval '3650 days' / ${records * VERSIONS}::bigint)`;
  const changes = sql`case when v = 1 then '{}'::jsonb
    else jsonb_build_object(${name}::text, jsonb_build_array('Network ' || n || ', ' || (v - 1), 'Network ' || n || ', ' || v)) end`;
  await withoutIndexes(db, 'record_history', async () => {
    await run(
      db,
      sql`insert into ${ident(SCHEMA, 'record_history')} (object_id, record_id, version, kind, at, recorded_at, actor, cause, changes)
          select ${network.id}, ${idOf()}, v, case when v = 1 then 'created' else 'updated' end, ${at}, ${at}, 'system:bench',
            '{"kind": "command", "name": "bench"}'::jsonb, ${changes}
          from generate_series(1, ${VERSIONS}::int) as v cross join generate_series(1, ${records}::int) as n`,
    );
  });
  await run(db, sql`vacuum (analyze) ${ident(SCHEMA, 'record_history')}`);
  return records;
}

/** The plan of a statement, a line each. */
export async function planLines(db: Knex, statement: ReturnType<typeof sql>): Promise<readonly string[]> {
  const found = await rows(db, sql`explain (analyze, buffers, costs off, timing off, summary off) ${statement}`);
  return found.map((row) => String(row['QUERY PLAN']));
}
