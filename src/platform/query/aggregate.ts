import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { divideSql } from '../expression/functions/number.sql.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { EMPTY, ident, joinSql, keyword, ready, rowArrays, sql, type ReadyStatement, type Sql } from '../sql.ts';
import { onDay } from './effective.ts';
import { planFilter } from './filter.ts';
import { invalidQuery } from './invalid-query.ts';
import { fillSlots, SLOT } from './page.ts';
import { makePlanCache } from './plan-cache.ts';
import { sighted } from './sight.sql.ts';
import { fieldSql, openSource, readableField, whereSql, type Source } from './source.ts';
import type { AggregateQuery } from './types.ts';
import { castOf } from './values.ts';

export interface AggregateResult {
  /** One row a group, ordered by the groups: group fields by their names, measures by `as`. */
  readonly data: readonly Readonly<Record<string, unknown>>[];
  readonly more: boolean;
}

type Measure = AggregateQuery['measures'][number];

const DEFAULT_ROWS = 1_000;
const MOST_ROWS = 5_000;
const MOST_MEASURES = 20;
const MOST_GROUPS = 5;
const ORDERED: ReadonlySet<string> = new Set(['numeric', 'date', 'timestamptz']);
const UNGROUPED: ReadonlySet<string> = new Set(['jsonb', 'text[]']);

interface Column {
  readonly name: string;
  readonly value: Sql;
  readonly shape: (stored: unknown) => unknown;
}

interface AggregatePlan {
  readonly columns: readonly Column[];
  readonly statement: ReadyStatement;
  readonly values: readonly unknown[];
}

const plans = makePlanCache<AggregatePlan>();

/**
 * Counts and sums over the records that the caller may read.
 * @throws AppError not_found for an object, invalid_query for any part of the query that cannot be understood
 */
export async function aggregateRecords(db: Knex, call: CallContext, query: AggregateQuery): Promise<AggregateResult> {
  const ctx = await sighted(db, onDay(call, query.object, query.effectiveOn), query.object);
  const { object, filter, search, groupBy, measures } = query;
  const limit = planLimit(query.limit);
  const { columns, statement, values } = plans(ctx, JSON.stringify([object, filter, search, groupBy, measures]), (planning) => planAggregate(planning, query));
  const found = await rowArrays(db, statement, fillSlots(values, limit + 1));
  const data = found.slice(0, limit).map((row) => Object.fromEntries(columns.map((column, index) => [column.name, column.shape(row[index])])));
  return { data, more: found.length > limit };
}

function planAggregate(ctx: CallContext, query: AggregateQuery): AggregatePlan {
  const source = openSource(ctx, query.object);
  const groups = planGroups(source, query.groupBy ?? []);
  const measures = planMeasures(source, query.measures, new Set(groups.map((group) => group.name)));
  const conditions = planFilter(source, query);
  const columns = [...groups, ...measures];
  const selected = joinSql(columns.map((column, index) => sql`${column.value} as ${ident(`c${index}`)}`));
  const positions = keyword(groups.map((_, index) => String(index + 1)).join(', '));
  const grouping = groups.length === 0 ? EMPTY : sql` group by ${positions} order by ${positions}`;
  const { text, values } = sql`select ${selected} from ${source.from}${whereSql(source, conditions)}${grouping} limit ${SLOT}`;
  return { columns, statement: ready(text), values };
}

function planGroups(source: Source, names: readonly string[]): readonly Column[] {
  if (names.length > MOST_GROUPS) throw invalidQuery('groupBy', `At most ${MOST_GROUPS} fields can be grouped by.`);
  const seen = new Set<string>();
  return names.map((name, index) => {
    const field = readableField(source, name, `groupBy/${index}`);
    if (seen.has(name)) throw invalidQuery(`groupBy/${index}`, `The query is already grouped by "${name}".`);
    seen.add(name);
    if (UNGROUPED.has(castOf(field)) || field.objectColumn !== null)
      throw invalidQuery(`groupBy/${index}`, `${source.object.name} cannot be grouped by "${name}".`);
    return { name, value: outSql(source, field), shape: fieldType(field).format };
  });
}

function outSql(source: Source, field: FieldModel): Sql {
  const value = fieldSql(source, field);
  return castOf(field) === 'numeric' ? sql`trim_scale((${value})::numeric)` : value;
}

