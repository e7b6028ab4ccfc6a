import { sql, type Sql } from '../../sql.ts';
import {
  addDays,
  dayNumber,
  dayOfYear,
  endOf,
  fiscalYear,
  fiscalYearStart,
  isoWeek,
  nextWeekday,
  parseDate,
  previousWeekday,
  startOf,
  startOfWeek,
  weekdayOf,
  type CivilDate,
} from '../dates.ts';
import type { FunctionEntry, FunctionExample } from '../types.ts';
import { boundedDate, moved } from './date.sql.ts';
import { DATE, NUMBER, asText, inGroup, type Definition } from './define.ts';
import { letSql } from './let.sql.ts';

const IMPOSSIBLE = 'Null outside the years 1 to 9999.';

/** A function of a day. */
function ofDay(
  name: string,
  result: FunctionEntry['result'],
  description: string,
  example: FunctionExample,
  evaluate: (date: string, parts: CivilDate) => unknown,
  toSql: (date: Sql) => Sql,
): Definition {
  return {
    name,
    parameters: ['date'],
    result,
    pure: true,
    description,
    examples: [example],
    evaluate: ([value]) => {
      const date = asText(value);
      const parts = parseDate(date);
      return parts === null ? null : evaluate(date, parts);
    },
    toSql: ([date]) => toSql(date ?? sql`null`),
  };
}

/** First day of the fiscal year of `_l.d` when it begins with month `_l.n`. */
const FISCAL_START = sql`make_date(extract(year from _l.d)::integer - case when extract(month from _l.d) < _l.n then 1 else 0 end, _l.n::integer, 1)`;
const IS_MONTH = sql`_l.n = trunc(_l.n) and _l.n between 1 and 12`;
const MONTH_RANGE = 'Null when the month is not 1 to 12.';
const WEEKDAY_RANGE = 'Null when the weekday is not 1 to 7.';
const IS_WEEKDAY = sql`_l.n = trunc(_l.n) and _l.n between 1 and 7`;

