import { sql, type Sql } from '../../sql.ts';
import { divide, sumDecimals, toDecimal, type Decimal } from '../decimal.ts';
import { keyOf, membershipOf } from '../equality.ts';
import { compareCodePoints, sortKey } from '../sort-key.ts';
import type { ExprType, ExprValue, FunctionEntry, FunctionExample } from '../types.ts';
import { MAX_LIST, makeList, spend, spendText } from '../work.ts';
import { BOOLEAN, NUMBER, TEXT, asList, asText, inGroup, type Definition } from './define.ts';
import { letSql } from './let.sql.ts';
import { boundedSql, compareOrdered, divideSql } from './number.sql.ts';
import { WHOLE, whole } from './text.sql.ts';

interface Shape {
  readonly name: string;
  readonly description: string;
  readonly examples: FunctionEntry['examples'];
  readonly nulls?: string;
  readonly elements?: readonly ExprType['kind'][];
}

const ANY: readonly ExprType['kind'][] = ['text', 'number', 'boolean', 'date', 'instant', 'duration', 'uuid'];
const ORDERED: readonly ExprType['kind'][] = ['number', 'date', 'instant'];
const LIST = { kind: 'list', of: TEXT } as const;

/** A function of one list. */
function ofList(
  shape: Shape & ({ readonly gives: 'list' | 'element' } | { readonly result: ExprType }),
  evaluate: (list: readonly ExprValue[]) => ExprValue,
  toSql: (list: Sql) => Sql,
): Definition {
  return {
    parameters: ['list'],
    elements: ANY,
    result: LIST,
    pure: true,
    ...shape,
    evaluate: ([value]) => {
      const list = asList(value);
      spend(list.length);
      return evaluate(list);
    },
    toSql: ([list]) => toSql(list ?? sql`null`),
  };
}

/** A function of two lists of one kind. */
function ofLists(
  shape: Shape & ({ readonly gives: 'list' } | { readonly result: ExprType }),
  evaluate: (left: readonly ExprValue[], right: readonly ExprValue[]) => ExprValue,
  toSql: (left: Sql, right: Sql) => Sql,
): Definition {
  return {
    parameters: ['list', 'list'],
    elements: ANY,
    result: LIST,
    pure: true,
    ...shape,
    evaluate: (args) => {
      const [left, right] = [asList(args[0]), asList(args[1])];
      spend(left.length + right.length);
      return evaluate(left, right);
    },
    toSql: ([left, right]) => toSql(left ?? sql`null`, right ?? sql`null`),
  };
}

function decimals(list: readonly ExprValue[]): readonly Decimal[] {
  return list.map(toDecimal).filter((item) => item !== null);
}

/** The elements of `_l.a` that meet a condition on `u.v`, in an order. */
function elements(condition: Sql, order: Sql): Sql {
  return sql`case when _l.a is not null then array(select u.v from unnest(_l.a) with ordinality as u (v, o) where ${condition} order by ${order}) end`;
}

function extreme(name: 'min' | 'max', example: FunctionExample): Definition {
  const keep = name === 'min' ? -1 : 1;
  return ofList(
    {
      name,
      description: `The ${name === 'min' ? 'least' : 'greatest'} element; nulls are left out.`,
      nulls: 'Null when there is none.',
      elements: ORDERED,
      gives: 'element',
      examples: [example],
    },
    (list) => list.reduce((best, next) => (next !== null && (best === null || Math.sign(compareOrdered(next, best)) === keep) ? next : best), null),
    (list) => sql`(select ${name === 'min' ? sql`min` : sql`max`}(u.v) from unnest(${list}) as u (v))`,
  );
}

function sorted(list: readonly ExprValue[], compare: (left: ExprValue, right: ExprValue) => number): readonly ExprValue[] {
  return [...list].sort((left, right) => (left === null ? (right === null ? 0 : 1) : right === null ? -1 : compare(left, right)));
}

function byText(left: ExprValue, right: ExprValue): number {
  const [first, second] = [asText(left), asText(right)];
  return compareCodePoints(sortKey(first), sortKey(second)) || compareCodePoints(first, second);
}

function distinct(list: readonly ExprValue[]): readonly ExprValue[] {
  const seen = new Map<ExprValue, ExprValue>();
  for (const item of list) if (!seen.has(keyOf(item))) seen.set(keyOf(item), item);
  return [...seen.values()];
}