function planMeasures(source: Source, measures: readonly Measure[], taken: ReadonlySet<string>): readonly Column[] {
  if (measures.length === 0 || measures.length > MOST_MEASURES) throw invalidQuery('measures', `Give from 1 to ${MOST_MEASURES} measures.`);
  const seen = new Set(taken);
  return measures.map((measure, index) => {
    if (!/^[A-Za-z][A-Za-z0-9_]{0,62}$/.test(measure.as))
      throw invalidQuery(`measures/${index}/as`, 'A measure is named with letters, digits and _, a letter first.');
    if (seen.has(measure.as)) throw invalidQuery(`measures/${index}/as`, `The name "${measure.as}" is already used.`);
    seen.add(measure.as);
    return planMeasure(source, measure, `measures/${index}`);
  });
}

function planMeasure(source: Source, measure: Measure, parameter: string): Column {
  const whole = { name: measure.as, shape: (stored: unknown) => Number(stored ?? 0) };
  if (measure.field === undefined) {
    if (measure.op !== 'count') throw invalidQuery(`${parameter}/field`, `"${measure.op}" needs a field.`);
    return { ...whole, value: keyword('count(*)') };
  }
  const field = readableField(source, measure.field, `${parameter}/field`);
  const value = fieldSql(source, field);
  const cast = castOf(field);
  const refuse = (): Error =>
    invalidQuery(`${parameter}/field`, `"${field.name}" has no ${measure.op}.`, 'Use a number, or for min and max a number, a day or an instant.');
  switch (measure.op) {
    case 'count':
      return { ...whole, value: sql`count(${value})` };
    case 'sum':
    case 'avg':
      if (cast !== 'numeric') throw refuse();
      return {
        name: measure.as,
        value:
          measure.op === 'sum'
            ? sql`trim_scale(sum((${value})::numeric))`
            : sql`trim_scale(${divideSql(sql`sum((${value})::numeric)`, sql`count(${value})::numeric`)})`,
        shape: exactText,
      };
    case 'min':
    case 'max':
      if (!ORDERED.has(cast)) throw refuse();
      return { name: measure.as, value: sql`${keyword(measure.op)}(${outSql(source, field)})`, shape: fieldType(field).format };
    case 'medianDays':
      return { name: measure.as, value: medianDays(source, field, measure.since, parameter), shape: exactText };
  }
}

const MOMENTS: ReadonlySet<string> = new Set(['date', 'timestamptz']);

/**
 * Median of the days between two moments of each record, to two places; null without any. Between a day and anything,
 * calendar days of the plan's zone; between two instants, days of 24 hours.
 */
function medianDays(source: Source, until: FieldModel, sinceName: string | undefined, parameter: string): Sql {
  if (sinceName === undefined) throw invalidQuery(`${parameter}/since`, '"medianDays" needs the field that the time runs from.');
  const since = readableField(source, sinceName, `${parameter}/since`);
  for (const field of [since, until]) {
    if (!MOMENTS.has(castOf(field))) throw invalidQuery(`${parameter}/field`, `"${field.name}" is neither a day nor an instant.`);
  }
  const inDays = [since, until].some((field) => castOf(field) === 'date');
  const zone = source.ctx.model.calendarLookup.planZone;
  const dayOf = (field: FieldModel): Sql =>
    castOf(field) === 'date' ? sql`(${fieldSql(source, field)})::date` : sql`((${fieldSql(source, field)})::timestamptz at time zone ${zone}::text)::date`;
  const days = inDays
    ? sql`(${dayOf(until)} - ${dayOf(since)})`
    : sql`extract(epoch from (${fieldSql(source, until)})::timestamptz - (${fieldSql(source, since)})::timestamptz) / 86400`;
  return sql`trim_scale(round((percentile_cont(0.5) within group (order by ${days}))::numeric, 2))`;
}

/** Sums and averages are decimals whatever they are made of. */
function exactText(stored: unknown): string | null {
  return stored === null || stored === undefined ? null : String(stored);
}

function planLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_ROWS;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_ROWS) throw invalidQuery('limit', `The limit is a whole number from 1 to ${MOST_ROWS}.`);
  return limit;
}
