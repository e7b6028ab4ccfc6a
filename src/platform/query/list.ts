import type { Knex } from 'knex';
import { rightsFor, unknownRecord } from '../access/rights.ts';
import { isMasked, rowPredicate } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, isTransaction, ready, rowArrays, sql, type ReadyStatement, type Sql } from '../sql.ts';
import { countRows, type CountResult } from './count.ts';
import { decodeCursor, encodeCursor, listHash } from './cursor.ts';
import { onDay, timesOf, type TimeQuery } from './effective.ts';
import { addExpanded, addNames, fieldsToRead, planExpand, type Expansion } from './expand.ts';
import { FOUND, foundIdsSql, foundSql, mayGuess, planFilter, type SearchRoute } from './filter.ts';
import { invalidQuery } from './invalid-query.ts';
import {
  fillGiven,
  fillSlots,
  makeShape,
  openPosition,
  planPage,
  positionOf,
  readPage,
  SLOT,
  valueColumns,
  type FreshRecord,
  type PagePlan,
  type PageValues,
} from './page.ts';
import { runRecurring } from './recurring.ts';
import { makePlanCache } from './plan-cache.ts';
import { readRecorded } from './recorded.ts';
import { searchText } from './search-key.ts';
import { sighted } from './sight.sql.ts';
import { planSort, type Position, type SortKey } from './sort.ts';
import { openSource, selectFields, twinSource, whereSql, type Selection, type Source, type TwinSource } from './source.ts';
import { trigramShares } from './trigram-shares.sql.ts';
import type { ListResult, ReadQuery, RecordData } from './types.ts';

const DEFAULT_LIMIT = 50;
const MOST_ROWS = 500;

interface ListPlan {
  readonly selection: Selection;
  readonly expansions: readonly Expansion[];
  /** Which records are listed. */
  readonly conditions: readonly Sql[];
  /** The same for a page, which may name a record twice (`twinSource`). */
  readonly paged: readonly Sql[];
  readonly route: SearchRoute;
  readonly keys: readonly SortKey[];
  readonly hash: string;
  readonly page: PagePlan;
  /** Plans of later pages, by which keys of the position are empty. */
  readonly later: Map<string, PagePlan>;
}

const listPlans = makePlanCache<ListPlan>();

function planList(ctx: CallContext, query: ReadQuery, route: SearchRoute): ListPlan {
  const source = openListed(ctx, query);
  const selection = selectFields(source, query.fields, query.trash);
  const expansions = planExpand(source, query.expand);
  const trash = trashConditions(ctx, source, query);
  const conditions = [...planFilter(source, query, route), ...trash];
  const fields = fieldsToRead(source, selection.fields, selection.withName, expansions);
  const { read, order } = pagedSource(source, route);
  const paged = route === 'ordered' ? [...planFilter(source, { ...query, search: undefined }), ...trash, foundSql(order)] : conditions;
  const keys = planSort(order, query.sort);
  return {
    selection,
    expansions,
    conditions,
    paged,
    keys,
    hash: listHash(source, query, keys),
    page: planPage(read, fields, paged, keys, null),
    later: new Map(),
    route,
  };
}

const pagedSource = (source: Source, route: SearchRoute): TwinSource => (route === 'ordered' ? twinSource(source) : { read: source, order: source });

const openListed = (ctx: CallContext, query: ReadQuery): Source => openSource(ctx, query.object, { trash: query.trash === true });

/**
 * One page of records that the caller may read.
 * @throws AppError not_found for an object, invalid_query for any part of the query that cannot be understood
 */
