import { sql, type Sql } from '../../sql.ts';
import { ceilDecimal, compareDecimals, decimalText, floorDecimal, negate, roundDecimal, toDecimal, type Decimal } from '../decimal.ts';
import type { FunctionEntry } from '../types.ts';
import { letSql, letSql2 } from './let.sql.ts';

const NUMBER = { kind: 'number' } as const;
const TEXT = { kind: 'text' } as const;

/** Null at or beyond 10^34 or with more than 100 places: `decimal.ts` does the same. */
export function boundedSql(value: Sql): Sql {
  return letSql({ v: value }, sql`case when abs(_l.v) < 1e34 and scale(trim_scale(_l.v)) <= 100 then _l.v end`);
}

/** Quotient rounded half to even at 12 places; null when dividing by zero. PostgreSQL's own `/` rounds elsewhere. */
export function divideSql(left: Sql, right: Sql): Sql {
  return boundedSql(
    letSql2(
      { n: sql`${left} * 1000000000000`, d: sql`nullif(${right}, 0)` },
      { q: sql`div(_l.n, _l.d)`, r: sql`mod(_l.n, _l.d)` },
      sql`(_l.q + case when 2 * abs(_l.r) > abs(_l.d) or (2 * abs(_l.r) = abs(_l.d) and mod(_l.q, 2) <> 0) then sign(_l.n) * sign(_l.d) else 0 end) * 0.000000000001`,
    ),
  );
}

function decimal(value: unknown): Decimal {
  return toDecimal(value) ?? 0;
}

const NUMBER_TEXT = '^[ \\t\\r\\n]*[+-]?[0-9]{1,30}([.][0-9]{1,30})?[ \\t\\r\\n]*$';
const NUMBER_PATTERN = new RegExp(NUMBER_TEXT);

function extremes(name: 'min' | 'max', kind: 'number' | 'date' | 'instant'): FunctionEntry {
  const keep = name === 'min' ? -1 : 1;
  const compare = (left: unknown, right: unknown): number =>
    kind === 'number' ? compareDecimals(decimal(left), decimal(right)) : String(left) < String(right) ? -1 : String(left) > String(right) ? 1 : 0;
  const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
  return {
    name,
    parameters: [kind, kind, kind, kind, kind, kind],
    optional: 4,
    result: { kind },
    pure: true,
    description: `The ${name === 'min' ? 'least' : 'greatest'} of two to six values (numbers, days or instants).`,
    evaluate: (args) => args.reduce((best, next) => (Math.sign(compare(next, best)) === keep ? next : best)),
    toSql: (args) => {
      const used = names.slice(0, args.length);
      const columns = Object.fromEntries(used.map((column, index) => [column, args[index] ?? sql`null`]));
      const list = sql`_l.a`;
      const rest = used.slice(1).reduce((text, column) => sql`${text}, ${COLUMN[column]}`, list);
      return letSql(columns, sql`case when num_nulls(${rest}) = 0 then ${name === 'min' ? sql`least` : sql`greatest`}(${rest}) end`);
    },
  };
}

const COLUMN = { a: sql`_l.a`, b: sql`_l.b`, c: sql`_l.c`, d: sql`_l.d`, e: sql`_l.e`, f: sql`_l.f` } as const;

/** Functions on numbers. */
export const NUMBER_FUNCTIONS: readonly (readonly [string, FunctionEntry])[] = [
  ['min', extremes('min', 'number')],
  ['min#2', extremes('min', 'date')],
  ['min#3', extremes('min', 'instant')],
  ['max', extremes('max', 'number')],
  ['max#2', extremes('max', 'date')],
  ['max#3', extremes('max', 'instant')],
  [
    'round',
    {
      name: 'round',
      parameters: ['number', 'number'],
      optional: 1,
      result: NUMBER,
      pure: true,
      description: 'Rounded to a whole number, or to that many decimal places; halves go away from zero.',
      evaluate: ([value, places]) => roundDecimal(decimal(value), places === undefined ? 0 : decimal(places)),
      toSql: ([value, places]) =>
        boundedSql(
          letSql(
            { v: value ?? sql`null`, p: places ?? sql`0::numeric` },
            sql`case when _l.p between -30 and 30 and _l.p = trunc(_l.p) then round(_l.v, _l.p::integer) end`,
          ),
        ),
    },
  ],
  [
    'abs',
    {
      name: 'abs',
      parameters: ['number'],
      result: NUMBER,
      pure: true,
      description: 'Without its sign.',
      evaluate: ([value]) => (compareDecimals(decimal(value), 0) < 0 ? negate(decimal(value)) : value),
      toSql: ([value]) => sql`abs(${value})`,
    },
  ],
  [
    'floor',
    {
      name: 'floor',
      parameters: ['number'],
      result: NUMBER,
      pure: true,
      description: 'The greatest whole number not above it.',
      evaluate: ([value]) => floorDecimal(decimal(value)),
      toSql: ([value]) => boundedSql(sql`floor(${value})`),
    },
  ],
  [
    'ceil',
    {
      name: 'ceil',
      parameters: ['number'],
      result: NUMBER,
      pure: true,
      description: 'The least whole number not below it.',
      evaluate: ([value]) => ceilDecimal(decimal(value)),
      toSql: ([value]) => boundedSql(sql`ceil(${value})`),
    },
  ],
  [
    'number',
    {
      name: 'number',
      parameters: ['text'],
      result: NUMBER,
      pure: true,
      description: 'The number that a text holds (digits with an optional sign and decimal point), or null.',
      evaluate: ([text]) => (typeof text === 'string' && NUMBER_PATTERN.test(text) ? toDecimal(text.trim()) : null),
      toSql: ([text]) => letSql({ v: text ?? sql`null` }, sql`case when _l.v ~ ${NUMBER_TEXT}::text then btrim(_l.v, ${' \t\r\n'}::text)::numeric end`),
    },
  ],
  [
    'text',
    {
      name: 'text',
      parameters: ['number'],
      result: TEXT,
      pure: true,
      description: 'A number, day, instant or yes/no as text.',
      evaluate: ([value]) => decimalText(decimal(value)),
      toSql: ([value]) => sql`trim_scale(${value})::text collate "C"`,
    },
  ],
  [
    'text#2',
    {
      name: 'text',
      parameters: ['boolean'],
      result: TEXT,
      pure: true,
      description: '`true` or `false`.',
      evaluate: ([value]) => (value === true ? 'true' : 'false'),
      toSql: ([value]) => sql`(${value})::text collate "C"`,
    },
  ],
  [
    'text#3',
    {
      name: 'text',
      parameters: ['date'],
      result: TEXT,
      pure: true,
      description: 'A day as YYYY-MM-DD.',
      evaluate: ([value]) => value,
      toSql: ([value]) => sql`to_char(${value}, 'YYYY-MM-DD') collate "C"`,
    },
  ],
  [
    'text#4',
    {
      name: 'text',
      parameters: ['instant'],
      result: TEXT,
      pure: true,
      description: 'An instant in RFC 3339, UTC, with milliseconds.',
      evaluate: ([value]) => value,
      toSql: ([value]) => sql`to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') collate "C"`,
    },
  ],
];
