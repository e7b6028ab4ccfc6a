import { sql, type Sql } from '../../sql.ts';
import { addDays, addMonths, dayNumber, daysBetween, endOf, monthsBetween, nextWeekday, parseDate, startOf, weekdayOf, type CivilDate } from '../dates.ts';
import { divide, toDecimal } from '../decimal.ts';
import { addDuration, addElapsed, formatInstant, parseDuration, parseInstant } from '../durations.ts';
import type { EvalContext, FunctionEntry, SqlContext } from '../types.ts';
import { dayInZone } from '../zones.ts';
import { letSql, letSql2 } from './let.sql.ts';
import { divideSql } from './number.sql.ts';

const DATE = { kind: 'date' } as const;
const INSTANT = { kind: 'instant' } as const;
const NUMBER = { kind: 'number' } as const;

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A whole number of a size that dates can take, else null. */
export function wholeNumber(value: unknown): number | null {
  const number = toDecimal(value);
  return typeof number === 'number' && Math.abs(number) <= 4_000_000 ? number : null;
}

const WHOLE = sql`_l.n = trunc(_l.n) and abs(_l.n) <= 4000000`;

/** Days outside the years 1 to 9999 are null. */
function boundedDate(date: Sql): Sql {
  return letSql({ r: date }, sql`case when _l.r between date '0001-01-01' and date '9999-12-31' then _l.r end`);
}

function boundedInstant(instant: Sql): Sql {
  return letSql(
    { r: instant },
    sql`case when _l.r >= timestamptz '0001-01-01 00:00:00Z' and _l.r < timestamptz '9999-12-31 23:59:59.999Z' + interval '1 millisecond' then _l.r end`,
  );
}

/** Months added as `addMonths` does, for `_l.d` (day) and `_l.n` (whole number): checked before the sum can fail. */
const PLUS_MONTHS = sql`case when ${WHOLE} and extract(year from _l.d) * 12 + extract(month from _l.d) - 1 + _l.n between 12 and 119999 then (_l.d + make_interval(months => _l.n::integer))::date end`;

const DATE_TEXT = '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$';

// The patterns of durations.ts without what a day (or an instant) cannot take.
const DAY_DURATION = '^-{0,1}P([0-9]{1,4}Y){0,1}([0-9]{1,5}M){0,1}([0-9]{1,4}W){0,1}([0-9]{1,6}D){0,1}$';
const TIME_DURATION = '^-{0,1}P([0-9]{1,4}W){0,1}([0-9]{1,6}D){0,1}(T([0-9]{1,6}H){0,1}([0-9]{1,8}M){0,1}([0-9]{1,9}S){0,1}){0,1}$';

function digits(unit: string): Sql {
  return sql`coalesce(substring(_l.p from ${`([0-9]+)${unit}`}::text)::integer, 0)`;
}

function checkDuration(literals: readonly unknown[]): string | null {
  const literal = literals[1];
  if (typeof literal !== 'string') return null;
  const parts = parseDuration(literal);
  if (parts === null) return `'${literal}' is not a duration: write it as P3M, P90D, P1Y6M or PT4H.`;
  return parts.businessDays === 0 ? null : `Business days need a calendar: write addBusinessDays(day, ${String(parts.businessDays)}, 'calendar').`;
}

function unary(
  name: string,
  result: FunctionEntry['result'],
  description: string,
  evaluate: (date: string, parts: CivilDate) => unknown,
  toSql: (date: Sql) => Sql,
): readonly [string, FunctionEntry] {
  return [
    name,
    {
      name,
      parameters: ['date'],
      result,
      pure: true,
      description,
      evaluate: ([date]) => {
        const parts = parseDate(asText(date));
        return parts === null ? null : evaluate(asText(date), parts);
      },
      toSql: ([date]) => toSql(date ?? sql`null`),
    },
  ];
}

