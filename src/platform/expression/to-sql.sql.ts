import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { toDecimal } from './decimal.ts';
import { boundedSql, divideSql } from './functions/number.sql.ts';
import { isConstantTree } from './reads.ts';
import { sortKey } from './sort-key.ts';
import { expressionError } from './source.ts';
import { SQL_FORMS, type SqlForms } from './sql-forms.sql.ts';
import { comparedNumberSql, constantSql, sqlTypeOf } from './sql-values.sql.ts';
import { compileTree } from './to-js.ts';
import { treeOf, type Expr, type RecordExpr } from './tree.ts';
import { simpleType, valueType } from './type-rules.ts';
import type { EvalContext, ExprSchema, ExprType, ExprValue, SqlContext, TypedExpression } from './types.ts';

export interface SqlOptions {
  /** Alias, in the surrounding statement, of the table of the expression's object; it must not begin with an underscore. */
  readonly alias: string;
  readonly context: SqlContext;
  readonly forms?: SqlForms;
}

/** A record in the statement: its alias. */
interface Place {
  readonly root: string;
  readonly items: readonly string[];
}

interface Target {
  readonly schema: ExprSchema;
  readonly context: SqlContext;
  readonly forms: SqlForms;
  /** A fresh alias. */
  readonly alias: () => string;
  /** Evaluates what depends on no row. */
  readonly constant: (node: Expr) => ExprValue;
}

/**
 * A condition for WHERE, true for the same rows for which the JavaScript closure answers true (it may be null where that
 * answers false). Related records in the trash are not seen by to-many paths; a reference to one still gives its values.
 * Throws invalid_expression when a part cannot run in SQL.
 */
export function compileFilterSql(expression: TypedExpression, schema: ExprSchema, options: SqlOptions): Sql {
  const target = targetFor(expression, schema, options);
  if (expression.type.kind !== 'boolean' && expression.type.kind !== 'null') {
    throw expressionError(expression.text, expression.tree, {
      code: 'type',
      detail: 'A filter must be a condition (yes/no).',
      fix: 'Compare the value with something, such as != null.',
    });
  }
  return predicate(treeOf(expression), target, { root: options.alias, items: [] });
}

/** An expression's value in SQL, equal to the JavaScript closure's for every row. Throws invalid_expression as above. */
export function compileValueSql(expression: TypedExpression, schema: ExprSchema, options: SqlOptions): Sql {
  return value(treeOf(expression), targetFor(expression, schema, options), { root: options.alias, items: [] });
}

function targetFor(expression: TypedExpression, schema: ExprSchema, options: SqlOptions): Target {
  if (options.alias.startsWith('_')) throw new RangeError('Aliases that begin with an underscore belong to the compiler');
  if (expression.sqlObstacle !== null) {
    throw expressionError(expression.text, expression.tree, {
      code: 'not_in_sql',
      detail: `This expression is needed in a query, and ${expression.sqlObstacle}.`,
      fix: 'Leave that part out, or keep its result in a field.',
    });
  }
  let made = 0;
  const context = foldContext(options.context);
  return {
    schema,
    context: options.context,
    forms: options.forms ?? SQL_FORMS,
    alias: () => `_r${String((made += 1))}`,
    constant: (node) => compileTree(node, schema)({}, context),
  };
}

/** Constants see the clock, the zone and the caller, each only when it is asked for; trees that ask for more are not constant (`isConstantTree`). */
function foldContext(context: SqlContext): EvalContext {
  const nothing = (): null => null;
  const calendars = {
    addBusinessDays: nothing,
    businessDaysBetween: nothing,
    isBusinessDay: nothing,
    dayOf: nothing,
    startOfDay: nothing,
    endOfBusinessDay: nothing,
    at: nothing,
  };
  return {
    get now() {
      return context.now;
    },
    get today() {
      return context.today;
    },
    get user() {
      return context.user;
    },
    get subject() {
      return context.subject;
    },
    one: nothing,
    many: () => [],
    policy: nothing,
    calendars: { ...calendars, planZone: context.planZone, planCalendar: '' },
  };
}

