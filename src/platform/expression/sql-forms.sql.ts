import { sql, type Sql } from '../sql.ts';
import { boundedSql, divideSql, moduloSql } from './functions/number.sql.ts';
import { letSql } from './functions/let.sql.ts';
import type { ArithmeticOperator, OrderOperator } from './tree.ts';
import { MAX_TEXT } from './work.ts';

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
  /** The same for a list that is a column and one known value, in a list: an index on lists serves. */
  readonly has: (list: Sql, needle: Sql) => Sql;
  readonly arithmetic: Readonly<Record<ArithmeticOperator, (left: Sql, right: Sql) => Sql>>;
  readonly concat: (left: Sql, right: Sql) => Sql;
  /** Of the column `_g.v` of `from`, a FROM clause that names its rows `_g`. */
  readonly sum: (from: Sql) => Sql;
  readonly min: (from: Sql) => Sql;
  readonly max: (from: Sql) => Sql;
  readonly avg: (from: Sql) => Sql;
}

/** The operators as the language means them. */
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
  has: (list, needle) => sql`(${list} @> ${needle})`,
  arithmetic: {
    '+': (left, right) => boundedSql(sql`${left} + ${right}`),
    '-': (left, right) => boundedSql(sql`${left} - ${right}`),
    '*': (left, right) => boundedSql(sql`${left} * ${right}`),
    '/': divideSql,
    '%': moduloSql,
  },
  sum: (from) => boundedSql(sql`(select coalesce(sum(_g.v), 0) ${from})`),
  min: (from) => sql`(select min(_g.v) ${from})`,
  max: (from) => sql`(select max(_g.v) ${from})`,
  avg: (from) =>
    sql`(select ${divideSql(boundedSql(sql`_h.total`), sql`_h.number`)} from (select sum(_g.v) as total, count(_g.v)::numeric as number ${from}) as _h)`,
  concat: (left, right) => letSql({ a: left, b: right }, sql`case when length(_l.a) + length(_l.b) <= ${MAX_TEXT}::integer then _l.a || _l.b end`),
};
