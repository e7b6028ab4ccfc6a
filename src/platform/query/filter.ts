import { SEARCH_COLUMN, isMasked, securityKey } from '../access/secure.sql.ts';
import { ROW_RULE_VARIABLES } from '../access/rights.ts';
import { openSearchFields } from '../access/search-fields.ts';
import { AppError, isAppError } from '../errors.ts';
import { checkExpression } from '../expression/check.ts';
import { compileFilterSql } from '../expression/to-sql.sql.ts';
import type { ExprType, TypedExpression } from '../expression/types.ts';
import { suggestion } from '../metadata/suggest.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, Model } from '../model/types.ts';
import { ident, joinSql, sql, type Sql } from '../sql.ts';
import { escapeLike, indexPatterns, type TrigramShares } from './index-patterns.ts';
import { invalidQuery } from './invalid-query.ts';
import { OPEN_CLASS, searchText } from './search-key.ts';
import { fieldSql, readableField, type Source } from './source.ts';
import { bound, castOf, isValueText, valueHint } from './values.ts';

const LONGEST_FILTER = 8_000;
const MOST_CHECKED = 500;
const checked = new WeakMap<Model, Map<string, TypedExpression>>();

export interface FilterParts {
  readonly filter?: string | undefined;
  readonly equals?: Readonly<Record<string, string | number | boolean | null>> | undefined;
  readonly search?: string | undefined;
}

/** How the records that a search finds are looked for; it changes the plan of a list, never the list. */
export type SearchRoute =
  /** However the planner thinks best, which guesses badly how many records hold a word. */
  | 'planned'
  /** Each record in the order of the list is asked whether it holds the words: they are common. */
  | 'walked'
  /** Their ids are known (`foundIdsSql`) and given when the list is read. */
  | 'found'
  /** The same, where they are so many that most are never shown: their order is read from its index alone (`twinSource`). */
  | 'ordered';

/** Stands for the ids that a search found. */
export const FOUND: unique symbol = Symbol('the ids that a search found');

/**
 * Conditions of a read beyond the caller's rights.
 * @throws AppError invalid_query for whatever does not exist, may not be read or cannot be compared
 */
export function planFilter(source: Source, parts: FilterParts, route: SearchRoute = 'planned'): readonly Sql[] {
  const conditions: Sql[] = [];
  if (parts.filter !== undefined && parts.filter.trim() !== '') conditions.push(filterSql(source, parts.filter));
  for (const [name, value] of Object.entries(parts.equals ?? {})) conditions.push(equalsSql(source, readableField(source, name, name), value));
  if (parts.search !== undefined && searchText(parts.search) !== '') conditions.push(searchSql(source, parts.search, route));
  return conditions;
}

/**
 * Whether a guess of the number of rows tells of nothing that is hidden. The planner guesses from all rows of every table
 * that is asked: so the caller must see all rows of this one, and ask for nothing but its own columns.
 */
export function mayGuess(source: Source, parts: FilterParts): boolean {
  const { rights, object } = source;
  if (rights.all) return true;
  const isOwn = (name: string): boolean => (object.fields.get(name)?.column ?? null) !== null;
  const reads = parts.filter === undefined || parts.filter.trim() === '' ? [] : checkFilter(source, parts.filter).reads;
  const names = [...reads.map(({ steps }) => (steps.length === 1 ? (steps[0]?.field ?? '') : '')), ...Object.keys(parts.equals ?? {})];
  return rights.readGrants.every((grant) => grant.read.kind === 'all') && (parts.search ?? '').trim() === '' && names.every(isOwn);
}

function filterSql(source: Source, text: string): Sql {
  const typed = checkFilter(source, text);
  return sql`(${compileFilterSql(typed, source.schema, { alias: source.alias, context: source.context })})`;
}

