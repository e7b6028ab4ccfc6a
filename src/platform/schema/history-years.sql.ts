import type { Knex } from 'knex';
import { ident, joinSql, keyword, platformTable, rows, run, schemaOf, sql, type Sql } from '../sql.ts';

/** A year of four digits, in UTC. */
export type Year = string & { readonly __year?: never };

const PARENT = 'record_history';
const DEFAULT = 'record_history_default';
const COLUMNS = ['id', 'object_id', 'record_id', 'version', 'kind', 'at', 'recorded_at', 'actor', 'cause', 'reason', 'changes'].map((name) => ident(name));

const partitionName = (year: Year): string => `${PARENT}_${year}`;
/** A partition that is being filled has another name, so that one which was detached and kept is never taken for it. */
const filledName = (year: Year): string => `${partitionName(year)}_filled`;

export function nextYear(year: Year): Year {
  return String(Number(year) + 1).padStart(4, '0');
}

const startOf = (year: Year): string => `${year}-01-01T00:00:00Z`;

/** What there is of the table. */
export interface HistoryTables {
  readonly attached: ReadonlySet<Year>;
  /** Years whose rows are being copied, with whether their index is made. */
  readonly filled: ReadonlyMap<Year, boolean>;
  readonly isDefaultEmpty: boolean;
}

/** Reads what partitions there are. One statement. */
export async function readHistoryTables(db: Knex): Promise<HistoryTables> {
  const found = await rows(
    db,
    sql`select c.relname as name, c.relispartition as attached, c.relhasindex as indexed, exists (select from ${platformTable(db, DEFAULT)}) as rest
        from pg_catalog.pg_class c where c.relnamespace = ${schemaOf(db)}::regnamespace and c.relkind = 'r' and starts_with(c.relname, ${`${PARENT}_`})`,
  );
  const attached = new Set<Year>();
  const filled = new Map<Year, boolean>();
  for (const row of found) {
    const [, year, isFilled] = /^record_history_(\d{4})(_filled)?$/.exec(String(row['name'])) ?? [];
    if (year === undefined) continue;
    if (isFilled !== undefined) filled.set(year, row['indexed'] === true);
    else if (row['attached'] === true) attached.add(year);
  }
  return { attached, filled, isDefaultEmpty: found[0]?.['rest'] !== true };
}

/** How far the rows of the default partition are copied. */
export interface SplitState {
  /** Every row up to this number was committed when it was read, and none comes any more. */
  readonly knownTo: string;
  readonly copiedTo: string;
  readonly copiedRows: number;
}

/** Takes the only row that says how far it is, until the transaction ends; null while another process is at work. */
export async function claimSplit(tx: Knex.Transaction): Promise<SplitState | null> {
  const [found] = await rows(tx, sql`select known_to, copied_to, copied_rows from ${platformTable(tx, 'history_split')} for update skip locked`);
  return found === undefined ? null : { knownTo: String(found['known_to']), copiedTo: String(found['copied_to']), copiedRows: Number(found['copied_rows']) };
}

