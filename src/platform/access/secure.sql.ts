import { compileFilterSql, compileValueSql } from '../expression/to-sql.sql.ts';
import type { ExprField, ExprObject, ExprSchema, SqlContext } from '../expression/types.ts';
import { readTable, wholeTable } from '../model/read-table.sql.ts';
import { sideOf, sideTables } from '../model/side-tables.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { AppError } from '../errors.ts';
import { openSearchFields } from './search-fields.ts';
import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { mayDoEverything, principalKey, rightsFor, type Grant, type Rights, type RowRule } from './rights.ts';
import { callerParts } from './row-parts.ts';
import type { CallContext } from './types.ts';

export type RowAct = 'read' | 'update' | 'delete';

/** Alias of the guarded table inside a secured relation. */
const INNER = 'g';
const FALSE = keyword('false');
const TRUE = keyword('true');

/** What SQL needs of the call: clock, caller and calendars. Each is looked up when a statement really binds it. */
export function sqlContext(ctx: CallContext): SqlContext {
  return {
    get now() {
      return ctx.now;
    },
    get today() {
      return ctx.today;
    },
    get user() {
      return ctx.principal.kind === 'user' ? ctx.principal.userId : null;
    },
    get subject() {
      return ctx.principal.kind === 'portal' ? ctx.principal.subject.id : null;
    },
    planZone: ctx.model.calendarLookup.planZone,
    calendarTable: ident(ctx.model.schema, 'calendar_day'),
  };
}

/** Condition on the rows (of the object's raw table under `alias`) that the caller may read, update or delete; null = every row. */
export function rowPredicate(ctx: CallContext, object: string, act: RowAct, alias: string): Sql | null {
  const rights = rightsFor(ctx, object);
  const rules = act === 'read' ? rights.readGrants.map((grant) => grant.read) : rights.grants.map((grant) => (act === 'update' ? grant.update : grant.delete));
  return anyRule(ctx, rules, alias);
}

/** Condition on rows in which the caller may read all of `fields`; null = every row. */
export function fieldsPredicate(ctx: CallContext, rights: Rights, fields: readonly string[], alias: string): Sql | null {
  const grants = rights.readGrants.filter((grant) => fields.every((name) => grant.fields.has(name)));
  return anyRule(
    ctx,
    grants.map((grant) => grant.read),
    alias,
  );
}

/** One rule as a condition on the object's raw table under `alias`. */
export function ruleSql(ctx: CallContext, rule: RowRule, alias: string): Sql {
  switch (rule.kind) {
    case 'none':
      return FALSE;
    case 'all':
      return TRUE;
    case 'where':
      return sql`(${compileFilterSql(rule.expression, ctx.model.expressions, { alias, context: sqlContext(ctx) })})`;
  }
}

function anyRule(ctx: CallContext, rules: readonly RowRule[], alias: string): Sql | null {
  if (rules.some((rule) => rule.kind === 'all')) return null;
  const conditions = rules.filter((rule) => rule.kind === 'where').map((rule) => ruleSql(ctx, rule, alias));
  if (conditions.length === 0) return FALSE;
  return sql`(${joinSql(conditions, ' or ')})`;
}

/**
 * Condition on the rows that the caller may read, as lists and counts ask it: where the caller sees few of them, by their
 * ids, which each part of the rules finds by its own index; a condition with `or` between them can use none.
 */
export function readPredicate(ctx: CallContext, object: string, alias: string): Sql | null {
  const found = ctx.narrow?.has(object) === true ? seenIds(ctx, rightsFor(ctx, object)) : null;
  return found === null ? rowPredicate(ctx, object, 'read', alias) : sql`${ident(alias, 'id')} in (${found})`;
}

/** Alias of the table in which the rows that a caller sees are looked for. */
const SEEN = 'n';

/** Ids of the rows that the caller may read, part by part, some of them twice; null where the rules are not all about the caller. */
export function seenIds(ctx: CallContext, rights: Rights): Sql | null {
  const parts = callerParts(rights);
  if (parts === null) return null;
  const selects = parts.map((expression) => {
    const condition = compileFilterSql(expression, ctx.model.expressions, { alias: SEEN, context: sqlContext(ctx) });
    return sql`select ${ident(SEEN, 'id')} from ${wholeTable(ctx.model.schema, rights.object)} as ${ident(SEEN)} where ${condition}`;
  });
  return joinSql(selects, ' union all ');
}

/**
 * Condition on the rows of an effective-dated object that were in force on the day that is asked for; null = every row.
 * A row whose days the caller may not read is in force on none, so that asking day by day tells nothing of them.
 */