function moved(
  name: string,
  description: string,
  evaluate: (date: string, count: number) => unknown,
  toSql: (date: Sql, count: Sql) => Sql,
): readonly [string, FunctionEntry] {
  return [
    name,
    {
      name,
      parameters: ['date', 'number'],
      result: DATE,
      pure: true,
      description,
      evaluate: ([date, count]) => {
        const whole = wholeNumber(count);
        return whole === null ? null : evaluate(asText(date), whole);
      },
      toSql: ([date, count]) => toSql(date ?? sql`null`, count ?? sql`null`),
    },
  ];
}

function elapsed(name: string, ms: number, description: string): readonly [string, FunctionEntry] {
  return [
    name,
    {
      name,
      parameters: ['instant', 'instant'],
      result: NUMBER,
      pure: true,
      description,
      evaluate: ([from, to]) => {
        const [first, second] = [parseInstant(asText(from)), parseInstant(asText(to))];
        return first === null || second === null ? null : divide(second - first, ms);
      },
      toSql: ([from, to]) => divideSql(sql`(extract(epoch from (${to} - ${from})) * 1000)`, sql`${ms}::numeric`),
    },
  ];
}

function clock(name: 'today' | 'now', description: string): readonly [string, FunctionEntry] {
  const read = (context: EvalContext | SqlContext): string => context[name];
  return [
    name,
    {
      name,
      parameters: [],
      result: name === 'today' ? DATE : INSTANT,
      pure: true,
      description,
      evaluate: (_args, context) => read(context),
      toSql: (_args, context) => (name === 'today' ? sql`${read(context)}::date` : sql`${read(context)}::timestamptz(3)`),
    },
  ];
}

/** Whole months between two days, under either of its names. */
function wholeMonths(name: string): readonly [string, FunctionEntry] {
  return [
    name,
    {
      name,
      parameters: ['date', 'date'],
      result: NUMBER,
      pure: true,
      description: 'Whole months from the first day to the second; negative when the second is earlier.',
      evaluate: ([from, to]) => monthsBetween(asText(from), asText(to)),
      toSql: ([from, to]) =>
        letSql2(
          { a: from ?? sql`null`, b: to ?? sql`null` },
          { x: sql`case when _l.a <= _l.b then _l.a when _l.b < _l.a then _l.b end`, y: sql`case when _l.a <= _l.b then _l.b when _l.b < _l.a then _l.a end` },
          sql`(case when _l.a <= _l.b then 1 else -1 end * ((extract(year from _l.y) - extract(year from _l.x)) * 12 + extract(month from _l.y) - extract(month from _l.x)
            - case when extract(day from _l.y) < least(extract(day from _l.x), extract(day from date_trunc('month', _l.y::timestamp) + interval '1 month - 1 day')) then 1 else 0 end))::numeric`,
        ),
    },
  ];
}