export async function listRecords(db: Knex, call: CallContext, query: ReadQuery): Promise<ListResult> {
  const ctx = await sighted(db, onDay(call, query.object, query.effectiveOn), query.object, query.search === undefined ? walked(call, query) : null);
  const { object, filter, equals, fields, sort, search, expand, trash } = query;
  const key = JSON.stringify([object, filter, equals, fields, sort, search, expand, trash]);
  const asked = listPlans(ctx, key, (planning) => planList(planning, query, 'planned'));
  const { route, values } = search === undefined ? PLANNED : await routeOf(db, ctx, query, search);
  const plan = route === 'planned' ? asked : listPlans(ctx, `${route} ${key}`, (planning) => planList(planning, query, route));
  const { selection, expansions, conditions, keys, hash } = plan;
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, hash, keys);
  const limit = planLimit(query.limit);
  const count = query.count ?? 'none';
  const work = async (handle: Knex): Promise<ListResult> => {
    const page = after === null ? plan.page : laterPage(ctx, query, plan, after);
    const found = await readPage(handle, page, limit + 1, { ...values, after });
    const shown = found.slice(0, limit);
    const last = shown.at(-1);
    const data = await finish(
      handle,
      ctx,
      object,
      selection,
      expansions,
      shown.map((row) => row.record),
    );
    const meta = count === 'none' ? {} : await countOf(handle, openListed(ctx, query), query, filled(conditions, values), count);
    return { data, page: { next: found.length > limit && last !== undefined ? encodeCursor(hash, positionOf(page, last.row)) : null }, meta };
  };
  // A page and its count are of one moment.
  return count === 'none' || isTransaction(db) ? work(db) : db.transaction(work, { isolationLevel: 'repeatable read', readOnly: true });
}

/** Kept with the plan of the list: what that looked at of the call is what this looks at. */
function laterPage(ctx: CallContext, query: ReadQuery, { paged, route, keys, page, later }: ListPlan, after: Position): PagePlan {
  const emptyKeys = after.map((value) => (value === null ? '0' : '1')).join('');
  const known = later.get(emptyKeys);
  if (known !== undefined) return known;
  const { read } = pagedSource(openListed(ctx, query), route);
  const made = planPage(read, page.fields, paged, keys, openPosition(after), page.shape);
  later.set(emptyKeys, made);
  return made;
}

interface Routed {
  readonly route: SearchRoute;
  /** What the plan of that route leaves open. */
  readonly values: PageValues;
}

const PLANNED: Routed = { route: 'planned', values: {} };
/** PostgreSQL takes a list of ids that it does not know for ten; up to so much text (100 ids) it comes to the same. */
const SHORT_LIST = 3_700;

/**
 * How the words are looked for; asked once the search is known to be allowed. Rare ones: their records' ids are found first, so that
 * PostgreSQL knows how many there are and fetches them or meets them in the order of the list, whichever is sooner. Common ones are met in
 * that order soon, where an index holds it and nothing else leaves records out.
 */
async function routeOf(db: Knex, ctx: CallContext, query: ReadQuery, search: string): Promise<Routed> {
  const source = openListed(ctx, query);
  const asked = searchText(search) === '' ? null : foundIdsSql(source, search, await trigramShares(db, ctx));
  if (asked === null) return PLANNED;
  const [row] = await rowArrays(db, ready(asked.text), asked.values);
  const ids = row?.[0];
  if (typeof ids === 'string') {
    const isLong = ids.length > SHORT_LIST;
    const isOrdered = isLong && !isMasked(source.rights) && query.sort?.length === 1 && isIndexed(ctx, query);
    return { route: isOrdered ? 'ordered' : 'found', values: { given: new Map([[FOUND, ids]]), isOnce: isLong } };
  }
  const seesAll = source.where.length === 1 && !isMasked(source.rights);
  return seesAll && walked(ctx, query) !== null ? { route: 'walked', values: {} } : PLANNED;
}

function filled(conditions: readonly Sql[], { given }: PageValues): readonly Sql[] {
  return given === undefined ? conditions : conditions.map((condition) => ({ ...condition, values: fillGiven(condition.values, given) }));
}

/** How many rows are met along an index when nothing but a page in its order (and words) is asked for; null when more must be looked at. */
function walked(ctx: CallContext, query: ReadQuery): number | null {
  const { filter, equals, limit, count, trash } = query;
  if (filter !== undefined || equals !== undefined || trash === true || (count ?? 'none') !== 'none') return null;
  return isIndexed(ctx, query) ? (limit ?? DEFAULT_LIMIT) : null;
}

/** Whether an index holds the leading key of the order. */
function isIndexed({ model }: CallContext, { object, sort }: ReadQuery): boolean {
  const lead = sort?.[0]?.replace(/^-/, '') ?? 'id';
  return lead === 'id' || model.objects.get(object)?.fields.get(lead)?.ordered === true;
}

