import type { Knex } from 'knex';
import { inTransaction } from '../db.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import type { Model } from '../model/types.ts';
import { OPEN_CLASS } from '../query/search-key.ts';
import { isInForce } from '../schema/processes.sql.ts';
import { ident, platformTable, rows, run, schemaOf, sql, type Sql } from '../sql.ts';
import { imageOf } from './images.ts';
import { planOf } from './object-plan.ts';
import { columnsOf } from './related.sql.ts';
import { searchKeysOf } from './side.ts';

/**
 * Makes the search entries of one large batch from the records as they stand now, and answers how many records it looked at; 0 when
 * nothing waits, or when the Model is no longer in force. The records are held against changes meanwhile: a single write that follows makes its own entry, after this one.
 * Several workers may do this at once, a batch each.
 */
export function indexBacklog(db: Knex, model: Model): Promise<number> {
  return inTransaction(db, async (tx) => {
    const backlog = platformTable(tx, 'search_backlog');
    const [taken] = await rows(
      tx,
      sql`delete from ${backlog} where id = (select id from ${backlog} order by id limit 1 for update skip locked) and ${isInForce(tx, model.version)}
          returning object, record_ids`,
    );
    if (taken === undefined) return 0;
    const ids = Array.isArray(taken['record_ids']) ? taken['record_ids'].map(String).sort() : [];
    const name = String(taken['object']);
    // The object may be gone since; then there is nothing to search.
    if (!model.objects.has(name)) return ids.length;
    if (ids.length === 0) return divide(tx, model, name);
    await indexRecords(tx, model, name, ids);
    return ids.length;
  });
}

/** Holds when batches wait for their search entries. */
export function hasSearchBacklog(db: Knex): Sql {
  return sql`exists (select from ${platformTable(db, 'search_backlog')})`;
}

const AT_ONCE = 2_000;

/** A batch without ids is all records of the object, whose searched fields have changed: it is done in batches of its own. */
async function divide(tx: Knex.Transaction, model: Model, name: string): Promise<number> {
  const table = ident(schemaOf(tx), planOf(model, name).object.table);
  const divided = await run(
    tx,
    sql`insert into ${platformTable(tx, 'search_backlog')} (object, record_ids)
        select ${name}, array_agg(id) from (select id, (row_number() over (order by id) - 1) / ${AT_ONCE}::int as batch from ${table} where deleted_at is null) as r
        group by batch order by batch`,
  );
  return Math.max(1, divided);
}

async function indexRecords(tx: Knex.Transaction, model: Model, name: string, ids: readonly string[]): Promise<void> {
  const { object, searched } = planOf(model, name);
  const found = await rows(
    tx,
    sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(tx), object)} where id = any(${[...ids]}::uuid[]) and deleted_at is null order by id for share of ${ident(object.table)}`,
  );
  const entries = found.flatMap((row) => {
    const image = imageOf(object, row);
    const keys = searchKeysOf(searched, image);
    return keys === '' ? [] : [{ id: String(image['id']), keys }];
  });
  const search = platformTable(tx, 'search_entry');
  const listed = new Set(entries.map(({ id }) => id));
  const unlisted = ids.filter((id) => !listed.has(id));
  if (unlisted.length > 0) await run(tx, sql`delete from ${search} where object = ${name} and record_id = any(${unlisted}::uuid[])`);
  if (entries.length === 0) return;
  await run(
    tx,
    sql`insert into ${search} (object, record_id, class, keys)
        select ${name}, r.id, ${OPEN_CLASS}, r.keys from unnest(${entries.map(({ id }) => id)}::uuid[], ${entries.map(({ keys }) => keys)}::text[]) as r(id, keys)
        on conflict (object, record_id, class) do update set keys = excluded.keys`,
  );
}
