import { sql, type Sql } from '../../sql.ts';
import {
  ceilDecimal,
  compareDecimals,
  decimalText,
  fixedDecimal,
  floorDecimal,
  negate,
  roundDecimal,
  toDecimal,
  truncateDecimal,
  type Decimal,
} from '../decimal.ts';
import type { ExprValue, FunctionEntry, FunctionExample } from '../types.ts';
import { NUMBER, TEXT, inGroup, type Definition } from './define.ts';
import { letSql, letSteps } from './let.sql.ts';

/** Null at or beyond 10^34 or with more than 100 places: `decimal.ts` does the same. */
export function boundedSql(value: Sql): Sql {
  return letSql({ v: value }, sql`case when abs(_l.v) < 1e34 and scale(trim_scale(_l.v)) <= 100 then _l.v end`);
}

/** Quotient rounded half to even at 12 places; null when dividing by zero. PostgreSQL's own `/` rounds elsewhere. */
export function divideSql(left: Sql, right: Sql): Sql {
  return boundedSql(
    letSteps(
      [
        { n: sql`${left} * 1000000000000`, d: sql`nullif(${right}, 0)` },
        { q: sql`div(_l.n, _l.d)`, r: sql`mod(_l.n, _l.d)` },
      ],
      sql`(_l.q + case when 2 * abs(_l.r) > abs(_l.d) or (2 * abs(_l.r) = abs(_l.d) and mod(_l.q, 2) <> 0) then sign(_l.n) * sign(_l.d) else 0 end) * 0.000000000001`,
    ),
  );
}

/** What is left over by a whole-number division towards zero; null when dividing by zero. */
export function moduloSql(left: Sql, right: Sql): Sql {
  return boundedSql(sql`mod(${left}, nullif(${right}, 0))`);
}

function decimal(value: unknown): Decimal {
  return toDecimal(value) ?? 0;
}

const NUMBER_TEXT = '^[ \\t\\r\\n]*[+-]?[0-9]{1,30}([.][0-9]{1,30})?[ \\t\\r\\n]*$';
const NUMBER_PATTERN = new RegExp(NUMBER_TEXT);
const PLACES = 'Null when the places are no whole number within the range.';
const COLUMN = { a: sql`_l.a`, b: sql`_l.b`, c: sql`_l.c`, d: sql`_l.d`, e: sql`_l.e`, f: sql`_l.f` } as const;
const COLUMN_NAMES = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

/** Sign of the comparison of two values of one kind that has an order, other than text. */
export function compareOrdered(left: ExprValue, right: ExprValue): number {
  if (typeof left === 'string' && typeof right === 'string') return left < right ? -1 : left > right ? 1 : 0;
  return compareDecimals(decimal(left), decimal(right));
}

function extremes(name: 'min' | 'max', kind: 'number' | 'date' | 'instant', example: FunctionExample): Definition {
  const keep = name === 'min' ? -1 : 1;
  return {
    name,
    parameters: [kind, kind, kind, kind, kind, kind],
    optional: 4,
    result: { kind },
    pure: true,
    description: `The ${name === 'min' ? 'least' : 'greatest'} of two to six values.`,
    examples: [example],
    evaluate: (args) => args.reduce((best, next) => (Math.sign(compareOrdered(next, best)) === keep ? next : best)),
    toSql: (args) => {
      const used = COLUMN_NAMES.slice(0, args.length);
      const columns = Object.fromEntries(used.map((column, index) => [column, args[index] ?? sql`null`]));
      const list = used.slice(1).reduce((text, column) => sql`${text}, ${COLUMN[column]}`, sql`_l.a`);
      return letSql(columns, sql`case when num_nulls(${list}) = 0 then ${name === 'min' ? sql`least` : sql`greatest`}(${list}) end`);
    },
  };
}

function unary(
  name: string,
  description: string,
  examples: FunctionEntry['examples'],
  evaluate: (value: Decimal) => Decimal | null,
  toSql: (value: Sql) => Sql,
): Definition {
  return {
    name,
    parameters: ['number'],
    result: NUMBER,
    pure: true,
    description,
    examples,
    evaluate: ([value]) => evaluate(decimal(value)),
    toSql: ([value]) => toSql(value ?? sql`null`),
  };
}