/** A condition whose null means false. */
function predicate(node: Expr, target: Target, place: Place): Sql {
  const { forms } = target;
  if (isConstantTree(node, target.schema)) return keyword(target.constant(node) === true ? 'true' : 'false');
  switch (node.kind) {
    case 'logic':
      return sql`(${joinSql(
        node.items.map((item) => predicate(item, target, place)),
        node.operator === 'and' ? ' and ' : ' or ',
      )})`;
    case 'not':
      return forms.not(predicate(node.operand, target, place));
    case 'isNull':
      return node.negated ? sql`(${operand(node.operand, target, place)} is not null)` : sql`(${operand(node.operand, target, place)} is null)`;
    case 'equal':
      return equality(node, target, place);
    case 'order':
      return ordering(node, target, place);
    case 'in':
      return membership(node, target, place);
    case 'formula':
      return isAliased(node.of) ? predicate(treeOf(node.expression), target, { root: aliasOf(node.of, place), items: [] }) : value(node, target, place);
    case 'aggregate':
      return aggregate(node, target, place);
    default:
      return value(node, target, place);
  }
}

/** The exact value of a node, null included. */
function value(node: Expr, target: Target, place: Place): Sql {
  const { forms } = target;
  if (node.kind === 'literal') return constantSql(node.value, node.type);
  if (isConstantTree(node, target.schema)) return constantSql(target.constant(node), node.type);
  switch (node.kind) {
    case 'root':
    case 'item':
    case 'follow':
      return idOf(node, target, place);
    case 'field':
      return node.type.kind === 'number' ? sql`${operand(node, target, place)}::numeric` : operand(node, target, place);
    case 'formula':
      if (isAliased(node.of)) return sql`(${value(treeOf(node.expression), target, { root: aliasOf(node.of, place), items: [] })})`;
      return scalar(node.of, target, place, (alias) => value(treeOf(node.expression), target, { root: alias, items: [] }));
    case 'logic':
    case 'order':
    case 'in':
    case 'equal':
      return forms.exact(predicate(node, target, place));
    case 'not':
    case 'isNull':
      return predicate(node, target, place);
    case 'negate':
      return sql`(- ${value(node.operand, target, place)})`;
    case 'arithmetic':
      return forms.arithmetic[node.operator](value(node.left, target, place), value(node.right, target, place));
    case 'concat':
      return forms.concat(value(node.left, target, place), value(node.right, target, place));
    case 'conditional':
      return sql`(case when ${predicate(node.condition, target, place)} then ${value(node.then, target, place)} else ${value(node.otherwise, target, place)} end)`;
    case 'list':
      return sql`(array[${joinSql(node.items.map((item) => value(item, target, place)))}]::${keyword(sqlTypeOf(node.type))})`;
    case 'coalesce':
      return sql`coalesce(${joinSql(node.items.map((item) => value(item, target, place)))})`;
    case 'call': {
      const entry = target.schema.functions.get(node.entry);
      if (entry?.toSql === undefined) throw new RangeError(`${node.entry} has no SQL form`);
      const args = node.args.map((arg, index) => asText(value(arg, target, place), arg.type, simpleType(entry.parameters[index] ?? 'null')));
      return sql`(${entry.toSql(args, target.context)})`;
    }
    case 'aggregate':
      return aggregate(node, target, place);
    case 'recordVariable':
    case 'variable':
    case 'member':
    case 'struct':
    case 'policy':
      throw new RangeError(`A ${node.kind} has no SQL form`);
  }
}

/** A node as an operand of a comparison: bare columns stay bare, so that indexes serve. */
function operand(node: Expr, target: Target, place: Place): Sql {
  if (node.kind !== 'field') return value(node, target, place);
  return column(node.of, node.name === 'id' ? null : node.column, target, place);
}

function isAliased(node: RecordExpr): boolean {
  return node.kind !== 'follow';
}