/** Functions on weeks, months, quarters, years and their parts. */
export const DATE_PART_FUNCTIONS: readonly FunctionEntry[] = inGroup('Days', [
  ofDay('startOfWeek', DATE, 'The Monday of its week.', { text: "startOfWeek(date('2026-07-04'))", result: '2026-06-29' }, startOfWeek, (date) =>
    boundedDate(sql`date_trunc('week', (${date})::timestamp)::date`),
  ),
  ofDay(
    'endOfWeek',
    DATE,
    'The Sunday of its week.',
    { text: "endOfWeek(date('2026-07-01'))", result: '2026-07-05' },
    (date, parts) => addDays(date, 7 - weekdayOf(dayNumber(parts))),
    (date) => boundedDate(sql`(date_trunc('week', (${date})::timestamp) + interval '6 days')::date`),
  ),
  ofDay(
    'startOfMonth',
    DATE,
    "The month's first day.",
    { text: "startOfMonth(date('2026-05-02'))", result: '2026-05-01' },
    (date) => startOf(date, 1),
    (date) => sql`date_trunc('month', (${date})::timestamp)::date`,
  ),
  ofDay(
    'endOfMonth',
    DATE,
    "The month's last day.",
    { text: "endOfMonth(date('2024-02-02'))", result: '2024-02-29' },
    (date) => endOf(date, 1),
    (date) => sql`(date_trunc('month', (${date})::timestamp) + interval '1 month - 1 day')::date`,
  ),
  ofDay(
    'startOfQuarter',
    DATE,
    "The quarter's first day.",
    { text: "startOfQuarter(date('2026-05-02'))", result: '2026-04-01' },
    (date) => startOf(date, 3),
    (date) => sql`date_trunc('quarter', (${date})::timestamp)::date`,
  ),
  ofDay(
    'endOfQuarter',
    DATE,
    "The quarter's last day.",
    { text: "endOfQuarter(date('2026-05-02'))", result: '2026-06-30' },
    (date) => endOf(date, 3),
    (date) => sql`(date_trunc('quarter', (${date})::timestamp) + interval '3 months - 1 day')::date`,
  ),
  ofDay(
    'startOfYear',
    DATE,
    "The year's first day.",
    { text: "startOfYear(date('2026-05-02'))", result: '2026-01-01' },
    (date) => startOf(date, 12),
    (date) => sql`date_trunc('year', (${date})::timestamp)::date`,
  ),
  ofDay(
    'endOfYear',
    DATE,
    "The year's last day.",
    { text: "endOfYear(date('2026-05-02'))", result: '2026-12-31' },
    (date) => endOf(date, 12),
    (date) => sql`(date_trunc('year', (${date})::timestamp) + interval '1 year - 1 day')::date`,
  ),
  moved(
    'fiscalYear',
    'The fiscal year of a day when it begins with that month (1 to 12), named after the calendar year in which it ends.',
    MONTH_RANGE,
    { text: "fiscalYear(date('2026-11-22'), 10)", result: 2027 },
    fiscalYear,
    (date, month) =>
      letSql(
        { d: date, n: month },
        sql`case when ${IS_MONTH} then extract(year from _l.d) + case when _l.n > 1 and extract(month from _l.d) >= _l.n then 1 else 0 end end`,
      ),
    NUMBER,
  ),
  moved(
    'startOfFiscalYear',
    'The first day of the fiscal year of a day when it begins with that month (1 to 12).',
    `${MONTH_RANGE} ${IMPOSSIBLE}`,
    { text: "startOfFiscalYear(date('2026-05-02'), 10)", result: '2025-10-01' },
    fiscalYearStart,
    (date, month) =>
      letSql({ d: date, n: month }, sql`case when ${IS_MONTH} and (extract(year from _l.d) > 1 or extract(month from _l.d) >= _l.n) then ${FISCAL_START} end`),
  ),
  ofDay(
    'year',
    NUMBER,
    'The year.',
    { text: "year(date('2026-05-02'))", result: 2026 },
    (_date, parts) => parts.year,
    (date) => sql`extract(year from ${date})`,
  ),
  ofDay(
    'quarter',
    NUMBER,
    'The quarter, 1 to 4.',
    { text: "quarter(date('2026-05-02'))", result: 2 },
    (_date, parts) => Math.ceil(parts.month / 3),
    (date) => sql`extract(quarter from ${date})`,
  ),
  ofDay(
    'month',
    NUMBER,
    'The month, 1 to 12.',
    { text: "month(date('2026-05-02'))", result: 5 },
    (_date, parts) => parts.month,
    (date) => sql`extract(month from ${date})`,
  ),
  ofDay(
    'isoWeek',
    NUMBER,
    'The week of the year after ISO 8601, 1 to 53; weeks begin on Monday.',
    { text: "isoWeek(date('2027-01-01'))", result: 53 },
    (_date, parts) => isoWeek(parts),
    (date) => sql`extract(week from ${date})`,
  ),
  ofDay(
    'dayOfYear',
    NUMBER,
    'The day of the year, 1 to 366.',
    { text: "dayOfYear(date('2026-02-01'))", result: 32 },
    (_date, parts) => dayOfYear(parts),
    (date) => sql`extract(doy from ${date})`,
  ),
  ofDay(
    'day',
    NUMBER,
    'The day of the month.',
    { text: "day(date('2026-05-02'))", result: 2 },
    (_date, parts) => parts.day,
    (date) => sql`extract(day from ${date})`,
  ),
  ofDay(
    'weekday',
    NUMBER,
    'The weekday: 1 = Monday, 7 = Sunday.',
    { text: "weekday(date('2026-06-30'))", result: 2 },
    (_date, parts) => weekdayOf(dayNumber(parts)),
    (date) => sql`extract(isodow from ${date})`,
  ),
  moved(
    'nextWeekday',
    'The first day after the given one that is that weekday (1 = Monday).',
    `${WEEKDAY_RANGE} ${IMPOSSIBLE}`,
    { text: "nextWeekday(date('2026-06-29'), 1)", result: '2026-07-06' },
    nextWeekday,
    (date, count) =>
      boundedDate(letSql({ d: date, n: count }, sql`case when ${IS_WEEKDAY} then _l.d + mod(_l.n - extract(isodow from _l.d) + 6, 7)::integer + 1 end`)),
  ),
  moved(
    'previousWeekday',
    'The last day before the given one that is that weekday (1 = Monday).',
    `${WEEKDAY_RANGE} ${IMPOSSIBLE}`,
    { text: "previousWeekday(date('2026-06-29'), 1)", result: '2026-06-22' },
    previousWeekday,
    (date, count) =>
      boundedDate(letSql({ d: date, n: count }, sql`case when ${IS_WEEKDAY} then _l.d - mod(extract(isodow from _l.d) - _l.n + 6, 7)::integer - 1 end`)),
  ),
]);