function countOf(db: Knex, source: Source, query: ReadQuery, conditions: readonly Sql[], kind: NonNullable<ReadQuery['count']>): Promise<CountResult> {
  return countRows(db, source, conditions, kind, kind === 'estimate' && mayGuess(source, query));
}

/** The trash is for those who may delete, and shows what they may delete. */
function trashConditions(ctx: CallContext, source: Source, query: ReadQuery): readonly Sql[] {
  if (query.trash !== true) return [];
  if (!rightsFor(ctx, query.object).canDelete) throw new AppError('forbidden', `You may not look into the trash of ${source.object.plural}.`);
  const predicate = rowPredicate(ctx, query.object, 'delete', 'd');
  if (predicate === null) return [];
  const id = ident(source.alias, 'id');
  return [sql`${id} in (select ${ident('d', 'id')} from ${wholeTable(ctx.model.schema, source.object)} as ${ident('d')} where ${predicate})`];
}

function planLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_LIMIT;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_ROWS) throw invalidQuery('limit', `The limit is a whole number from 1 to ${MOST_ROWS}.`);
  return limit;
}

export interface GetOptions extends TimeQuery {
  readonly fields?: readonly string[] | undefined;
  readonly expand?: readonly string[] | undefined;
}

interface GetPlan {
  readonly selection: Selection;
  readonly expansions: readonly Expansion[];
  readonly shape: (row: readonly unknown[]) => FreshRecord;
  readonly statement: ReadyStatement;
  readonly values: readonly unknown[];
}

const getPlans = makePlanCache<GetPlan>();

function planGet(ctx: CallContext, objectName: string, options: GetOptions): GetPlan {
  const source = openSource(ctx, objectName);
  const selection = selectFields(source, options.fields);
  const expansions = planExpand(source, options.expand);
  const fields = fieldsToRead(source, selection.fields, selection.withName, expansions);
  const { text, values } = getSql(source, fields, SLOT);
  return { selection, expansions, shape: makeShape(fields), statement: ready(text), values };
}

/**
 * One record, in one statement.
 * @throws AppError not_found when there is none or the caller may not see it
 */
export async function getRecord(db: Knex, call: CallContext, objectName: string, id: string, options: GetOptions = {}): Promise<RecordData> {
  const { effectiveOn, recordedAt } = timesOf(call, objectName, options);
  if (recordedAt !== null) return readRecorded(db, call, objectName, id, { ...options, effectiveOn, recordedAt });
  const ctx = effectiveOn === null ? call : { ...call, effectiveOn };
  const key = JSON.stringify([objectName, options.fields, options.expand]);
  const plan = getPlans(ctx, key, (planning) => planGet(planning, objectName, options));
  if (!isUuid(id)) throw unknownRecord(objectName, id);
  const [row] = await runRecurring(db, plan.statement, fillSlots(plan.values, id));
  if (row === undefined) throw unknownRecord(objectName, id);
  const [record] = await finish(db, ctx, objectName, plan.selection, plan.expansions, [plan.shape(row)]);
  if (record === undefined) throw unknownRecord(objectName, id);
  return record;
}

/** Text of reading one record, row rule included. */
export function getSql(source: Source, fields: readonly FieldModel[], id: string | typeof SLOT): Sql {
  return sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${ident(source.alias, 'id')} = ${id}::uuid`])}`;
}

/** Names and expansions added, and what was read only for them left out. */
async function finish(
  db: Knex,
  ctx: CallContext,
  objectName: string,
  selection: Selection,
  expansions: readonly Expansion[],
  records: readonly FreshRecord[],
): Promise<readonly RecordData[]> {
  if (!selection.withName && expansions.length === 0) return records;
  const source = openSource(ctx, objectName);
  await addExpanded(db, source, expansions, records);
  if (selection.withName) await addNames(db, source, records);
  const wanted = new Set(selection.fields.map((field) => field.name));
  const extra = [...source.object.fields.keys()].filter((name) => !wanted.has(name) && records[0] !== undefined && name in records[0]);
  return extra.length === 0 ? records : records.map((record) => without(record, extra));
}

function without(record: FreshRecord, names: readonly string[]): RecordData {
  const kept = Object.entries(record).filter(([name]) => !names.includes(name));
  return { ...Object.fromEntries(kept), id: record.id, version: record.version };
}
