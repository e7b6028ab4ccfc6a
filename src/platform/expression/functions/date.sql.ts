import { sql, type Sql } from '../../sql.ts';
import { addDays, addMonths, dateOf, daysBetween, monthsBetween, parseDate } from '../dates.ts';
import { toDecimal } from '../decimal.ts';
import type { FunctionEntry, FunctionExample } from '../types.ts';
import { DATE, NUMBER, asText, inGroup, type Definition } from './define.ts';
import { letSql, letSteps } from './let.sql.ts';

const RANGE = 'Null outside the years 1 to 9999, and when the count is no whole number.';

/** A whole number of a size that dates can take, else null. */
export function wholeNumber(value: unknown): number | null {
  const number = toDecimal(value);
  return typeof number === 'number' && Math.abs(number) <= 4_000_000 ? number : null;
}

/** The same in SQL, for `_l.n`. */
export const WHOLE = sql`_l.n = trunc(_l.n) and abs(_l.n) <= 4000000`;

/** Days outside the years 1 to 9999 are null. */
export function boundedDate(date: Sql): Sql {
  return letSql({ r: date }, sql`case when _l.r between date '0001-01-01' and date '9999-12-31' then _l.r end`);
}

/** Months added as `addMonths` does, for `_l.d` (day) and `_l.n` (whole number): checked before the sum can fail. */
const PLUS_MONTHS = sql`case when ${WHOLE} and extract(year from _l.d) * 12 + extract(month from _l.d) - 1 + _l.n between 12 and 119999 then (_l.d + make_interval(months => _l.n::integer))::date end`;
const DATE_TEXT = '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$';

/** A function of a day and a whole number. */
export function moved(
  name: string,
  description: string,
  nulls: string,
  example: FunctionExample,
  evaluate: (date: string, count: number) => unknown,
  toSql: (date: Sql, count: Sql) => Sql,
  result: FunctionEntry['result'] = DATE,
): Definition {
  return {
    name,
    parameters: ['date', 'number'],
    result,
    pure: true,
    description,
    nulls,
    examples: [example],
    evaluate: (args) => {
      const count = wholeNumber(args[1]);
      return count === null ? null : evaluate(asText(args[0]), count);
    },
    toSql: ([date, count]) => toSql(date ?? sql`null`, count ?? sql`null`),
  };
}

/** Whole months or years between two days, towards zero. */
function monthsSql(from: Sql | undefined, to: Sql | undefined, divisor: 1 | 12): Sql {
  const months = letSteps(
    [
      { a: from ?? sql`null`, b: to ?? sql`null` },
      { x: sql`case when _l.a <= _l.b then _l.a when _l.b < _l.a then _l.b end`, y: sql`case when _l.a <= _l.b then _l.b when _l.b < _l.a then _l.a end` },
    ],
    sql`(case when _l.a <= _l.b then 1 else -1 end * ((extract(year from _l.y) - extract(year from _l.x)) * 12 + extract(month from _l.y) - extract(month from _l.x)
      - case when extract(day from _l.y) < least(extract(day from _l.x), extract(day from date_trunc('month', _l.y::timestamp) + interval '1 month - 1 day')) then 1 else 0 end))::numeric`,
  );
  return divisor === 1 ? months : sql`trunc(${months} / 12)`;
}

function between(name: string, description: string, example: FunctionExample, divisor: 1 | 12): Definition {
  return {
    name,
    parameters: ['date', 'date'],
    result: NUMBER,
    pure: true,
    description,
    examples: [example],
    evaluate: (args) => {
      const months = monthsBetween(asText(args[0]), asText(args[1]));
      return months === null ? null : Math.trunc(months / divisor) + 0;
    },
    toSql: ([from, to]) => monthsSql(from, to, divisor),
  };
}

const plusMonths = (date: Sql, count: Sql): Sql => boundedDate(letSql({ d: date, n: count }, PLUS_MONTHS));

