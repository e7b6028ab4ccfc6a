import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import { openSearchFields } from '../access/search-fields.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import type { FieldModel } from '../model/types.ts';
import { displayName } from './display-name.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';
import { referenceNames } from './names.ts';
import type { FreshRecord } from './page.ts';
import { runRecurring } from './recurring.ts';
import { makePlanCache } from './plan-cache.ts';
import { searchText } from './search-key.ts';
import { searchesFor, searchPlan, type Search, type Searched } from './search-plan.ts';
import { sighted } from './sight.sql.ts';
import { trigramShares } from './trigram-shares.sql.ts';
import type { RecordData, SearchHit } from './types.ts';

export interface SearchOptions {
  readonly objects?: readonly string[] | undefined;
  readonly limit?: number | undefined;
}

const DEFAULT_LIMIT = 20;
const MOST_HITS = 100;
/** Shorter texts have too few trigrams to be alike anything. */
const SHORTEST_ALIKE = 4;

/**
 * Records of any object that hold the words: first those that an identifying field (a unique one) names exactly, then
 * those that begin with the text. When none holds them, those that hold something spelt alike. Entries find the
 * candidates; the row rule is evaluated on the live row. One statement, which also brings what the names are made of (a name made
 * of other records' takes one more); a second one where a caller who sees few rows searches for what many entries hold.
 * @throws AppError invalid_query for an object that cannot be searched by this caller, whether or not it exists
 */
export async function searchRecords(db: Knex, call: CallContext, text: string, options: SearchOptions = {}): Promise<readonly SearchHit[]> {
  const limit = options.limit ?? DEFAULT_LIMIT;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_HITS) throw invalidQuery('limit', `The limit is a whole number from 1 to ${MOST_HITS}.`);
  const names = searchedObjects(call, options.objects);
  const folded = searchText(text);
  if (folded === '' || names.length === 0) return [];
  let ctx = call;
  for (const name of names) ctx = await sighted(db, ctx, name);
  const { exact, alike } = searchesFor(text, names, limit, await trigramShares(db, call));
  const found = await recordsOf(db, call, ctx, exact);
  const hits = found.length > 0 || [...folded].length < SHORTEST_ALIKE ? found : await recordsOf(db, call, ctx, alike);
  return describeHits(db, ctx, hits, folded.split(' '));
}

const searchableNames = makePlanCache<readonly string[]>();

function searchedObjects(ctx: CallContext, wanted: readonly string[] | undefined): readonly string[] {
  const names = searchableNames(ctx, '', (planning) =>
    [...planning.model.objects.values()].flatMap((object) => {
      if (object.builtin) return [];
      const rights = rightsFor(planning, object.name);
      const fields = openSearchFields(object);
      return rights.canRead && fields.length > 0 && fields.every((name) => rights.readable.has(name)) ? [object.name] : [];
    }),
  );
  wanted?.forEach((name, index) => {
    if (!names.includes(name)) throw unknownName(`objects/${index}`, 'Search', 'object', name, names);
  });
  return wanted === undefined ? names : [...new Set(wanted)];
}

interface Hit {
  readonly searched: Searched;
  readonly record: FreshRecord;
}

/**
 * The records that a search finds, in order. A rare text costs a caller with row rules only what the rules of the matching
 * records cost; for others the rows that the caller sees are looked for first (`ctx`).
 */
async function recordsOf(db: Knex, call: CallContext, ctx: CallContext, search: Search): Promise<readonly Hit[]> {
  const few = ctx === call ? null : await send(db, call, search, true);
  return few ?? (await send(db, ctx, search, false)) ?? [];
}

/** Null when it is bounded and more entries match than were looked at. */
async function send(db: Knex, ctx: CallContext, search: Search, isBounded: boolean): Promise<readonly Hit[] | null> {
  const { statement, values, searched } = searchPlan(ctx, search, isBounded);
  const found = await runRecurring(db, statement, values);
  if (found[0]?.[0] === null) return null;
  return found.map(([name, cells]) => {
    const object = searched.get(String(name));
    if (object === undefined || !Array.isArray(cells)) throw new AppError('internal', 'A search brought a record of an object that was not searched.');
    return { searched: object, record: object.shape(cells) };
  });
}

async function describeHits(db: Knex, ctx: CallContext, hits: readonly Hit[], words: readonly string[]): Promise<readonly SearchHit[]> {
  const inNames = new Map<string, ReadonlyMap<string, string>>();
  for (const { searched } of hits) {
    const { object } = searched;
    if (inNames.has(object.name)) continue;
    const records = hits.flatMap((hit) => (hit.searched.object === object ? [hit.record] : []));
    inNames.set(object.name, await referenceNames(db, ctx, object, records));
  }
  return hits.map(({ searched: { object, fields }, record }) => ({
    object: object.name,
    id: record.id,
    name: displayName(object, record, inNames.get(object.name) ?? new Map()),
    matched: matchedValue(fields, record, words),
  }));
}

/** The value that the search was found in: of the fields searched, the first that holds one of the words. */
function matchedValue(fields: readonly FieldModel[], record: RecordData, words: readonly string[]): string {
  for (const field of fields) {
    const value = record[field.name];
    if (typeof value !== 'string') continue;
    const shown = field.values?.values.find((entry) => entry.code === value)?.label ?? value;
    const folded = searchText(shown);
    if (words.some((word) => folded.includes(word))) return shown;
  }
  return '';
}
