import { openSearchFields } from '../access/search-fields.ts';
import { isMasked, SEARCH_COLUMN } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { EMPTY, ident, joinSql, keyword, ready, sql, type ReadyStatement, type Sql } from '../sql.ts';
import { indexedMatchSql, searchPatterns, searchWords, similarSql } from './filter.ts';
import { escapeLike, indexPatterns, type TrigramShares } from './index-patterns.ts';
import { readableNameFields, withKeys } from './names.ts';
import { makeShape, valueColumns, valuesAsJson, type FreshRecord } from './page.ts';
import { makePlanCache } from './plan-cache.ts';
import { OPEN_CLASS, searchText } from './search-key.ts';
import { fieldSql, openSource, whereSql, type Source } from './source.ts';
import { castOf } from './values.ts';

/**
 * So many matching entries are looked at one by one whether their records may be seen; beyond, the rows that the caller sees are
 * looked for first (which costs as much as the rules of some hundreds of records, whatever is searched for).
 */
const FEW_ENTRIES = 500;

/** Stand for what is known only when a search is sent. */
const LIMIT = Symbol('limit');
const TRIMMED = Symbol('the text as it was given');
const FOLDED = Symbol('the text as search compares it');
const BEGINNING = Symbol('pattern of what begins with the text');
const WORDS = Symbol('its words, joined');
const PATTERNS = Array.from({ length: 16 }, (_, at) => Symbol(`pattern ${String(at)}`));
const INDEXED = Array.from({ length: 8 }, (_, at) => Symbol(`pattern that the index is asked for, of word ${String(at)}`));

/** A search as it is planned: what differs between two searches with the same `kind` and objects stands in `given`. */
export interface Search {
  readonly names: readonly string[];
  readonly kind: string;
  readonly match: Match;
  readonly given: ReadonlyMap<unknown, unknown>;
}

/** How a search finds candidates: whether an entry matches, and in which order (smaller first). */
interface Match {
  readonly where: Sql;
  readonly rank: (source: Source) => Sql;
}

/** What one object is searched for and shown with. */
export interface Searched {
  readonly object: ObjectModel;
  readonly fields: readonly FieldModel[];
  readonly shape: (row: readonly unknown[]) => FreshRecord;
}

export interface SearchPlan {
  /** Gives object and values of each hit, in order; a first row without an object says that more entries match than were looked at. */
  readonly statement: ReadyStatement;
  readonly values: readonly unknown[];
  readonly searched: ReadonlyMap<string, Searched>;
}

/**
 * A search for what holds the words, and one for what is spelt alike.
 * @throws AppError invalid_query when the text is too long
 */
export function searchesFor(text: string, names: readonly string[], limit: number, shares: TrigramShares): { readonly exact: Search; readonly alike: Search } {
  const folded = searchText(text);
  const words = searchWords(text);
  const patterns = searchPatterns(words);
  const given = new Map<unknown, unknown>([
    [LIMIT, limit],
    [TRIMMED, text.trim()],
    [FOLDED, folded],
    [BEGINNING, `${escapeLike(folded)}%`],
    [WORDS, words.join(' ')],
    ...indexPatterns(words, shares).map((pattern, at): readonly [unknown, unknown] => [INDEXED[at], pattern]),
    ...patterns.flat().map((pattern, at): readonly [unknown, unknown] => [PATTERNS[at], pattern]),
  ]);
  const lengths = patterns.map((ofWord) => ofWord.length);
  return {
    exact: { names, kind: `exact ${lengths.join('')}`, match: exactMatch(lengths), given },
    alike: { names, kind: 'alike', match: ALIKE, given },
  };
}

const ENTRY = 'e';

/** @param lengths how many patterns each word has */
function exactMatch(lengths: readonly number[]): Match {
  let at = 0;
  const patterns = lengths.map((length) => PATTERNS.slice(at, (at += length)));
  return {
    where: indexedMatchSql(INDEXED, patterns, ENTRY),
    rank: (source) => {
      const named = identifiersOf(source).map((field) => sql`${fieldSql(source, field)} = ${TRIMMED}`);
      const first = named.length === 0 ? EMPTY : sql` when ${joinSql(named, ' or ')} then 0`;
      return sql`case${first} when ${ident(ENTRY, 'keys')} like ${BEGINNING} then 1 else 2 end::real`;
    },
  };
}