function aliasOf(node: RecordExpr, place: Place): string {
  if (node.kind === 'root') return place.root;
  const alias = node.kind === 'item' ? place.items[node.slot] : undefined;
  if (alias === undefined) throw new RangeError(`A ${node.kind} has no alias here`);
  return alias;
}

/** A column of a record; null means its id, which a reference holds itself. */
function column(of: RecordExpr, name: string | null, target: Target, place: Place): Sql {
  if (name === null) return idOf(of, target, place);
  return isAliased(of) ? ident(aliasOf(of, place), name) : scalar(of, target, place, (alias) => ident(alias, name));
}

function idOf(node: RecordExpr, target: Target, place: Place): Sql {
  return node.kind === 'follow' ? column(node.of, node.column, target, place) : ident(aliasOf(node, place), 'id');
}

/** Something of the record that a reference leads to; null when it leads nowhere. */
function scalar(of: RecordExpr, target: Target, place: Place, body: (alias: string) => Sql): Sql {
  const alias = target.alias();
  return sql`(select ${body(alias)} from ${target.schema.table(of.object)} ${ident(alias)} where ${ident(alias, 'id')} = ${idOf(of, target, place)})`;
}

/** A condition on one record's column that null cannot fulfil: over references it becomes EXISTS, which can be turned into a join. */
function onRecord(of: RecordExpr, target: Target, place: Place, condition: (alias: string) => Sql): Sql {
  if (of.kind !== 'follow') return condition(aliasOf(of, place));
  const { object, column: reference } = of;
  return onRecord(of.of, target, place, (parent) => {
    const alias = target.alias();
    return sql`exists (select 1 from ${target.schema.table(object)} ${ident(alias)} where ${ident(alias, 'id')} = ${ident(parent, reference)} and ${condition(alias)})`;
  });
}

/** Gives `compare` the left side as cheaply as the node allows. */
function compared(node: Expr, target: Target, place: Place, name: string | null, compare: (left: Sql) => Sql): Sql {
  if (node.kind === 'field' && node.of.kind === 'follow' && name !== null && node.name !== 'id')
    return onRecord(node.of, target, place, (alias) => compare(ident(alias, name)));
  if (node.kind === 'field' && name !== null) return compare(column(node.of, node.name === 'id' ? null : name, target, place));
  return compare(value(node, target, place));
}

/** The two sides of a text comparison where one is kept as an id: both as text. */
function asText(side: Sql, own: ExprType, other: ExprType): Sql {
  return valueType(own).kind === 'uuid' && valueType(other).kind !== 'uuid' ? sql`(${side}::text collate "C")` : side;
}

function equality(node: Extract<Expr, { kind: 'equal' }>, target: Target, place: Place): Sql {
  const { forms, schema } = target;
  const [left, right] = isConstantTree(node.left, schema) ? [node.right, node.left] : [node.left, node.right];
  if (!isConstantTree(right, schema)) {
    const [first, second] = [asText(operand(left, target, place), left.type, right.type), asText(operand(right, target, place), right.type, left.type)];
    return node.negated ? forms.notSame(first, second) : forms.same(first, second);
  }
  const constant = target.constant(right);
  if (constant === null) return node.negated ? sql`(${operand(left, target, place)} is not null)` : sql`(${operand(left, target, place)} is null)`;
  const bound = asText(boundFor(left, constant, right.type), right.type, left.type);
  if (node.negated) return forms.notSame(asText(operand(left, target, place), left.type, right.type), bound);
  return compared(left, target, place, left.kind === 'field' ? left.column : null, (side) => forms.equalKnown(asText(side, left.type, right.type), bound));
}

/** A constant beside a column or other value. */
function boundFor(other: Expr, constant: ExprValue, type: ExprType): Sql {
  return other.kind === 'field' && type.kind === 'number' ? comparedNumberSql(numberOf(constant)) : constantSql(constant, type);
}

function numberOf(constant: ExprValue): ExprValue {
  return Array.isArray(constant) ? constant.map((item) => toDecimal(item)) : toDecimal(constant);
}