/** Functions on days and instants that need no business calendar. */
export const DATE_FUNCTIONS: readonly (readonly [string, FunctionEntry])[] = [
  clock('today', 'The day of the evaluation in the time zone of the plan.'),
  clock('now', 'The instant of the evaluation.'),
  [
    'date',
    {
      name: 'date',
      parameters: ['text'],
      result: DATE,
      pure: true,
      description: "A day from text: date('2026-01-31'); null when the text is not a day.",
      checkLiterals: ([text]) => (typeof text === 'string' && parseDate(text) === null ? `'${text}' is not a day: write it as YYYY-MM-DD.` : null),
      evaluate: ([text]) => (parseDate(asText(text)) === null ? null : text),
      toSql: ([text]) =>
        letSql2(
          { v: text ?? sql`null` },
          { m: sql`case when _l.v ~ ${DATE_TEXT}::text and _l.v >= '0001' then make_date(left(_l.v, 4)::integer, substr(_l.v, 6, 2)::integer, 1) end` },
          sql`case when _l.m is not null and right(_l.v, 2)::integer <= extract(day from _l.m + interval '1 month - 1 day') then _l.m + right(_l.v, 2)::integer - 1 end`,
        ),
    },
  ],
  [
    'instant',
    {
      name: 'instant',
      parameters: ['text'],
      result: INSTANT,
      pure: true,
      description: "An instant from RFC 3339 text: instant('2026-01-31T14:00:00Z'). Not in SQL unless the text is a literal.",
      checkLiterals: ([text]) =>
        typeof text === 'string' && parseInstant(text) === null ? `'${text}' is not an instant: write it as 2026-01-31T14:00:00Z.` : null,
      evaluate: ([text]) => {
        const ms = parseInstant(asText(text));
        return ms === null ? null : formatInstant(ms);
      },
    },
  ],
  [
    'duration',
    {
      name: 'duration',
      parameters: ['text'],
      result: { kind: 'duration' },
      pure: true,
      description: "A duration: duration('P3M'), duration('PT4H'), duration('P2BD'). Not in SQL unless the text is a literal.",
      checkLiterals: ([text]) =>
        typeof text === 'string' && parseDuration(text) === null ? `'${text}' is not a duration: write it as P3M, P90D, P2BD or PT4H.` : null,
      evaluate: ([text]) => (parseDuration(asText(text)) === null ? null : text),
    },
  ],
  [
    'days',
    {
      name: 'days',
      parameters: ['date', 'date'],
      result: NUMBER,
      pure: true,
      description: 'Days from the first day to the second; negative when the second is earlier.',
      evaluate: ([from, to]) => daysBetween(asText(from), asText(to)),
      toSql: ([from, to]) => sql`(${to} - ${from})::numeric`,
    },
  ],
  elapsed('seconds', 1000, 'Seconds from the first instant to the second.'),
  elapsed('minutes', 60_000, 'Minutes from the first instant to the second.'),
  elapsed('hours', 3_600_000, 'Hours from the first instant to the second.'),
  wholeMonths('monthsBetween'),
  wholeMonths('months'),
  moved('addDays', 'That many days later (earlier when negative).', addDays, (date, count) =>
    letSql({ d: date, n: count }, sql`case when ${WHOLE} and _l.d - date '0001-01-01' + _l.n between 0 and 3652058 then _l.d + _l.n::integer end`),
  ),
  moved('addMonths', "That many months later; a day that the month lacks becomes the month's last.", addMonths, (date, count) =>
    boundedDate(letSql({ d: date, n: count }, PLUS_MONTHS)),
  ),
  [
    'addDuration',
    {
      name: 'addDuration',
      parameters: ['date', 'duration'],
      result: DATE,
      pure: true,
      description: "A day moved by years, months (clamped to the month's end), weeks and days: addDuration(due, 'P3M').",
      checkLiterals: (literals) => {
        const literal = literals[1];
        return (
          checkDuration(literals) ??
          (typeof literal === 'string' && literal.includes('T') ? `A day has no hours: '${literal}' can be added to an instant only.` : null)
        );
      },
      evaluate: ([date, text]) => addDuration(asText(date), asText(text)),
      toSql: ([date, text]) =>
        boundedDate(
          letSql2(
            { d: date ?? sql`null`, p: text ?? sql`null` },
            { ok: sql`case when _l.p ~ ${DAY_DURATION}::text and _l.p !~ 'P$' then case when left(_l.p, 1) = '-' then -1 else 1 end end` },
            letSql2In({ m: sql`_l.ok * (${digits('Y')} * 12 + ${digits('M')})`, n: sql`_l.ok * (${digits('W')} * 7 + ${digits('D')})` }),
          ),
        ),
    },
  ],
  [
    'addDuration#2',
    {
      name: 'addDuration',
      parameters: ['instant', 'duration'],
      result: INSTANT,
      pure: true,
      description: "An instant moved by elapsed time (weeks, days of 24 hours, hours, minutes, seconds): addDuration(receivedAt, 'PT4H').",
      checkLiterals: (literals) => {
        const literal = literals[1];
        return (
          checkDuration(literals) ??
          (typeof literal === 'string' && parseDuration(literal)?.months !== 0 ? `Months are added to days, not to instants: '${literal}'.` : null)
        );
      },
      evaluate: ([instant, text]) => addElapsed(asText(instant), asText(text)),
      toSql: ([instant, text]) =>
        boundedInstant(
          letSql(
            { d: instant ?? sql`null`, p: text ?? sql`null` },
            sql`case when _l.p ~ ${TIME_DURATION}::text and _l.p !~ '[PT]$' then _l.d + case when left(_l.p, 1) = '-' then -1 else 1 end
              * make_interval(secs => (${digits('W')}::bigint * 604800 + ${digits('D')}::bigint * 86400 + ${digits('H')}::bigint * 3600 + ${digits('M')}::bigint * 60 + ${digits('S')})::double precision) end`,
          ),
        ),
    },
  ],
  unary(
    'startOfMonth',
    DATE,
    "The month's first day.",
    (date) => startOf(date, 1),
    (date) => sql`date_trunc('month', (${date})::timestamp)::date`,
  ),
  unary(
    'endOfMonth',
    DATE,
    "The month's last day.",
    (date) => endOf(date, 1),
    (date) => sql`(date_trunc('month', (${date})::timestamp) + interval '1 month - 1 day')::date`,
  ),
  unary(
    'startOfQuarter',
    DATE,
    "The quarter's first day.",
    (date) => startOf(date, 3),
    (date) => sql`date_trunc('quarter', (${date})::timestamp)::date`,
  ),
  unary(
    'endOfQuarter',
    DATE,
    "The quarter's last day.",
    (date) => endOf(date, 3),
    (date) => sql`(date_trunc('quarter', (${date})::timestamp) + interval '3 months - 1 day')::date`,
  ),
  unary(
    'year',
    NUMBER,
    'The year.',
    (_date, parts) => parts.year,
    (date) => sql`extract(year from ${date})`,
  ),
  unary(
    'month',
    NUMBER,
    'The month, 1 to 12.',
    (_date, parts) => parts.month,
    (date) => sql`extract(month from ${date})`,
  ),
  unary(
    'day',
    NUMBER,
    'The day of the month.',
    (_date, parts) => parts.day,
    (date) => sql`extract(day from ${date})`,
  ),
  unary(
    'weekday',
    NUMBER,
    'The weekday: 1 = Monday, 7 = Sunday.',
    (_date, parts) => weekdayOf(dayNumber(parts)),
    (date) => sql`extract(isodow from ${date})`,
  ),
  moved('nextWeekday', 'The first day after the given one that is that weekday (1 = Monday).', nextWeekday, (date, count) =>
    boundedDate(
      letSql(
        { d: date, n: count },
        sql`case when _l.n = trunc(_l.n) and _l.n between 1 and 7 then _l.d + mod(_l.n - extract(isodow from _l.d) + 6, 7)::integer + 1 end`,
      ),
    ),
  ),
  [
    'dayOf',
    {
      name: 'dayOf',
      parameters: ['instant'],
      result: DATE,
      pure: true,
      description: 'The day of an instant in the time zone of the plan.',
      evaluate: ([instant], context) => dayInZone(asText(instant), context.calendars.planZone),
      toSql: ([instant], context) => boundedDate(sql`(${instant} at time zone ${context.planZone}::text)::date`),
    },
  ],
];

/** Adds `m` months (clamped, checked) and then `n` days to `_l.d`, all of the surrounding `_l`. */
function letSql2In(parts: { readonly m: Sql; readonly n: Sql }): Sql {
  return sql`case when _l.ok is not null and extract(year from _l.d) * 12 + extract(month from _l.d) - 1 + ${parts.m} between 12 and 119999 then (_l.d + make_interval(months => ${parts.m}))::date + ${parts.n} end`;
}