/** Notes how far it is. Writes. */
export async function moveSplit(tx: Knex.Transaction, state: SplitState): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'history_split')} set known_to = ${state.knownTo}::bigint, copied_to = ${state.copiedTo}::bigint, copied_rows = ${state.copiedRows}::bigint`,
  );
}

/**
 * The highest number in the default partition. Writers are kept out for the moment of looking: a number is given and its row is written by one
 * statement, which holds its lock on the whole table from before the one until its transaction ends, so that no row with a lower number can come later.
 */
export async function highestNumber(tx: Knex.Transaction): Promise<string> {
  await run(tx, sql`lock table only ${platformTable(tx, PARENT)} in share mode`);
  const [found] = await rows(tx, sql`select coalesce(max(id), 0) as id from ${platformTable(tx, DEFAULT)}`);
  return String(found?.['id']);
}

/** True when more rows than `limit` come after a number. */
export async function hasMoreThan(db: Knex, after: string, limit: number): Promise<boolean> {
  const [found] = await rows(
    db,
    sql`select count(*)::int as n from (select from ${platformTable(db, DEFAULT)} where id > ${after}::bigint limit ${limit + 1}::int) as later`,
  );
  return Number(found?.['n']) > limit;
}

/**
 * Copies the next rows of the default partition, at most `limit` and up to the number `last` if one is given, to the tables of their years, which are
 * made as needed. Writes. @returns the last number and how many there were; null when there were none
 */
export async function copyRows(
  tx: Knex.Transaction,
  after: string,
  last: string | null,
  limit: number | null,
): Promise<{ readonly copiedTo: string; readonly count: number } | null> {
  const source = platformTable(tx, DEFAULT);
  const upTo = last === null ? sql`true` : sql`id <= ${last}::bigint`;
  const [end] = await rows(
    tx,
    sql`select max(id) as id from (select id from ${source} where id > ${after}::bigint and ${upTo} order by id ${limit === null ? keyword('') : sql`limit ${limit}::int`}) as next`,
  );
  if (typeof end?.['id'] !== 'string') return null;
  const copiedTo = end['id'];
  const among = sql`id > ${after}::bigint and id <= ${copiedTo}::bigint`;
  const years = await rows(tx, sql`select distinct to_char(at at time zone 'UTC', 'YYYY') as year from ${source} where ${among}`);
  const { filled } = await readHistoryTables(tx);
  let count = 0;
  for (const row of years) {
    const year = String(row['year']);
    if (!filled.has(year)) await makeFilled(tx, year);
    count += await run(
      tx,
      sql`insert into ${platformTable(tx, filledName(year))} (${joinSql(COLUMNS)}) select ${joinSql(COLUMNS)} from ${source}
          where ${among} and at >= ${startOf(year)}::timestamptz and at < ${startOf(nextYear(year))}::timestamptz`,
    );
  }
  return { copiedTo, count };
}

/** How many rows of the default partition have a number up to this one. */
export async function countTo(tx: Knex.Transaction, last: string): Promise<number> {
  const [found] = await rows(tx, sql`select count(*) as n from ${platformTable(tx, DEFAULT)} where id <= ${last}::bigint`);
  return Number(found?.['n']);
}

/** A table for a year, beside the others as yet. The check spares PostgreSQL reading it through when it becomes a partition. */
async function makeFilled(tx: Knex.Transaction, year: Year): Promise<void> {
  const table = platformTable(tx, filledName(year));
  await run(tx, sql`create table ${table} (like ${platformTable(tx, PARENT)} including defaults including storage including compression)`);
  await run(tx, sql`alter table ${table} add constraint year check (at >= ${instant(startOf(year))} and at < ${instant(startOf(nextYear(year)))})`);
}

/** Definitions take no bound values: the text is the code's own, digits of a year. */
const instant = (text: string): Sql => keyword(`timestamptz '${text}'`);

/** Makes the index of a filled table, and looks at what is in it for the planner. Writes; nobody reads the table yet. */
export async function indexFilled(tx: Knex.Transaction, year: Year): Promise<void> {
  const table = platformTable(tx, filledName(year));
  await run(tx, sql`create index ${ident(`${partitionName(year)}_record`)} on ${table} (record_id, version desc)`);
  await run(tx, sql`analyze ${table}`);
}

/** Tables for years of which there are no rows yet. Writes. */
export async function makeEmpty(tx: Knex.Transaction, years: readonly Year[]): Promise<void> {
  for (const year of years) {
    await makeFilled(tx, year);
    await indexFilled(tx, year);
  }
}

/** Makes empty tables partitions of their years, of which nothing is in the default partition. Holds `lockHistory`. Writes. */
export async function attachYears(tx: Knex.Transaction, years: readonly Year[]): Promise<void> {
  for (const year of years) await attach(tx, year);
}

async function attach(tx: Knex.Transaction, year: Year): Promise<void> {
  const [filled, partition] = [platformTable(tx, filledName(year)), platformTable(tx, partitionName(year))];
  await run(tx, sql`alter table ${filled} rename to ${ident(partitionName(year))}`);
  const range = keyword(`from ('${startOf(year)}') to ('${startOf(nextYear(year))}')`);
  await run(tx, sql`alter table ${platformTable(tx, PARENT)} attach partition ${partition} for values ${range}`);
  await run(tx, sql`alter table ${partition} drop constraint year`);
}

/**
 * Keeps vacuum from what is going to be moved, then everybody from the history, until the transaction ends. A vacuum gives way after a second
 * (`deadlock_timeout`), and only vacuum waits meanwhile; for the others the lock time-out of the transaction holds.
 */
export async function lockHistory(tx: Knex.Transaction, filled: Iterable<Year>): Promise<void> {
  const [found] = await rows(tx, sql`select current_setting('lock_timeout') as timeout, set_config('lock_timeout', '10s', true)`);
  const quiet = [platformTable(tx, DEFAULT), ...[...filled].map((year) => platformTable(tx, filledName(year)))];
  for (const table of quiet) await run(tx, sql`lock table only ${table} in share update exclusive mode`);
  await rows(tx, sql`select set_config('lock_timeout', ${String(found?.['timeout'])}, true)`);
  await run(tx, sql`lock table only ${platformTable(tx, PARENT)} in access exclusive mode`);
}

/** Puts the filled tables in the place of the default partition, whose rows they hold, and an empty one behind them. Holds `lockHistory`. Writes. */
export async function swapDefault(tx: Knex.Transaction, filled: readonly Year[]): Promise<void> {
  const [parent, rest] = [platformTable(tx, PARENT), platformTable(tx, DEFAULT)];
  const copied = 'record_history_copied';
  await run(tx, sql`alter table ${parent} detach partition ${rest}`);
  await run(tx, sql`alter table ${rest} rename to ${ident(copied)}`);
  await run(tx, sql`create table ${rest} (like ${platformTable(tx, copied)} including all)`);
  await run(tx, sql`drop table ${platformTable(tx, copied)}`);
  for (const year of filled) await attach(tx, year);
  await run(tx, sql`alter table ${parent} attach partition ${rest} default`);
}
