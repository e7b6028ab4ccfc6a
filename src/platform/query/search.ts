import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import { openSearchFields } from '../access/search-fields.ts';
import { isMasked, SEARCH_COLUMN } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { FieldModel } from '../model/types.ts';
import { EMPTY, ident, joinSql, ready, rowArrays, sql, type Sql } from '../sql.ts';
import { displayName } from './display-name.ts';
import { escapeLike, matchSql, similarSql } from './filter.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';
import { readableNameFields, referenceNames, withKeys } from './names.ts';
import { makeShape, valueColumns } from './page.ts';
import { OPEN_CLASS, searchText } from './search-key.ts';
import { sighted } from './sight.sql.ts';
import { fieldSql, openSource, whereSql, type Source } from './source.ts';
import type { RecordData, SearchHit } from './types.ts';
import { castOf } from './values.ts';

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
 * candidates; the row rule is evaluated on the live row.
 * @throws AppError invalid_query for an object that cannot be searched by this caller, whether or not it exists
 */
export async function searchRecords(db: Knex, call: CallContext, text: string, options: SearchOptions = {}): Promise<readonly SearchHit[]> {
  const limit = options.limit ?? DEFAULT_LIMIT;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_HITS) throw invalidQuery('limit', `The limit is a whole number from 1 to ${MOST_HITS}.`);
  const names = searchedObjects(call, options.objects);
  let ctx = call;
  for (const name of names) ctx = await sighted(db, ctx, name);
  const sources = names.map((name) => openSource(ctx, name));
  if (searchText(text) === '' || sources.length === 0) return [];
  const held = await hitsOf(db, sources, text, limit, exactSql);
  if (held.length > 0 || [...searchText(text)].length < SHORTEST_ALIKE) return held;
  return hitsOf(db, sources, text, limit, alikeSql);
}

/** How a search finds candidates: whether an entry matches, and in which order (smaller first). */
type Match = (source: Source, text: string) => { readonly where: Sql; readonly rank: Sql };

const exactSql: Match = (source, text) => {
  const named = identifiersOf(source).map((field) => sql`${fieldSql(source, field)} = ${text.trim()}`);
  const first = named.length === 0 ? EMPTY : sql` when ${joinSql(named, ' or ')} then 0`;
  return { where: matchSql(text, 'e'), rank: sql`case${first} when ${ident('e', 'keys')} like ${`${escapeLike(searchText(text))}%`} then 1 else 2 end::real` };
};

const alikeSql: Match = (_, text) => ({
  where: similarSql(text, 'e'),
  rank: sql`1 - public.word_similarity(${searchText(text)}::text, ${ident('e', 'keys')})`,
});

/** Searched text fields of which no two records share a value: an NPI, a licence number. */
function identifiersOf(source: Source): readonly FieldModel[] {
  return openSearchFields(source.object).flatMap((name) => {
    const field = source.object.fields.get(name);
    return field?.unique === true && castOf(field) === 'text' ? [field] : [];
  });
}

async function hitsOf(db: Knex, sources: readonly Source[], text: string, limit: number, match: Match): Promise<readonly SearchHit[]> {
  const branches = sources.map((source) => sql`(${candidatesSql(source, match(source, text), limit)})`);
  const { text: all, values } = sql`select object, id from (${joinSql(branches, ' union all ')}) as c order by rank, object, id limit ${limit}`;
  const hits = (await rowArrays(db, ready(all), values)).map(([object, id]) => ({ object: String(object), id: String(id) }));
  const details = new Map<string, SearchHit>();
  for (const source of sources) {
    const ids = hits.filter((hit) => hit.object === source.object.name).map((hit) => hit.id);
    if (ids.length > 0) for (const hit of await describeHits(db, source, ids, text)) details.set(hit.id, hit);
  }
  return hits.flatMap((hit) => details.get(hit.id) ?? []);
}

function searchedObjects(ctx: CallContext, wanted: readonly string[] | undefined): readonly string[] {
  const searchable = [...ctx.model.objects.values()].filter((object) => {
    if (object.builtin) return false;
    const rights = rightsFor(ctx, object.name);
    const fields = openSearchFields(object);
    return rights.canRead && fields.length > 0 && fields.every((name) => rights.readable.has(name));
  });
  const names = searchable.map((object) => object.name);
  wanted?.forEach((name, index) => {
    if (!names.includes(name)) throw unknownName(`objects/${index}`, 'Search', 'object', name, names);
  });
  return wanted ?? names;
}

function candidatesSql(source: Source, { where, rank }: ReturnType<Match>, limit: number): Sql {
  const id = ident(source.alias, 'id');
  const entry = sql`join ${ident(source.ctx.model.schema, 'search_entry')} as ${ident('e')} on ${ident('e', 'record_id')} = ${id}`;
  const conditions = [
    sql`${ident('e', 'object')} = ${source.object.name}`,
    sql`${ident('e', 'class')} = ${OPEN_CLASS}`,
    where,
    ...(isMasked(source.rights) ? [ident(source.alias, SEARCH_COLUMN)] : []),
  ];
  return sql`select ${source.object.name}::text as object, ${id} as id, ${rank} as rank from ${source.from} ${entry}${whereSql(source, conditions)} order by rank, ${id} limit ${limit}`;
}

async function describeHits(db: Knex, source: Source, ids: readonly string[], text: string): Promise<readonly SearchHit[]> {
  const searched = openSearchFields(source.object).flatMap((name) => source.object.fields.get(name) ?? []);
  const fields = withKeys(source.object, [...readableNameFields(source), ...searched]);
  const { text: statement, values } =
    sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${ident(source.alias, 'id')} = any(${ids}::uuid[])`])}`;
  const records = (await rowArrays(db, ready(statement), values)).map(makeShape(fields));
  const names = await referenceNames(db, source.ctx, source.object, records);
  return records.map((record) => ({
    object: source.object.name,
    id: record.id,
    name: displayName(source.object, record, names),
    matched: matchedValue(searched, record, text),
  }));
}

/** The value that the search was found in: of the fields searched, the first that holds one of the words. */
function matchedValue(fields: readonly FieldModel[], record: RecordData, text: string): string {
  const words = searchText(text).split(' ');
  for (const field of fields) {
    const value = record[field.name];
    if (typeof value !== 'string') continue;
    const shown = field.values?.values.find((entry) => entry.code === value)?.label ?? value;
    if (words.some((word) => searchText(shown).includes(word))) return shown;
  }
  return '';
}