export function inForceSql(ctx: CallContext, rights: Rights, alias: string): Sql | null {
  const { effective } = rights.object;
  if (ctx.effectiveOn === undefined || effective === null) return null;
  const [from, through] = [ident(alias, effective.from.column ?? ''), ident(alias, effective.through.column ?? '')];
  const day = sql`${ctx.effectiveOn}::date`;
  const inForce = sql`(${from} <= ${day} and (${through} is null or ${through} >= ${day}))`;
  const mayKnow = fieldsPredicate(ctx, rights, [effective.from.name, effective.through.name], alias);
  return mayKnow === null ? inForce : sql`(${mayKnow} and ${inForce})`;
}

/** What stands after FROM when an object's rows are read. */
export function objectTable(ctx: CallContext, object: ObjectModel): Sql {
  return readTable(ctx.model.schema, object);
}

/** True when some field must be masked row by row, so that the raw table may not be read directly. */
export function isMasked(rights: Rights): boolean {
  return rights.conditional.size > 0;
}

/** Column of a masked relation that holds a formula's value. */
export function formulaColumn(field: string): string {
  return `f$${field}`;
}

/**
 * What the caller can see of the Model, as the expression checker and its SQL back end see it: hidden objects and
 * fields do not exist in it, and every table is limited to the caller's rows, so that no expression can read more.
 */
export function secureSchema(ctx: CallContext): ExprSchema {
  const base = ctx.model.expressions;
  if (mayDoEverything(ctx)) return ctx.effectiveOn === undefined ? base : inputSchema(ctx);
  return {
    object: (name) => secureObject(ctx, name),
    table: (name) => secureRelation(ctx, name, 'any'),
    // A policy over an object reads fields that cannot be checked here; keyed policies read only what they are given.
    policy: (name) => (base.policy(name)?.object === undefined ? base.policy(name) : undefined),
    hasCalendar: (name) => base.hasCalendar(name),
    functions: base.functions,
  };
}

const objects = new WeakMap<Rights, ExprObject>();

function secureObject(ctx: CallContext, name: string): ExprObject | undefined {
  const full = ctx.model.expressions.object(name);
  if (full === undefined || !ctx.model.objects.has(name)) return undefined;
  const rights = rightsFor(ctx, name);
  if (!rights.canRead) return undefined;
  const known = objects.get(rights);
  if (known !== undefined) return known;
  const fields = new Map<string, ExprField>();
  for (const field of full.fields.values()) {
    const secured = secureField(ctx, rights, field);
    if (secured !== null) fields.set(field.name, secured);
  }
  const object: ExprObject = { name, fields };
  objects.set(rights, object);
  return object;
}

function secureField(ctx: CallContext, rights: Rights, field: ExprField): ExprField | null {
  if (field.kind === 'many') {
    if (!ctx.model.objects.has(field.object)) return null;
    const other = rightsFor(ctx, field.object);
    return other.canRead && other.readable.has(field.via) ? field : null;
  }
  if (!rights.readable.has(field.name)) return null;
  if (field.kind === 'one' && !rightsFor(ctx, field.object).canRead) {
    return { kind: 'value', name: field.name, type: { kind: 'uuid' }, column: field.column };
  }
  if (field.kind === 'formula' && isMasked(rights)) {
    return { kind: 'value', name: field.name, type: field.type, column: formulaColumn(field.name) };
  }
  return field;
}

/**
 * Something to stand after FROM, before an alias: the object's rows that the caller may read, with unreadable values
 * as null. Without row rules and masks it is the table itself, whose reader adds the condition on the trash.
 */
export function secureRelation(ctx: CallContext, object: string, rowsOf: 'live' | 'trash' | 'any'): Sql {
  return securedRows(ctx, object, rowsOf, true);
}

function securedRows(ctx: CallContext, object: string, rowsOf: 'live' | 'trash' | 'any', withFormulas: boolean): Sql {
  const rights = rightsFor(ctx, object);
  const predicate = readPredicate(ctx, object, INNER);
  const inForce = inForceSql(ctx, rights, INNER);
  const table = objectTable(ctx, rights.object);
  if (predicate === null && inForce === null && !isMasked(rights)) return table;
  const conditions = [
    ...(rowsOf === 'any' ? [] : [sql`${ident(INNER, 'deleted_at')} ${keyword(rowsOf === 'trash' ? 'is not null' : 'is null')}`]),
    ...(predicate === null ? [] : [predicate]),
    ...(inForce === null ? [] : [inForce]),
  ];
  const where = conditions.length === 0 ? keyword('') : sql` where ${joinSql(conditions, ' and ')}`;
  const selected = (columns: Sql, more: Sql): Sql => sql`(select ${columns} from ${table} as ${ident(INNER)}${more})`;
  const isWide = sideTables(rights.object).length > 0;
  if (!isMasked(rights) && !isWide) return selected(sql`${ident(INNER)}.*`, where);
  const columns = isMasked(rights) ? maskedColumns(ctx, rights, withFormulas) : rawColumns(ctx, rights);
  if (columns.length <= MOST_SELECTED) return selected(joinSql(columns.map(({ text }) => text)), where);
  // The rows with the columns of the object's own table, then those of each side table beside them.
  const sides = [...new Set(columns.map(({ side }) => side))].sort((left, right) => left - right);
  const parts = sides.map((side) => {
    const texts = columns.filter((column) => column.side === side).map(({ text }) => text);
    const list = joinSql(side === 0 ? texts : [ident(INNER, 'id'), ...texts]);
    return sql`${selected(list, side === 0 ? where : keyword(''))} as ${ident(`${INNER}${String(side)}`)}${side === 0 ? keyword('') : sql` using (id)`}`;
  });
  return sql`(${joinSql(parts, ' join ')})`;
}