function ordering(node: Extract<Expr, { kind: 'order' }>, target: Target, place: Place): Sql {
  const compare = target.forms.order[node.operator];
  const [leftName, rightName] = [node.left, node.right].map((side) => (side.kind === 'field' ? (node.bySortKey ? side.sortColumn : side.column) : null));
  const isLeftConstant = isConstantTree(node.left, target.schema);
  if (isLeftConstant || isConstantTree(node.right, target.schema)) {
    const [known, open, name] = isLeftConstant ? [node.left, node.right, rightName] : [node.right, node.left, leftName];
    const constant = target.constant(known);
    if (constant === null) return keyword('false');
    const bound = node.bySortKey ? constantSql(sortKey(String(constant)), known.type) : boundFor(open, constant, known.type);
    return compared(open, target, place, name ?? null, (side) => (isLeftConstant ? compare(bound, side) : compare(side, bound)));
  }
  const side = (part: Expr, name: string | null | undefined): Sql =>
    part.kind === 'field' && name !== null && name !== undefined
      ? column(part.of, part.name === 'id' ? null : name, target, place)
      : value(part, target, place);
  return compare(side(node.left, leftName), side(node.right, rightName));
}

function membership(node: Extract<Expr, { kind: 'in' }>, target: Target, place: Place): Sql {
  const { needle, list } = node;
  const of = list.type.kind === 'list' ? list.type.of : list.type;
  const compare = (left: Sql): Sql => {
    const shown = asText(left, needle.type, of);
    const isTextList = valueType(of).kind === 'uuid' && valueType(needle.type).kind !== 'uuid';
    const constant = isConstantTree(list, target.schema) ? target.constant(list) : undefined;
    if (constant === undefined) {
      const values = value(list, target, place);
      // The cast also keeps a sub-select from being read as ANY over its rows.
      return target.forms.isIn(shown, sql`(${values})::${keyword(isTextList ? 'text[]' : sqlTypeOf(list.type))}`);
    }
    const known = Array.isArray(constant) ? constant.filter((item) => item !== null) : [];
    const isNumbers = needle.kind === 'field' && of.kind === 'number';
    return target.forms.isIn(shown, isNumbers ? comparedNumberSql(numberOf(known)) : sql`${known}::${keyword(isTextList ? 'text[]' : sqlTypeOf(list.type))}`);
  };
  return compared(needle, target, place, needle.kind === 'field' ? needle.column : null, compare);
}

function aggregate(node: Extract<Expr, { kind: 'aggregate' }>, target: Target, place: Place): Sql {
  const alias = target.alias();
  const inner: Place = { root: place.root, items: [...place.items.slice(0, node.slot), alias] };
  const live = sql`from ${target.schema.table(node.object)} ${ident(alias)} where ${ident(alias, node.viaColumn)} = ${idOf(node.of, target, place)} and ${ident(alias, 'deleted_at')} is null`;
  const filtered = node.filter === null ? live : sql`${live} and ${predicate(node.filter, target, inner)}`;
  if (node.operator === 'exists') return sql`exists (select 1 ${filtered})`;
  if (node.operator === 'all')
    return node.filter === null ? keyword('true') : sql`(not exists (select 1 ${live} and ${target.forms.not(predicate(node.filter, target, inner))}))`;
  if (node.value === null) return sql`(select count(*)::numeric ${filtered})`;
  // Over a sub-select, for PostgreSQL gives an aggregate of outer columns alone to the outer query.
  const values = sql`from (select ${value(node.value, target, inner)} as v ${filtered}) as _g`;
  switch (node.operator) {
    case 'sum':
      return boundedSql(sql`(select coalesce(sum(_g.v), 0) ${values})`);
    case 'min':
      return sql`(select min(_g.v) ${values})`;
    case 'max':
      return sql`(select max(_g.v) ${values})`;
    default:
      return sql`(select ${divideSql(boundedSql(sql`_h.total`), sql`_h.number`)} from (select sum(_g.v) as total, count(_g.v)::numeric as number ${values}) as _h)`;
  }
}