/** Functions on days. */
export const DATE_FUNCTIONS: readonly FunctionEntry[] = inGroup('Days', [
  {
    name: 'today',
    parameters: [],
    result: DATE,
    pure: true,
    description: 'The day of the evaluation in the time zone of the plan; the same everywhere in one evaluation.',
    examples: [{ text: 'today()', result: '2026-06-30' }],
    evaluate: (_args, context) => context.today,
    toSql: (_args, context) => sql`${context.today}::date`,
  },
  {
    name: 'date',
    parameters: ['text'],
    result: DATE,
    pure: true,
    description: 'A day from text.',
    nulls: 'Null when the text is not a day written as YYYY-MM-DD.',
    refuses: 'A literal text that is not a day.',
    examples: [{ text: "date('2026-01-31')", result: '2026-01-31' }],
    checkLiterals: ([text]) => (typeof text === 'string' && parseDate(text) === null ? `'${text}' is not a day: write it as YYYY-MM-DD.` : null),
    evaluate: ([text]) => (parseDate(asText(text)) === null ? null : text),
    toSql: ([text]) =>
      letSteps(
        [
          { v: text ?? sql`null` },
          { m: sql`case when _l.v ~ ${DATE_TEXT}::text and _l.v >= '0001' then make_date(left(_l.v, 4)::integer, substr(_l.v, 6, 2)::integer, 1) end` },
        ],
        sql`case when _l.m is not null and right(_l.v, 2)::integer <= extract(day from _l.m + interval '1 month - 1 day') then _l.m + right(_l.v, 2)::integer - 1 end`,
      ),
  },
  {
    name: 'date',
    parameters: ['number', 'number', 'number'],
    result: DATE,
    pure: true,
    description: 'A day from year, month and day of the month.',
    nulls: 'Null when there is no such day.',
    examples: [
      { text: 'date(2024, 2, 29)', result: '2024-02-29' },
      { text: 'date(2026, 2, 29)', result: null },
    ],
    evaluate: (args) => {
      const [year, month, day] = [wholeNumber(args[0]), wholeNumber(args[1]), wholeNumber(args[2])];
      return year === null || month === null || day === null ? null : dateOf(year, month, day);
    },
    toSql: ([year, month, day]) =>
      letSteps(
        [
          { y: year ?? sql`null`, n: month ?? sql`null`, d: day ?? sql`null` },
          {
            m: sql`case when _l.y = trunc(_l.y) and _l.y between 1 and 9999 and _l.n = trunc(_l.n) and _l.n between 1 and 12 then make_date(_l.y::integer, _l.n::integer, 1) end`,
          },
        ],
        sql`case when _l.d = trunc(_l.d) and _l.d between 1 and extract(day from _l.m + interval '1 month - 1 day') then _l.m + _l.d::integer - 1 end`,
      ),
  },
  {
    name: 'days',
    parameters: ['date', 'date'],
    result: NUMBER,
    pure: true,
    description: 'Days from the first day to the second; negative when the second is earlier.',
    examples: [{ text: "days(date('2026-06-30'), date('2026-07-04'))", result: 4 }],
    evaluate: (args) => daysBetween(asText(args[0]), asText(args[1])),
    toSql: ([from, to]) => sql`(${to} - ${from})::numeric`,
  },
  between(
    'months',
    'Whole months from the first day to the second; negative when the second is earlier.',
    { text: "months(date('2026-01-31'), date('2026-02-28'))", result: 1 },
    1,
  ),
  between('monthsBetween', 'Another name of `months` of two days.', { text: "monthsBetween(date('2026-01-15'), date('2026-03-14'))", result: 1 }, 1),
  between(
    'years',
    'Whole years from the first day to the second, as ages are counted; negative when the second is earlier.',
    { text: "years(date('1974-05-20'), date('2026-05-19'))", result: 51 },
    12,
  ),
  moved(
    'addDays',
    'That many days later (earlier when negative).',
    RANGE,
    { text: "addDays(date('2026-02-27'), 2)", result: '2026-03-01' },
    addDays,
    (date, count) =>
      letSql({ d: date, n: count }, sql`case when ${WHOLE} and _l.d - date '0001-01-01' + _l.n between 0 and 3652058 then _l.d + _l.n::integer end`),
  ),
  moved(
    'addMonths',
    "That many months later; a day that the month lacks becomes the month's last.",
    RANGE,
    { text: "addMonths(date('2026-01-31'), 1)", result: '2026-02-28' },
    addMonths,
    plusMonths,
  ),
  moved(
    'addYears',
    'That many years later; 29 February becomes 28 February where there is none.',
    RANGE,
    { text: "addYears(date('2024-02-29'), 1)", result: '2025-02-28' },
    (date, count) => (Math.abs(count) > 10_000 ? null : addMonths(date, count * 12)),
    (date, count) => boundedDate(letSteps([{ d: date, c: count }, { n: sql`case when _l.c = trunc(_l.c) then _l.c * 12 end` }], PLUS_MONTHS)),
  ),
]);
