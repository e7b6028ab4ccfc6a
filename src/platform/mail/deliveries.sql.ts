import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../sql.ts';
import { SUMMARY, toSummary, type DeliverySummary } from './mail.sql.ts';

/** How many mails a page of them holds. */
export const DELIVERIES_PAGE = 200;

/** Mails about a record, and those of others that belong to it, newest first; `before` is the id of the last one of the page before. */
export async function deliveriesOf(db: Knex, object: string, id: string, state: string | null, before: string | null): Promise<readonly DeliverySummary[]> {
  const table = platformTable(db, 'mail_delivery');
  const found = await rows(
    db,
    sql`select ${SUMMARY} from ${table} d
        where ((about_id = ${id}::uuid and about_object = ${object}) or (group_id = ${id}::uuid and group_object = ${object}))
          and (${state}::text is null or state = ${state}) and (${before}::uuid is null or (created_at, id) < (select created_at, id from ${table} where id = ${before}::uuid))
        order by d.created_at desc, d.id desc limit ${DELIVERIES_PAGE}::integer`,
  );
  return found.map(toSummary);
}

/** How many of these there are in each state, and how many were complained about. */
export async function deliveryCounts(
  db: Knex,
  object: string,
  id: string,
): Promise<{ readonly states: Readonly<Record<string, number>>; readonly complaints: number }> {
  const found = await rows(
    db,
    sql`select state, count(*)::integer as count, count(complained_at)::integer as complaints from ${platformTable(db, 'mail_delivery')}
        where (about_id = ${id}::uuid and about_object = ${object}) or (group_id = ${id}::uuid and group_object = ${object}) group by state order by state`,
  );
  return {
    states: Object.fromEntries(found.map((row) => [String(row['state']), Number(row['count'])])),
    complaints: found.reduce((sum, row) => sum + Number(row['complaints']), 0),
  };
}
