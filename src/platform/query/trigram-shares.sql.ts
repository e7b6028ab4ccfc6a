import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { ident, rows, sql } from '../sql.ts';
import { NAMED_SHARE, type TrigramShares } from './index-patterns.ts';

/** A table of fewer pages (8 kB) has no list of a trigram that is long to read. */
const FEWEST_PAGES = 500;
/** Entries are taken from so many pages, some 40 of each. */
const SAMPLED_PAGES = 50;
/** The shares are taken anew after this time. */
const KEPT_MS = 600_000;

interface Kept {
  readonly shares: TrigramShares;
  readonly until: number;
}

/** By the parameters that `db.ts` gives a pool, which its transactions share. */
const kept = new WeakMap<object, Kept>();

const NONE: TrigramShares = new Map();

/**
 * Which trigrams many search entries hold, by a sample of them that one search takes every ten minutes (others take the one before meanwhile);
 * nothing where there are few entries. It decides what the index is asked for, never what is found.
 */
export async function trigramShares(db: Knex, { model }: CallContext): Promise<TrigramShares> {
  const at = performance.now();
  const found = kept.get(db.userParams);
  if (found !== undefined && found.until > at) return found.shares;
  kept.set(db.userParams, { shares: found?.shares ?? NONE, until: at + KEPT_MS });
  const shares = await sample(db, model.schema);
  kept.set(db.userParams, { shares, until: at + KEPT_MS });
  return shares;
}

async function sample(db: Knex, schema: string): Promise<TrigramShares> {
  const table = `"${schema}"."search_entry"`;
  const [size] = await rows(db, sql`select relpages as pages from pg_class where oid = ${table}::regclass`);
  const pages = Number(size?.['pages']);
  if (pages < FEWEST_PAGES) return NONE;
  const found = await rows(
    db,
    sql`with s as materialized (select keys from ${ident(schema, 'search_entry')} tablesample system (${(100 * SAMPLED_PAGES) / pages}::real)),
      n as materialized (select count(*)::real as count from s)
      select t as trigram, count(*) / min(n.count) as share from s, n, unnest(public.show_trgm(s.keys)) as t group by t having count(*) >= ${NAMED_SHARE}::real * min(n.count)`,
  );
  return new Map(found.map(({ trigram, share }) => [String(trigram), Number(share)]));
}