/** Functions on lists. */
export const LIST_FUNCTIONS: readonly FunctionEntry[] = inGroup('Lists', [
  ofList(
    { name: 'size', description: 'Number of elements of a list.', result: NUMBER, examples: [{ text: "size(['a', 'b'])", result: 2 }] },
    (list) => list.length,
    (list) => sql`cardinality(${list})::numeric`,
  ),
  ofList(
    {
      name: 'first',
      description: 'The first element; also written `list[0]`.',
      nulls: 'Null when the list is empty.',
      gives: 'element',
      examples: [{ text: "first(['a', 'b'])", result: 'a' }],
    },
    (list) => list[0] ?? null,
    (list) => sql`(${list})[1]`,
  ),
  ofList(
    {
      name: 'last',
      description: 'The last element.',
      nulls: 'Null when the list is empty.',
      gives: 'element',
      examples: [{ text: "last(['a', 'b'])", result: 'b' }],
    },
    (list) => list.at(-1) ?? null,
    (list) => letSql({ a: list }, sql`(_l.a)[cardinality(_l.a)]`),
  ),
  {
    name: 'at',
    parameters: ['list', 'number'],
    elements: ANY,
    gives: 'element',
    result: TEXT,
    pure: true,
    description: 'The element at a position (0 = first); also written `list[n]`.',
    nulls: 'Null beyond the list, and when the position is no whole number.',
    examples: [
      { text: "['a', 'b'][1]", result: 'b' },
      { text: "['a', 'b'][2]", result: null },
    ],
    evaluate: (args) => {
      const position = whole(args[1]);
      return position === null || position < 0 ? null : (asList(args[0])[position] ?? null);
    },
    toSql: ([list, position]) =>
      letSql({ a: list ?? sql`null`, n: position ?? sql`null` }, sql`case when ${WHOLE.n} and _l.n >= 0 then (_l.a)[_l.n::integer + 1] end`),
  },
  {
    name: 'slice',
    parameters: ['list', 'number', 'number'],
    optional: 1,
    elements: ANY,
    gives: 'list',
    result: LIST,
    pure: true,
    description: 'The elements from position `start` (0 = first) up to, not including, `end`; positions beyond the list are cut.',
    nulls: 'Null when a position is no whole number.',
    examples: [{ text: "slice(['a', 'b', 'c'], 1, 3)", result: ['b', 'c'] }],
    evaluate: ([value, from, to]) => {
      const [list, start, end] = [asList(value), whole(from), to === undefined ? 1_000_000 : whole(to)];
      spend(list.length);
      return start === null || end === null ? null : list.slice(Math.max(0, start), Math.max(0, start, end));
    },
    toSql: ([list, from, to]) =>
      letSql(
        { a: list ?? sql`null`, n: from ?? sql`null`, m: to ?? sql`1000000::numeric` },
        sql`case when ${WHOLE.n} and ${WHOLE.m} then (_l.a)[greatest(_l.n, 0)::integer + 1:greatest(_l.m, 0)::integer] end`,
      ),
  },
  ofList(
    { name: 'reverse', description: 'The elements in the opposite order.', gives: 'list', examples: [{ text: 'reverse([1, 2, 3])', result: [3, 2, 1] }] },
    (list) => [...list].reverse(),
    (list) => letSql({ a: list }, elements(sql`true`, sql`u.o desc`)),
  ),
  ofList(
    {
      name: 'distinct',
      description: 'Every element once, where it stands first.',
      gives: 'list',
      examples: [{ text: "distinct(['a', 'b', 'a'])", result: ['a', 'b'] }],
    },
    distinct,
    (list) =>
      letSql(
        { a: list },
        sql`case when _l.a is not null then array(select d.v from (select u.v, min(u.o) as o from unnest(_l.a) with ordinality as u (v, o) group by u.v) as d order by d.o) end`,
      ),
  ),
  ofList(
    {
      name: 'sort',
      description: 'The elements in ascending order, nulls at the end.',
      gives: 'list',
      elements: ORDERED,
      examples: [{ text: 'sort([3, 1, 2])', result: [1, 2, 3] }],
    },
    (list) => sorted(list, compareOrdered),
    (list) => letSql({ a: list }, elements(sql`true`, sql`u.v nulls last`)),
  ),
  {
    name: 'sort',
    parameters: ['list'],
    gives: 'list',
    result: LIST,
    pure: true,
    description: 'Texts in the order of lists (without case and accents, numbers by size), nulls at the end.',
    examples: [{ text: "sort(['Unit 10', 'unit 9', '\xC9mile'])", result: ['\xC9mile', 'unit 9', 'Unit 10'] }],
    evaluate: ([value]) => {
      const list = asList(value);
      spendText(list.reduce<number>((sum, item) => sum + asText(item).length, list.length));
      return sorted(list, byText);
    },
  },
  ofLists(
    {
      name: 'concat',
      description: 'The elements of both lists, one after the other; also written `a + b`.',
      nulls: 'Null when there would be more than 1,000 elements.',
      gives: 'list',
      examples: [{ text: "['a'] + ['b', 'a']", result: ['a', 'b', 'a'] }],
    },
    (left, right) => makeList([...left, ...right]),
    (left, right) => letSql({ a: left, b: right }, sql`case when cardinality(_l.a) + cardinality(_l.b) <= ${MAX_LIST}::integer then array_cat(_l.a, _l.b) end`),
  ),
  ofLists(
    {
      name: 'intersect',
      description: 'The elements of the first list that the second has too.',
      gives: 'list',
      examples: [{ text: "intersect(['a', 'b'], ['b', 'c'])", result: ['b'] }],
    },
    (left, right) => left.filter(membershipOf(right)),
    (left, right) => letSql({ a: left, b: right }, sql`case when _l.b is not null then ${elements(sql`u.v = any(_l.b)`, sql`u.o`)} end`),
  ),
  ofLists(
    {
      name: 'except',
      description: 'The elements of the first list that the second has not.',
      gives: 'list',
      examples: [{ text: "except(['a', 'b'], ['b', 'c'])", result: ['a'] }],
    },
    (left, right) => {
      const isIn = membershipOf(right);
      return left.filter((item) => !isIn(item));
    },
    (left, right) => letSql({ a: left, b: right }, sql`case when _l.b is not null then ${elements(sql`(u.v = any(_l.b)) is not true`, sql`u.o`)} end`),
  ),
  ofLists(
    {
      name: 'containsAny',
      description: 'True when the lists have an element in common.',
      result: BOOLEAN,
      examples: [{ text: "containsAny(['en', 'es'], ['es', 'pt'])", result: true }],
    },
    (left, right) => left.some(membershipOf(right)),
    (left, right) => sql`(${left} && ${right})`,
  ),
  ofLists(
    {
      name: 'containsAll',
      description: 'True when the first list has every element of the second; a null is in no list.',
      result: BOOLEAN,
      examples: [{ text: "containsAll(['en', 'es'], ['es', 'pt'])", result: false }],
    },
    (left, right) => right.every(membershipOf(left)),
    (left, right) => sql`(${left} @> ${right})`,
  ),
  extreme('min', { text: 'min([3, 2.5])', result: '2.5' }),
  extreme('max', { text: "max([date('2026-01-31'), null])", result: '2026-01-31' }),
  ofList(
    {
      name: 'sum',
      description: 'The sum of the elements; nulls are left out, nothing sums to 0.',
      nulls: 'Null at or beyond 10^34.',
      result: NUMBER,
      elements: ['number'],
      examples: [{ text: 'sum([0.1, 0.2])', result: '0.3' }],
    },
    (list) => sumDecimals(decimals(list)),
    (list) => letSql({ a: list }, sql`case when _l.a is not null then ${boundedSql(sql`(select coalesce(sum(u.v), 0) from unnest(_l.a) as u (v))`)} end`),
  ),
  ofList(
    {
      name: 'avg',
      description: 'The average of the elements, rounded half to even at 12 places; nulls are left out.',
      nulls: 'Null when there is none.',
      result: NUMBER,
      elements: ['number'],
      examples: [{ text: 'avg([1, 2, null])', result: '1.5' }],
    },
    (list) => {
      const values = decimals(list);
      const total = sumDecimals(values);
      return total === null || values.length === 0 ? null : divide(total, values.length);
    },
    (list) =>
      sql`(select ${divideSql(boundedSql(sql`g.total`), sql`g.number`)} from (select sum(u.v) as total, count(u.v)::numeric as number from unnest(${list}) as u (v)) as g)`,
  ),
]);