/** A sub-select has at most 1,664 columns. */
const MOST_SELECTED = 1_600;

/** A column of a secured relation, with the side table in which its value stands. */
interface SecuredColumn {
  readonly text: Sql;
  readonly side: number;
}

function rawColumns(ctx: CallContext, { object }: Rights): readonly SecuredColumn[] {
  const stored = [...object.fields.values()].filter((field) => field.column !== null).flatMap((field) => storedColumns(ctx, field));
  return stored.map(([value, name]) => ({ text: value, side: sideOf(name) }));
}

/** The value of a readable field in a row of the secured relation (or of the raw table when nothing is masked). */
export function valueSql(ctx: CallContext, rights: Rights, field: FieldModel, alias: string): Sql {
  if (field.formula !== null && field.column === null) {
    if (isMasked(rights)) return ident(alias, formulaColumn(field.name));
    return compileValueSql(field.formula, inputSchema(ctx), { alias, context: sqlContext(ctx) });
  }
  if (field.column === null) throw new AppError('internal', `The field ${rights.object.name}.${field.name} has neither a column nor a formula.`);
  return ident(alias, field.column);
}

/** Column of a masked relation that is true where a search of the open class may match. */
export const SEARCH_COLUMN = 's$open';

function maskedColumns(ctx: CallContext, rights: Rights, withFormulas: boolean): readonly SecuredColumn[] {
  const columns: SecuredColumn[] = [];
  for (const field of rights.object.fields.values()) {
    if (!rights.readable.has(field.name) || (field.formula !== null && field.column === null && !withFormulas)) continue;
    const guard = rights.conditional.has(field.name) ? fieldsPredicate(ctx, rights, [field.name], INNER) : null;
    for (const [value, name] of storedColumns(ctx, field)) {
      const text = guard === null ? sql`${value} as ${ident(name)}` : sql`case when ${guard} then ${value} end as ${ident(name)}`;
      columns.push({ text, side: sideOf(name) });
    }
  }
  const searchable = fieldsPredicate(ctx, rights, openSearchFields(rights.object), INNER);
  columns.push({ text: sql`${searchable ?? TRUE} as ${ident(SEARCH_COLUMN)}`, side: 0 });
  return columns;
}

function storedColumns(ctx: CallContext, field: FieldModel): readonly (readonly [Sql, string])[] {
  if (field.formula !== null && field.column === null) {
    // Inputs are checked when rights are compiled; rows on the way are limited by the secured schema.
    const value = compileValueSql(field.formula, inputSchema(ctx), { alias: INNER, context: sqlContext(ctx) });
    return [[value, formulaColumn(field.name)]];
  }
  if (field.column === null) return [];
  const stored: (readonly [Sql, string])[] = [[ident(INNER, field.column), field.column]];
  if (field.objectColumn !== null) stored.push([ident(INNER, field.objectColumn), field.objectColumn]);
  if (field.sortColumn !== null) stored.push([ident(INNER, field.sortColumn), field.sortColumn]);
  return stored;
}

/**
 * Raw columns of the row itself, the caller's rows of everything a formula reaches from it. Formulas behind it are computed from
 * the columns there; as columns of their own they would hold each other without end where two objects look at one another.
 */
function inputSchema(ctx: CallContext): ExprSchema {
  const base = ctx.model.expressions;
  return {
    object: (name) => base.object(name),
    table: (name) => securedRows(ctx, name, 'any', false),
    policy: (name) => base.policy(name),
    hasCalendar: (name) => base.hasCalendar(name),
    functions: base.functions,
  };
}

/** For each grant: a boolean column telling whether it holds in the row, so that rights can be read from one statement. */
export function grantColumns(ctx: CallContext, grants: readonly Grant[], alias: string): Sql {
  const columns = grants.map((grant, index) =>
    joinSql([
      sql`${ruleSql(ctx, grant.read, alias)} as ${ident(`r${index}`)}`,
      sql`${ruleSql(ctx, grant.update, alias)} as ${ident(`u${index}`)}`,
      sql`${ruleSql(ctx, grant.delete, alias)} as ${ident(`d${index}`)}`,
    ]),
  );
  return joinSql(columns);
}

/** Part of a cache key: two calls with equal keys compile to the same text of SQL. */
export function securityKey(ctx: CallContext): string {
  return `${ctx.model.version}|${principalKey(ctx.principal)}`;
}
