import { ident, sql, type Sql } from '../../sql.ts';
import { divide } from '../decimal.ts';
import { addDuration, addDurations, addElapsed, amountsOf, multiplyDuration, negateDuration, parseDuration, type Amounts } from '../durations.ts';
import type { ExprValue, FunctionEntry, FunctionExample } from '../types.ts';
import { boundedDate } from './date.sql.ts';
import { DATE, DURATION, INSTANT, NUMBER, asText, inGroup, type Definition } from './define.ts';
import { boundedInstant } from './instant.sql.ts';
import { letSql, letSteps } from './let.sql.ts';
import { divideSql } from './number.sql.ts';
import { WHOLE, whole } from './text.sql.ts';

// The patterns of durations.ts, which leave the ends of the text to `[PT]$`; and the same without what a day or an instant cannot take.
const ANY_DURATION =
  '^-{0,1}P([0-9]{1,4}Y){0,1}([0-9]{1,5}M){0,1}([0-9]{1,4}W){0,1}([0-9]{1,6}D){0,1}(T([0-9]{1,6}H){0,1}([0-9]{1,8}M){0,1}([0-9]{1,9}S){0,1}){0,1}$';
const BUSINESS_DURATION = '^-{0,1}P[0-9]{1,5}BD$';
const DAY_DURATION = '^-{0,1}P([0-9]{1,4}Y){0,1}([0-9]{1,5}M){0,1}([0-9]{1,4}W){0,1}([0-9]{1,6}D){0,1}$';
const TIME_DURATION = '^-{0,1}P([0-9]{1,4}W){0,1}([0-9]{1,6}D){0,1}(T([0-9]{1,6}H){0,1}([0-9]{1,8}M){0,1}([0-9]{1,9}S){0,1}){0,1}$';
const NOT_ONE = 'Null when the text is not a duration.';
const NO_SUM = 'Null when the result cannot be written as one duration: months less days, or business days and others.';

function digits(text: Sql, unit: string): Sql {
  return sql`coalesce(substring(${text} from ${`([0-9]+)${unit}`}::text)::bigint, 0)`;
}

/** True in SQL for a text that is a duration. */
function isDurationSql(text: Sql): Sql {
  return sql`(${text} ~ ${ANY_DURATION}::text and ${text} !~ '[PT]$' or ${text} ~ ${BUSINESS_DURATION}::text)`;
}

/** Steps that give the amounts of the duration in `_l.<name>`: months, days, seconds, business days, and whether it is of business days. */
function amountSteps(name: 'p' | 'q'): readonly [Readonly<Record<string, Sql>>, Readonly<Record<string, Sql>>] {
  const text = ident('_l', name);
  const sign = ident('_l', `g${name}`);
  const [date, time] = [sql`split_part(${text}, 'T', 1)`, sql`split_part(${text}, 'T', 2)`];
  return [
    { [`g${name}`]: sql`case when ${isDurationSql(text)} then case when left(${text}, 1) = '-' then -1 else 1 end end` },
    {
      [`m${name}`]: sql`${sign} * (${digits(date, 'Y')} * 12 + ${digits(date, 'M')})`,
      [`d${name}`]: sql`${sign} * (${digits(date, 'W')} * 7 + ${digits(date, 'D')})`,
      [`s${name}`]: sql`${sign} * (${digits(time, 'H')} * 3600 + ${digits(time, 'M')} * 60 + ${digits(time, 'S')})`,
      [`b${name}`]: sql`${sign} * ${digits(text, 'BD')}`,
      [`u${name}`]: sql`case when ${sign} is not null then right(${text}, 2) = 'BD' end`,
    },
  ];
}

