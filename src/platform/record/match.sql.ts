import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

export interface MatchKey {
  readonly rule: string;
  readonly key: string;
  readonly id: string;
}

/** Two records that a rule takes for the same. `first` is the smaller id. */
export interface FoundPair {
  readonly id: string;
  readonly object: string;
  readonly rule: string;
  readonly first: string;
  readonly second: string;
  readonly score: number;
}

export interface DuplicatePair extends FoundPair {
  readonly foundAt: string;
}

/** Takes the keys for this transaction, in their order: whoever saves a record with one of them meanwhile waits here. */
export async function lockKeys(tx: Knex.Transaction, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const sorted = [...new Set(keys)].sort();
  const table = platformTable(tx, 'match_lock');
  await run(
    tx,
    sql`insert into ${table} (key) select k from unnest(${sorted}::text[]) with ordinality as u(k, n) order by n on conflict (key) do update set key = excluded.key`,
  );
}

/** Records that have one of the keys, at most 200 a key. Rule and key together are looked up in the index. */
export async function recordsWithKeys(
  db: Knex,
  keys: readonly { readonly rule: string; readonly key: string }[],
  except: readonly string[],
): Promise<readonly MatchKey[]> {
  if (keys.length === 0) return [];
  const wanted = [...new Map(keys.map((each) => [`${each.rule} ${each.key}`, each])).values()];
  const found = await rows(
    db,
    sql`select m.rule, m.key, m.record_id from unnest(${wanted.map(({ rule }) => rule)}::text[], ${wanted.map(({ key }) => key)}::text[]) as k(rule, key)
        cross join lateral (select * from ${platformTable(db, 'match_key')} e where e.rule = k.rule and e.key = k.key and e.record_id <> all(${[...except]}::uuid[])
          order by e.record_id limit 200) as m`,
  );
  return found.map((row) => ({ rule: String(row['rule']), key: String(row['key']), id: String(row['record_id']) }));
}

/** Replaces the keys of records. */
export async function writeKeys(tx: Knex.Transaction, ids: readonly string[], keys: readonly MatchKey[]): Promise<void> {
  const table = platformTable(tx, 'match_key');
  if (ids.length > 0) await run(tx, sql`delete from ${table} where record_id = any(${[...ids]}::uuid[])`);
  if (keys.length === 0) return;
  await run(
    tx,
    sql`insert into ${table} (rule, key, record_id) select r.rule, r.key, r.id from jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) as r(rule text, key text, id uuid) on conflict do nothing`,
  );
}

export async function keepPairs(tx: Knex.Transaction, pairs: readonly FoundPair[], at: string): Promise<void> {
  if (pairs.length === 0) return;
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'duplicate_pair')} (id, object, rule, first_id, second_id, score, found_at)
        select r.id, r.object, r.rule, r.first, r.second, r.score, ${at}::timestamptz
        from jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb) as r(id uuid, object text, rule text, first uuid, second uuid, score numeric) on conflict (rule, first_id, second_id) do nothing`,
  );
}

/** Open pairs, the newest first; of one record, or of all. `after` is the last one of those before. */
export async function openPairs(
  db: Knex,
  options: { readonly object: string; readonly record: string | null; readonly after?: DuplicatePair | null; readonly limit: number },
): Promise<readonly DuplicatePair[]> {
  const { object, record, after = null, limit } = options;
  const older = after === null ? sql`` : sql` and (found_at, id) < (${after.foundAt}::timestamptz, ${after.id}::uuid)`;
  const ofRecord = record === null ? sql`` : sql` and (first_id = ${record}::uuid or second_id = ${record}::uuid)`;
  const found = await rows(
    db,
    sql`select id, object, rule, first_id, second_id, score, found_at from ${platformTable(db, 'duplicate_pair')}
        where state = 'open' and object = ${object}${ofRecord}${older} order by found_at desc, id desc limit ${limit}::int`,
  );
  return found.map(toPair);
}

export async function pairById(db: Knex, id: string): Promise<DuplicatePair | null> {
  const [row] = await rows(
    db,
    sql`select id, object, rule, first_id, second_id, score, found_at from ${platformTable(db, 'duplicate_pair')} where id = ${id}::uuid and state = 'open'`,
  );
  return row === undefined ? null : toPair(row);
}

export async function dismissPair(tx: Knex.Transaction, id: string, at: string, by: string): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'duplicate_pair')} set state = 'dismissed', settled_at = ${at}::timestamptz, settled_by = ${by} where id = ${id}::uuid and state = 'open'`,
  );
}

function toPair(row: Readonly<Record<string, unknown>>): DuplicatePair {
  return {
    id: String(row['id']),
    object: String(row['object']),
    rule: String(row['rule']),
    first: String(row['first_id']),
    second: String(row['second_id']),
    score: Number(row['score']),
    foundAt: toRfc3339(String(row['found_at'])),
  };
}

/** How far the records that were there before a rule have been looked at; locks the row, so that one worker goes on. */
export async function takeProgress(tx: Knex.Transaction, rule: string): Promise<{ readonly after: string | null; readonly isDone: boolean } | null> {
  const table = platformTable(tx, 'match_progress');
  await run(tx, sql`insert into ${table} (rule) values (${rule}) on conflict do nothing`);
  const [row] = await rows(tx, sql`select after_id, is_done from ${table} where rule = ${rule} for update skip locked`);
  if (row === undefined) return null;
  return { after: typeof row['after_id'] === 'string' ? row['after_id'] : null, isDone: row['is_done'] === true };
}

export async function noteProgress(tx: Knex.Transaction, rule: string, after: string | null, isDone: boolean): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'match_progress')} set after_id = coalesce(${after}::uuid, after_id), is_done = ${isDone}::boolean where rule = ${rule}`,
  );
}

/** Forgets the keys of rules that are no more. */
export async function forgetOtherRules(tx: Knex.Transaction, rules: readonly string[]): Promise<void> {
  for (const name of ['match_key', 'match_progress']) await run(tx, sql`delete from ${platformTable(tx, name)} where rule <> all(${[...rules]}::text[])`);
}