/** Functions on numbers. */
export const NUMBER_FUNCTIONS: readonly FunctionEntry[] = inGroup('Numbers', [
  extremes('min', 'number', { text: 'min(3, 2.5, 7)', result: '2.5' }),
  extremes('min', 'date', { text: "min(date('2026-03-01'), date('2026-02-01'))", result: '2026-02-01' }),
  extremes('min', 'instant', { text: "min(instant('2026-03-01T00:00:00Z'), instant('2026-02-01T00:00:00Z'))", result: '2026-02-01T00:00:00.000Z' }),
  extremes('max', 'number', { text: 'max(3, 2.5, 7)', result: 7 }),
  extremes('max', 'date', { text: "max(date('2026-03-01'), date('2026-02-01'))", result: '2026-03-01' }),
  extremes('max', 'instant', { text: "max(instant('2026-03-01T00:00:00Z'), instant('2026-02-01T00:00:00Z'))", result: '2026-03-01T00:00:00.000Z' }),
  {
    name: 'round',
    parameters: ['number', 'number'],
    optional: 1,
    result: NUMBER,
    pure: true,
    description: 'Rounded to a whole number, or to that many decimal places (-30 to 30); halves go away from zero.',
    nulls: PLACES,
    examples: [
      { text: 'round(2.5)', result: 3 },
      { text: 'round(1.005, 2)', result: '1.01' },
      { text: 'round(1250, -2)', result: 1300 },
    ],
    evaluate: ([value, places]) => roundDecimal(decimal(value), places === undefined ? 0 : decimal(places)),
    toSql: ([value, places]) =>
      boundedSql(
        letSql(
          { v: value ?? sql`null`, p: places ?? sql`0::numeric` },
          sql`case when _l.p between -30 and 30 and _l.p = trunc(_l.p) then round(_l.v, _l.p::integer) end`,
        ),
      ),
  },
  unary(
    'abs',
    'Without its sign.',
    [{ text: 'abs(-2.5)', result: '2.5' }],
    (value) => (compareDecimals(value, 0) < 0 ? negate(value) : value),
    (value) => sql`abs(${value})`,
  ),
  unary(
    'sign',
    '-1, 0 or 1.',
    [{ text: 'sign(-2.5)', result: -1 }],
    (value) => Math.sign(compareDecimals(value, 0)),
    (value) => sql`sign(${value})`,
  ),
  unary('floor', 'The greatest whole number not above it.', [{ text: 'floor(-2.5)', result: -3 }], floorDecimal, (value) => boundedSql(sql`floor(${value})`)),
  unary('ceil', 'The least whole number not below it.', [{ text: 'ceil(-2.5)', result: -2 }], ceilDecimal, (value) => boundedSql(sql`ceil(${value})`)),
  unary('trunc', 'Without its decimal places.', [{ text: 'trunc(-2.5)', result: -2 }], truncateDecimal, (value) => boundedSql(sql`trunc(${value})`)),
  {
    name: 'number',
    parameters: ['text'],
    result: NUMBER,
    pure: true,
    description: 'The number that a text holds: digits with an optional sign and decimal point.',
    nulls: 'Null when the text holds anything else.',
    examples: [
      { text: "number(' 12.50 ')", result: '12.5' },
      { text: "number('12,5')", result: null },
    ],
    evaluate: ([text]) => (typeof text === 'string' && NUMBER_PATTERN.test(text) ? toDecimal(text.trim()) : null),
    toSql: ([text]) => letSql({ v: text ?? sql`null` }, sql`case when _l.v ~ ${NUMBER_TEXT}::text then btrim(_l.v, ${' 	\r\n'}::text)::numeric end`),
  },
  {
    name: 'fixed',
    parameters: ['number', 'number'],
    result: TEXT,
    pure: true,
    description: 'The number as text with exactly that many decimal places (0 to 30), rounded as `round` does.',
    nulls: PLACES,
    examples: [{ text: 'fixed(1234.5, 2)', result: '1234.50' }],
    evaluate: ([value, places]) => fixedDecimal(decimal(value), decimal(places)),
    toSql: ([value, places]) =>
      letSql(
        { v: value ?? sql`null`, p: places ?? sql`null` },
        sql`case when _l.p between 0 and 30 and _l.p = trunc(_l.p) and abs(round(_l.v, _l.p::integer)) < 1e34 then round(_l.v, _l.p::integer)::text collate "C" end`,
      ),
  },
  {
    name: 'text',
    parameters: ['number'],
    result: TEXT,
    pure: true,
    description: 'A number as text, without zeros at its end; a day as YYYY-MM-DD; an instant in RFC 3339, UTC, with milliseconds; yes/no as true or false.',
    examples: [{ text: 'text(1.50)', result: '1.5' }],
    evaluate: ([value]) => decimalText(decimal(value)),
    toSql: ([value]) => sql`trim_scale(${value})::text collate "C"`,
  },
  {
    name: 'text',
    parameters: ['boolean'],
    result: TEXT,
    pure: true,
    description: '`true` or `false`.',
    examples: [{ text: 'text(1 < 2)', result: 'true' }],
    evaluate: ([value]) => (value === true ? 'true' : 'false'),
    toSql: ([value]) => sql`(${value})::text collate "C"`,
  },
  {
    name: 'text',
    parameters: ['date'],
    result: TEXT,
    pure: true,
    description: 'A day as YYYY-MM-DD.',
    examples: [{ text: "text(date('2026-01-31'))", result: '2026-01-31' }],
    evaluate: ([value]) => value,
    toSql: ([value]) => sql`to_char(${value}, 'YYYY-MM-DD') collate "C"`,
  },
  {
    name: 'text',
    parameters: ['instant'],
    result: TEXT,
    pure: true,
    description: 'An instant in RFC 3339, UTC, with milliseconds.',
    examples: [{ text: "text(instant('2026-01-31T14:00:00Z'))", result: '2026-01-31T14:00:00.000Z' }],
    evaluate: ([value]) => value,
    toSql: ([value]) => sql`to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') collate "C"`,
  },
  {
    name: 'text',
    parameters: ['text'],
    result: TEXT,
    pure: true,
    description: 'A text as it is; the id of a record as text.',
    examples: [{ text: "text('a')", result: 'a' }],
    evaluate: ([value]) => value,
    toSql: ([value]) => sql`(${value})::text collate "C"`,
  },
  {
    name: 'text',
    parameters: ['duration'],
    result: TEXT,
    pure: true,
    description: 'A duration as it is written.',
    examples: [{ text: "text(duration('P3M'))", result: 'P3M' }],
    evaluate: ([value]) => value,
    toSql: ([value]) => sql`(${value})::text collate "C"`,
  },
]);