/** Text of the duration with the amounts `_l.m`, `_l.d`, `_l.s`, `_l.b` and `_l.u`, as `formatDuration` writes it. */
const FORMAT = ((): Sql => {
  const part = (amount: Sql, unit: string): Sql => sql`case when ${amount} <> 0 then ${amount}::text || ${unit}::text else '' end`;
  const [m, d, s] = [sql`abs(_l.m)`, sql`abs(_l.d)`, sql`abs(_l.s)`];
  const time = sql`${part(sql`(${s} / 3600)`, 'H')} || ${part(sql`(${s} % 3600 / 60)`, 'M')} || ${part(sql`(${s} % 60)`, 'S')}`;
  return sql`case
    when _l.u then case when abs(_l.b) <= 99999 then case when _l.b < 0 then '-' else '' end || 'P' || abs(_l.b)::text || 'BD' end
    when not _l.u and ${m} <= 119999 and ${d} <= 999999 and ${s} <= 3599999999 and not (least(_l.m, _l.d, _l.s) < 0 and greatest(_l.m, _l.d, _l.s) > 0) then
      case when least(_l.m, _l.d, _l.s) < 0 then '-' else '' end || 'P' || case when _l.m = 0 and _l.d = 0 and _l.s = 0 then '0D' else
        ${part(sql`(${m} / 12)`, 'Y')} || ${part(sql`(${m} % 12)`, 'M')} || ${part(d, 'D')} || case when _l.s <> 0 then 'T' || ${time} else '' end end
    end collate "C"`;
})();

function total(name: string, description: string, nulls: string, example: FunctionExample, evaluate: (amounts: Amounts) => ExprValue, toSql: Sql): Definition {
  return {
    name,
    parameters: ['duration'],
    result: NUMBER,
    pure: true,
    description,
    nulls: `${NOT_ONE} ${nulls}`,
    examples: [example],
    evaluate: ([value]) => {
      const amounts = amountsOf(asText(value));
      return amounts === null ? null : evaluate(amounts);
    },
    toSql: ([text]) => letSteps([{ p: text ?? sql`null` }, ...amountSteps('p')], toSql),
  };
}

function elapsed(name: string, seconds: number, example: FunctionExample): Definition {
  return total(
    name,
    `The length of a duration in ${name}, a day being 24 hours.`,
    'Null when it has months, years or business days.',
    example,
    ({ months, days, seconds: rest, isBusiness }) => (months !== 0 || isBusiness ? null : divide(days * 86_400 + rest, seconds)),
    sql`case when not _l.up and _l.mp = 0 then ${divideSql(sql`(_l.dp * 86400 + _l.sp)::numeric`, sql`${seconds}::numeric`)} end`,
  );
}

function checkDuration(literals: readonly unknown[]): string | null {
  const literal = literals[1];
  if (typeof literal !== 'string') return null;
  const parts = parseDuration(literal);
  if (parts === null) return `'${literal}' is not a duration: write it as P3M, P90D, P1Y6M or PT4H.`;
  return literal.endsWith('BD') ? `Business days need a calendar: write addDuration(day, '${literal}', 'calendar').` : null;
}

function checkOnDay(literals: readonly unknown[]): string | null {
  const literal = literals[1];
  const hasHours = typeof literal === 'string' && literal.includes('T');
  return hasHours && parseDuration(literal) !== null ? `A day has no hours: '${literal}' can be added to an instant only.` : null;
}

function isDuration(literal: unknown): boolean {
  return typeof literal !== 'string' || parseDuration(literal) !== null;
}

/** A day moved by the duration `_l.p` without business days. */
function movedDay(date: Sql, duration: Sql): Sql {
  const months = sql`_l.ok * (${digits(sql`_l.p`, 'Y')} * 12 + ${digits(sql`_l.p`, 'M')})`;
  return boundedDate(
    letSteps(
      [
        { d: date, p: duration },
        { ok: sql`case when _l.p ~ ${DAY_DURATION}::text and _l.p !~ 'P$' then case when left(_l.p, 1) = '-' then -1 else 1 end end` },
        { m: months, n: sql`_l.ok * (${digits(sql`_l.p`, 'W')} * 7 + ${digits(sql`_l.p`, 'D')})` },
      ],
      sql`case when _l.ok is not null and extract(year from _l.d) * 12 + extract(month from _l.d) - 1 + _l.m between 12 and 119999
        then (_l.d + make_interval(months => _l.m::integer))::date + _l.n::integer end`,
    ),
  );
}

