import { sql, type Sql } from '../sql.ts';
import { boundedSql, divideSql } from './functions/number.sql.ts';
import { letSql } from './functions/let.sql.ts';
import { MAX_TEXT } from './functions/text.sql.ts';
import type { ArithmeticOperator, OrderOperator } from './tree.ts';

/**
 * What the operators are in SQL. The compiler takes the table as a parameter so that a test can put a wrong one in its
 * place and see that it is caught. Operands of predicates may be used once only.
 */
export interface SqlForms {
  /** Not distinct, where either side may be null. */
  readonly same: (left: Sql, right: Sql) => Sql;
  readonly notSame: (left: Sql, right: Sql) => Sql;
  /** Equality with a side that is known not to be null: null counts as false, and indexes serve. */
  readonly equalKnown: (left: Sql, right: Sql) => Sql;
  readonly order: Readonly<Record<OrderOperator, (left: Sql, right: Sql) => Sql>>;
  readonly not: (predicate: Sql) => Sql;
  /** Two-valued form of a predicate whose null means false. */
  readonly exact: (predicate: Sql) => Sql;
  readonly isIn: (needle: Sql, list: Sql) => Sql;
  readonly arithmetic: Readonly<Record<ArithmeticOperator, (left: Sql, right: Sql) => Sql>>;
  readonly concat: (left: Sql, right: Sql) => Sql;
}

export const SQL_FORMS: SqlForms = {
  same: (left, right) => sql`(${left} is not distinct from ${right})`,
  notSame: (left, right) => sql`(${left} is distinct from ${right})`,
  equalKnown: (left, right) => sql`(${left} = ${right})`,
  order: {
    '<': (left, right) => sql`(${left} < ${right})`,
    '<=': (left, right) => sql`(${left} <= ${right})`,
    '>': (left, right) => sql`(${left} > ${right})`,
    '>=': (left, right) => sql`(${left} >= ${right})`,
  },
  not: (predicate) => sql`(${predicate} is not true)`,
  exact: (predicate) => sql`(${predicate} is true)`,
  isIn: (needle, list) => sql`(${needle} = any(${list}))`,
  arithmetic: {
    '+': (left, right) => boundedSql(sql`${left} + ${right}`),
    '-': (left, right) => boundedSql(sql`${left} - ${right}`),
    '*': (left, right) => boundedSql(sql`${left} * ${right}`),
    '/': divideSql,
  },
  concat: (left, right) => letSql({ a: left, b: right }, sql`case when length(_l.a) + length(_l.b) <= ${MAX_TEXT}::integer then _l.a || _l.b end`),
};