const ALIKE: Match = {
  where: similarSql(WORDS, ENTRY),
  rank: () => sql`1 - public.word_similarity(${FOLDED}::text, ${ident(ENTRY, 'keys')})`,
};

/** Searched text fields of which no two records share a value: an NPI, a licence number. */
function identifiersOf(source: Source): readonly FieldModel[] {
  return openSearchFields(source.object).flatMap((name) => {
    const field = source.object.fields.get(name);
    return field?.unique === true && castOf(field) === 'text' ? [field] : [];
  });
}

const plans = makePlanCache<SearchPlan>();

/**
 * The statement of a search and its values.
 * @param isBounded whether it gives up where more than a few entries match
 */
export function searchPlan(ctx: CallContext, search: Search, isBounded: boolean): SearchPlan {
  const { names, kind, given } = search;
  const key = `${kind} ${String(isBounded)} ${names.join()}`;
  const plan = plans(ctx, key, (planning) => planSearch(planning, search, isBounded));
  return { ...plan, values: plan.values.map((value) => (given.has(value) ? given.get(value) : value)) };
}

const FOUND = ident('m');

function planSearch(ctx: CallContext, { names, match }: Search, isBounded: boolean): SearchPlan {
  const entries = ident(ctx.model.schema, 'search_entry');
  const open = sql`${ident(ENTRY, 'class')} = ${OPEN_CLASS} and ${match.where}`;
  // Of several objects, the entries are looked through once for all of them.
  const isDirect = names.length === 1 && !isBounded;
  const from = isDirect ? entries : FOUND;
  const searched = new Map<string, Searched>();
  const branches = names.map((name) => {
    const source = openSource(ctx, name);
    const fields = openSearchFields(source.object).flatMap((field) => source.object.fields.get(field) ?? []);
    const shown = withKeys(source.object, [...readableNameFields(source), ...fields]);
    searched.set(name, { object: source.object, fields, shape: makeShape(shown) });
    const candidates = candidatesSql(source, shown, from, match.rank(source), [...(isDirect ? [open] : []), ...(isBounded ? [sql`not ${OVER}`] : [])]);
    return sql`select ${name}::text as object, h.id, h.rank, ${valuesAsJson('h', shown)} as cells from (${candidates}) as h`;
  });
  const over = isBounded ? [sql`select null::text, null::uuid, -1::real, null::jsonb where ${OVER}`] : [];
  const hits = joinSql([...branches, ...over], ' union all ');
  const found = isDirect ? EMPTY : foundSql(names, entries, open, isBounded);
  const { text, values } = sql`${found}select object, cells from (${hits}) as c order by rank, object, id limit ${LIMIT}`;
  return { statement: ready(text), values, searched };
}

/** Whether more than a few entries match. */
const OVER = sql`(select ${ident('n', 'over')} from ${ident('n')})`;

function foundSql(names: readonly string[], entries: Sql, open: Sql, isBounded: boolean): Sql {
  const columns = joinSql(['object', 'record_id', 'keys'].map((name) => ident(ENTRY, name)));
  const bound = isBounded ? sql` limit ${keyword(String(FEW_ENTRIES + 1))}` : EMPTY;
  const found = sql`with m as materialized (select ${columns} from ${entries} as ${ident(ENTRY)}
    where ${ident(ENTRY, 'object')} = any(${names}::text[]) and ${open}${bound})`;
  const counted = isBounded ? sql`, n as materialized (select count(*) > ${keyword(String(FEW_ENTRIES))} as over from m)` : EMPTY;
  return sql`${found}${counted} `;
}

function candidatesSql(source: Source, shown: readonly FieldModel[], entries: Sql, rank: Sql, more: readonly Sql[]): Sql {
  const id = ident(source.alias, 'id');
  const conditions = [
    sql`${ident(ENTRY, 'object')} = ${source.object.name}`,
    ...more,
    ...(isMasked(source.rights) ? [ident(source.alias, SEARCH_COLUMN)] : []),
  ];
  const from = sql`${source.from} join ${entries} as ${ident(ENTRY)} on ${ident(ENTRY, 'record_id')} = ${id}`;
  return sql`select ${id} as id, ${rank} as rank, ${valueColumns(source, shown)} from ${from}${whereSql(source, conditions)} order by rank, ${id} limit ${LIMIT}`;
}
