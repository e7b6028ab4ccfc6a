import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { isConstantTree } from './reads.ts';
import { expressionError } from './source.ts';
import { aggregate, each } from './sql-collections.sql.ts';
import { beginning, equality, membership, ordering } from './sql-compare.sql.ts';
import { SQL_FORMS, type SqlForms } from './sql-forms.sql.ts';
import { aliasOf, asText, idOf, isAliased, operand, scalar, type Place, type Target } from './sql-records.sql.ts';
import { constantSql, sqlTypeOf } from './sql-values.sql.ts';
import { compileTree } from './to-js.ts';
import { treeOf, type Expr } from './tree.ts';
import { simpleType } from './type-rules.ts';
import type { EvalContext, ExprSchema, SqlContext, TypedExpression } from './types.ts';

export interface SqlOptions {
  /** Alias, in the surrounding statement, of the table of the expression's object; it must not begin with an underscore. */
  readonly alias: string;
  readonly context: SqlContext;
  readonly forms?: SqlForms;
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
  const target: Target = {
    schema,
    context: options.context,
    forms: options.forms ?? SQL_FORMS,
    alias: () => `_r${String((made += 1))}`,
    constant: (node) => compileTree(node, schema)({}, context),
    value: (node, place) => value(node, target, place),
    predicate: (node, place) => predicate(node, target, place),
  };
  return target;
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
    businessDayOf: nothing,
    nextRepeated: nothing,
    addDuration: nothing,
    workingMs: nothing,
    addWorkingMs: nothing,
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
    case 'each':
      return each(node, target, place);
    case 'call':
      return beginning(node, target, place) ?? value(node, target, place);
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
    case 'each':
      return each(node, target, place);
    case 'element':
      return elementOf(node.slot, place);
    case 'recordVariable':
    case 'variable':
    case 'member':
    case 'struct':
    case 'policy':
      throw new RangeError(`A ${node.kind} has no SQL form`);
  }
}

/** The element that a list macro looks at. */
function elementOf(slot: number, place: Place): Sql {
  const alias = place.items[slot];
  if (alias === undefined) throw new RangeError('An element has no alias here');
  return ident(alias, 'v');
}