/** Functions on durations: ISO 8601 without fractions (`P1Y6M`, `P90D`, `PT4H`), or `PnBD` for business days. */
export const DURATION_FUNCTIONS: readonly FunctionEntry[] = inGroup('Durations', [
  {
    name: 'duration',
    parameters: ['text'],
    result: DURATION,
    pure: true,
    description: 'A duration from text.',
    nulls: NOT_ONE,
    refuses: 'A literal text that is not a duration.',
    examples: [{ text: "duration('P1Y6M')", result: 'P1Y6M' }],
    checkLiterals: ([text]) => (isDuration(text) ? null : `'${String(text)}' is not a duration: write it as P3M, P90D, P2BD or PT4H.`),
    evaluate: ([text]) => (parseDuration(asText(text)) === null ? null : text),
    toSql: ([text]) => letSql({ p: text ?? sql`null` }, sql`case when ${isDurationSql(sql`_l.p`)} then _l.p end`),
  },
  {
    name: 'addDuration',
    parameters: ['date', 'duration'],
    result: DATE,
    pure: true,
    description: "A day moved by years, months (clamped to the month's end), weeks and days; also written `day + duration`, `day - duration`.",
    nulls: 'Null when the duration has hours or business days, and outside the years 1 to 9999.',
    refuses: 'A literal duration with hours or business days.',
    examples: [
      { text: "addDuration(date('2026-01-31'), 'P1M')", result: '2026-02-28' },
      { text: "date('2026-03-31') - duration('P1M')", result: '2026-02-28' },
    ],
    checkLiterals: (literals) => checkDuration(literals) ?? checkOnDay(literals),
    evaluate: (args) => addDuration(asText(args[0]), asText(args[1])),
    toSql: ([date, text]) => movedDay(date ?? sql`null`, text ?? sql`null`),
  },
  {
    name: 'addDuration',
    parameters: ['instant', 'duration'],
    result: INSTANT,
    pure: true,
    description: 'An instant moved by elapsed time (weeks, days of 24 hours, hours, minutes, seconds); also written `instant + duration`.',
    nulls: 'Null when the duration has months, years or business days, and outside the years 1 to 9999.',
    refuses: 'A literal duration with months, years or business days.',
    examples: [{ text: "addDuration(instant('2026-06-30T22:15:00Z'), 'PT4H')", result: '2026-07-01T02:15:00.000Z' }],
    checkLiterals: (literals) => {
      const literal = literals[1];
      const hasMonths = typeof literal === 'string' && /[YM]/.test(literal.replace(/T.*/, ''));
      return checkDuration(literals) ?? (hasMonths ? `Months are added to days, not to instants: '${literal}'.` : null);
    },
    evaluate: (args) => addElapsed(asText(args[0]), asText(args[1])),
    toSql: ([instant, text]) =>
      boundedInstant(
        letSql(
          { d: instant ?? sql`null`, p: text ?? sql`null` },
          sql`case when _l.p ~ ${TIME_DURATION}::text and _l.p !~ '[PT]$' then _l.d + case when left(_l.p, 1) = '-' then -1 else 1 end
            * make_interval(secs => (${digits(sql`_l.p`, 'W')} * 604800 + ${digits(sql`_l.p`, 'D')} * 86400 + ${digits(sql`_l.p`, 'H')} * 3600 + ${digits(sql`_l.p`, 'M')} * 60 + ${digits(sql`_l.p`, 'S')})::double precision) end`,
        ),
      ),
  },
  {
    name: 'addDuration',
    parameters: ['date', 'duration', 'text'],
    result: DATE,
    calendar: 2,
    description: 'A day moved by a duration that may be of business days, which are counted in the calendar: for deadlines whose unit a policy says.',
    nulls: 'Null when the duration has hours, and beyond the days that the calendar knows.',
    refuses: 'A literal duration with hours; a calendar that does not exist or is no literal.',
    examples: [
      { text: "addDuration(date('2026-11-25'), 'P4BD', 'plan')", result: '2026-12-02' },
      { text: "addDuration(date('2026-11-25'), 'P1M', 'plan')", result: '2026-12-25' },
    ],
    checkLiterals: (literals) => (isDuration(literals[1]) ? checkOnDay(literals) : checkDuration(literals)),
    evaluate: (args, context) => context.calendars.addDuration(asText(args[0]), asText(args[1]), asText(args[2])),
    toSql: ([date, text, calendar], context) =>
      letSteps(
        [
          { d: date ?? sql`null`, p: text ?? sql`null`, c: calendar ?? sql`null` },
          {
            e: movedDay(sql`_l.d`, sql`_l.p`),
            n: sql`case when _l.p ~ ${BUSINESS_DURATION}::text then case when left(_l.p, 1) = '-' then -1 else 1 end * ${digits(sql`_l.p`, 'BD')} end`,
          },
        ],
        sql`case when _l.c is not null then case when _l.n is null then _l.e else (select c.day from ${context.calendarTable} c, ${context.calendarTable} f
          where f.calendar = _l.c and f.day = _l.d and c.calendar = _l.c and c.is_open
            and c.ordinal = f.ordinal + _l.n + case when not f.is_open and _l.n <= 0 then 1 else 0 end) end end`,
      ),
  },
  {
    name: 'addDuration',
    parameters: ['duration', 'duration'],
    result: DURATION,
    pure: true,
    description: 'The sum of two durations; also written `a + b`, `a - b`.',
    nulls: `${NOT_ONE} ${NO_SUM}`,
    examples: [
      { text: "duration('P10M') + duration('P3M')", result: 'P1Y1M' },
      { text: "duration('P1M') - duration('P1D')", result: null },
    ],
    evaluate: (args) => addDurations(asText(args[0]), asText(args[1])),
    toSql: ([left, right]) => {
      const [[signP, partsP], [signQ, partsQ]] = [amountSteps('p'), amountSteps('q')];
      return letSteps(
        [
          { p: left ?? sql`null`, q: right ?? sql`null` },
          { ...signP, ...signQ },
          { ...partsP, ...partsQ },
          { m: sql`_l.mp + _l.mq`, d: sql`_l.dp + _l.dq`, s: sql`_l.sp + _l.sq`, b: sql`_l.bp + _l.bq`, u: sql`case when _l.up = _l.uq then _l.up end` },
        ],
        FORMAT,
      );
    },
  },
  {
    name: 'times',
    parameters: ['duration', 'number'],
    result: DURATION,
    pure: true,
    description: 'A duration a whole number of times; also written `duration * n`.',
    nulls: `${NOT_ONE} Null when the number is not whole, and when an amount would be too large to be written.`,
    examples: [{ text: "duration('P6M') * 3", result: 'P1Y6M' }],
    evaluate: (args) => {
      const times = whole(args[1]);
      return times === null ? null : multiplyDuration(asText(args[0]), times);
    },
    toSql: ([text, count]) =>
      letSteps(
        [
          { p: text ?? sql`null`, n: count ?? sql`null` },
          { k: sql`case when ${WHOLE.n} then _l.n::bigint end`, ...amountSteps('p')[0] },
          amountSteps('p')[1],
          { m: sql`_l.mp * _l.k`, d: sql`_l.dp * _l.k`, s: sql`_l.sp * _l.k`, b: sql`_l.bp * _l.k`, u: sql`case when _l.k is not null then _l.up end` },
        ],
        FORMAT,
      ),
  },
  {
    name: 'negate',
    parameters: ['duration'],
    result: DURATION,
    pure: true,
    description: 'The same duration backwards; also written `-duration`.',
    nulls: NOT_ONE,
    examples: [{ text: "negate(duration('P3M'))", result: '-P3M' }],
    evaluate: ([value]) => negateDuration(asText(value)),
    toSql: ([text]) =>
      letSql(
        { p: text ?? sql`null` },
        sql`case when ${isDurationSql(sql`_l.p`)} then case when left(_l.p, 1) = '-' then substr(_l.p, 2) else '-' || _l.p end end collate "C"`,
      ),
  },
  total(
    'months',
    'The length of a duration in months.',
    'Null when it has weeks, days, hours or business days.',
    { text: "months(duration('P1Y6M'))", result: 18 },
    ({ months, days, seconds, isBusiness }) => (days !== 0 || seconds !== 0 || isBusiness ? null : months + 0),
    sql`case when not _l.up and _l.dp = 0 and _l.sp = 0 then _l.mp::numeric end`,
  ),
  elapsed('days', 86_400, { text: "days(duration('P1WT36H'))", result: '8.5' }),
  elapsed('hours', 3600, { text: "hours(duration('P1DT30M'))", result: '24.5' }),
  elapsed('minutes', 60, { text: "minutes(duration('PT4H'))", result: 240 }),
  elapsed('seconds', 1, { text: "seconds(duration('PT1M30S'))", result: 90 }),
  total(
    'businessDays',
    'The number of business days of a duration.',
    'Null when it is not one of business days.',
    { text: "businessDays(duration('P2BD'))", result: 2 },
    ({ businessDays, isBusiness }) => (isBusiness ? businessDays + 0 : null),
    sql`case when _l.up then _l.bp::numeric end`,
  ),
]);