function checkFilter(source: Source, text: string): TypedExpression {
  if (text.length > LONGEST_FILTER) throw invalidQuery('filter', `The filter is longer than ${LONGEST_FILTER} characters.`);
  if (text.includes('\u0000')) throw invalidQuery('filter', 'The filter holds a character that no text can hold.');
  const known = checked.get(source.ctx.model) ?? new Map<string, TypedExpression>();
  checked.set(source.ctx.model, known);
  const key = `${securityKey(source.ctx)}|${source.object.name}|${text}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const typed = check(source, text);
  if (typed.type.kind !== 'boolean')
    throw invalidQuery('filter', 'The filter must be a condition, true or false for each record.', "Compare it with something, as in status == 'active'.");
  if (typed.sqlObstacle !== null) throw invalidQuery('filter', `The filter cannot be run by the database: ${typed.sqlObstacle}.`);
  if (known.size >= MOST_CHECKED) known.clear();
  known.set(key, typed);
  return typed;
}

function check(source: Source, text: string): TypedExpression {
  try {
    // Checked against what the caller can see: a hidden name is an unknown name, suggestions included.
    return checkExpression(text, source.schema, { object: source.object.name, variables: variablesFor(source) });
  } catch (error) {
    if (!isAppError(error, 'invalid_expression')) throw error;
    const errors = error.errors.map((detail) => ({ ...detail, pointer: `/filter${detail.pointer}`, code: 'invalid_query' }));
    const own = { pointer: '/filter', code: 'invalid_query', detail: error.message };
    throw new AppError('invalid_query', error.message, { errors: errors.length === 0 ? [own] : errors, extra: error.extra, cause: error });
  }
}

function equalsSql(source: Source, field: FieldModel, value: string | number | boolean | null): Sql {
  const column = fieldSql(source, field);
  if (value === null) return sql`${column} is null`;
  const cast = castOf(field);
  // Codes are taken exactly; other values in any form that a write would take.
  const text = field.values !== null || cast === 'text[]' ? String(value) : plainText(fieldType(field).parse(value, field));
  if (!isValueText(cast, text)) throw invalidQuery(field.name, `"${field.name}" takes ${valueHint(cast)}.`);
  if (field.values !== null && !field.values.values.some((entry) => entry.code === text)) {
    const codes = field.values.values.map((entry) => entry.code);
    throw invalidQuery(field.name, `"${text}" is not a value of "${field.name}".`, suggestion(text, codes).fix);
  }
  if (cast === 'text[]') return sql`${column} @> ${[text]}::text[]`;
  return sql`${column} = ${bound(cast, text)}`;
}

function plainText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

const MOST_WORDS = 8;
const LONGEST_SEARCH = 200;

function searchSql(source: Source, text: string, route: SearchRoute): Sql {
  if (source.object.builtin) return builtinSearchSql(source, text);
  const fields = openSearchFields(source.object);
  // An entry mixes all fields of its class: only who may read them all may look into it.
  if (fields.length === 0 || !fields.every((name) => source.rights.readable.has(name))) {
    throw invalidQuery('search', `${source.object.name} cannot be searched.`, 'Use filter.');
  }
  const candidates = candidatesSql(source, text, route);
  return isMasked(source.rights) ? sql`(${ident(source.alias, SEARCH_COLUMN)} and ${candidates})` : candidates;
}

function candidatesSql(source: Source, text: string, route: SearchRoute): Sql {
  const id = ident(source.alias, 'id');
  if (route === 'found' || route === 'ordered') return foundSql(source);
  if (route === 'planned') return sql`${id} in (${entriesSql(source, matchOf(text), ident('e', 'record_id'))})`;
  // A subquery that gives a value is evaluated row by row, and is never turned into a join.
  const entry = sql`${ident('e', 'object')} = ${source.object.name} and ${ident('e', 'class')} = ${OPEN_CLASS} and ${ident('e', 'record_id')} = ${id}`;
  return sql`(select ${matchOf(text)} from ${ident(source.ctx.model.schema, 'search_entry')} as ${ident('e')} where ${entry})`;
}

/** The records of the ids that are given when the list is read. */
export const foundSql = (source: Source): Sql => sql`${ident(source.alias, 'id')} = any(${FOUND}::uuid[])`;

const matchOf = (text: string): Sql => matchSql(searchPatterns(searchWords(text)), 'e');

function entriesSql(source: Source, match: Sql, what: Sql): Sql {
  return sql`select ${what} from ${ident(source.ctx.model.schema, 'search_entry')} as ${ident('e')}
    where ${ident('e', 'object')} = ${source.object.name} and ${ident('e', 'class')} = ${OPEN_CLASS} and ${match}`;
}

/** So many ids are worth sending however few records there are. */
const FEW_ENTRIES = 5_000;
/**
 * Beyond the root of so many times the number of records, a list that is walked in its order meets a page of matching ones sooner than
 * their ids are found: of 8,000,000 records, 28,000 (measured with `test/bench/data-size.ts`).
 */
const SCARCITY = 100;
const SHORTEST_INDEXED = 3;

/**
 * The statement that gives the ids of the records that a search finds, as the text of an array, or nothing where they are many; null where
 * it is of no use: a built-in object, or words too short for an index.
 */
export function foundIdsSql(source: Source, text: string, shares: TrigramShares): Sql | null {
  const words = searchWords(text);
  const isIndexed = words.some((word) => [...word].length >= SHORTEST_INDEXED);
  if (source.object.builtin || !isIndexed) return null;
  const match = indexedMatchSql(indexPatterns(words, shares), searchPatterns(words), 'e');
  const table = `"${source.ctx.model.schema}"."${source.object.table}"`;
  const most = sql`select greatest(${FEW_ENTRIES}::int, sqrt(${SCARCITY}::int * greatest(reltuples, 0)))::int as most from pg_class where oid = ${table}::regclass`;
  return sql`select case when count(c.id) <= min(f.most) then '{' || coalesce(string_agg(c.id::text, ','), '') || '}' end
    from (${most}) as f left join lateral (${entriesSql(source, match, sql`${ident('e', 'record_id')} as id`)} limit f.most + 1) as c on true`;
}

/** Built-in objects have no search entries; they are small enough to be looked through. */
function builtinSearchSql(source: Source, text: string): Sql {
  const columns = openSearchFields(source.object).flatMap((name) => {
    const field = source.rights.readable.has(name) ? source.object.fields.get(name) : undefined;
    return field === undefined ? [] : [sql`lower(${fieldSql(source, field)})`];
  });
  if (columns.length === 0) throw invalidQuery('search', `${source.object.name} cannot be searched.`, 'Use filter.');
  const haystack = sql`concat_ws(' ', ${joinSql(columns)})`;
  const words = searchWords(text).map((word) => sql`${haystack} like ${`%${escapeLike(word)}%`}`);
  return sql`(${joinSql(words, ' and ')})`;
}

/**
 * The words that are searched for: folded, each once.
 * @throws AppError invalid_query when the text is too long
 */
export function searchWords(text: string): readonly string[] {
  if (text.length > LONGEST_SEARCH || text.includes('\u0000')) throw invalidQuery('search', `Search for at most ${LONGEST_SEARCH} characters of plain text.`);
  return [...new Set(searchText(text).split(' '))].slice(0, MOST_WORDS);
}

/** For each word the patterns of which one must fit: somewhere in the keys; for one or two letters, at the start of a word. */
export function searchPatterns(words: readonly string[]): readonly (readonly string[])[] {
  return words.map((word) => {
    const like = escapeLike(word);
    return [...word].length < 3 ? [`${like}%`, `% ${like}%`] : [`%${like}%`];
  });
}

/** Whether a search entry matches: for every word one of its patterns (or what stands for it in a plan). */
export function matchSql(patterns: readonly (readonly unknown[])[], alias: string): Sql {
  const keys = ident(alias, 'keys');
  const words = patterns.map((ofWord) => {
    const likes = ofWord.map((pattern) => sql`${keys} like ${pattern}`);
    return likes.length === 1 ? joinSql(likes) : sql`(${joinSql(likes, ' or ')})`;
  });
  return sql`(${joinSql(words, ' and ')})`;
}

/**
 * The same, with the patterns that the index is asked for (one a word, `index-patterns.ts`) apart from those that an entry must match. A
 * comparison in another collation, which compares alike, is none that the index could be asked.
 */
export function indexedMatchSql(indexed: readonly unknown[], patterns: readonly (readonly unknown[])[], alias: string): Sql {
  const keys = ident(alias, 'keys');
  const words = patterns.map((ofWord, at) => {
    const [pattern] = ofWord;
    return ofWord.length === 1 ? sql`${keys} like ${indexed[at]} and ${keys} collate "POSIX" like ${pattern}` : matchSql([ofWord], alias);
  });
  return sql`(${joinSql(words, ' and ')})`;
}

/**
 * Whether a search entry holds something spelt much like the words, joined by blanks (or what stands for them in a plan): their
 * trigrams agree by at least the share that `db.ts` sets for every connection.
 */
export function similarSql(words: unknown, alias: string): Sql {
  return sql`${words}::text operator(public.<%) ${ident(alias, 'keys')}`;
}

/** The caller's names, but for those that are fields of the object: who filters by a field means the field. */
function variablesFor(source: Source): Readonly<Record<string, ExprType>> {
  return Object.fromEntries(Object.entries(ROW_RULE_VARIABLES).filter(([name]) => !source.object.fields.has(name)));
}
