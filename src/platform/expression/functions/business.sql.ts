import { sql, type Sql } from '../../sql.ts';
import type { FunctionEntry, SqlContext } from '../types.ts';
import { instantInZone } from '../zones.ts';
import { wholeNumber } from './date.sql.ts';
import { letSql } from './let.sql.ts';

const DATE = { kind: 'date' } as const;
const INSTANT = { kind: 'instant' } as const;
const NUMBER = { kind: 'number' } as const;

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Ordinal of a day: how many business days there are up to and including it. */
function ordinal(context: SqlContext, day: Sql, calendar: Sql): Sql {
  return sql`(select c.ordinal from ${context.calendarTable} c where c.calendar = ${calendar} and c.day = ${day})`;
}

/** Functions that ask a business calendar. */
export const BUSINESS_FUNCTIONS: readonly (readonly [string, FunctionEntry])[] = [
  [
    'addBusinessDays',
    {
      name: 'addBusinessDays',
      parameters: ['date', 'number', 'text'],
      result: DATE,
      calendar: 2,
      description: 'The n-th business day after a day (before it when n is negative); with 0 the day itself, or the next business day when it is closed.',
      evaluate: ([date, days, calendar], context) => {
        const count = wholeNumber(days);
        return count === null ? null : context.calendars.addBusinessDays(asText(date), count, asText(calendar));
      },
      toSql: ([date, days, calendar], context) =>
        letSql(
          { d: date ?? sql`null`, n: days ?? sql`null`, c: calendar ?? sql`null` },
          sql`(select c.day from ${context.calendarTable} c, ${context.calendarTable} f where f.calendar = _l.c and f.day = _l.d and _l.n = trunc(_l.n) and abs(_l.n) <= 4000000
            and c.calendar = _l.c and c.is_open and c.ordinal = f.ordinal + _l.n::integer + case when not f.is_open and _l.n <= 0 then 1 else 0 end)`,
        ),
    },
  ],
  [
    'businessDaysBetween',
    {
      name: 'businessDaysBetween',
      parameters: ['date', 'date', 'text'],
      result: NUMBER,
      calendar: 2,
      description: 'Business days after the first day up to and including the second; negative when the second is earlier.',
      evaluate: ([from, to, calendar], context) => context.calendars.businessDaysBetween(asText(from), asText(to), asText(calendar)),
      toSql: ([from, to, calendar], context) =>
        letSql(
          { a: from ?? sql`null`, b: to ?? sql`null`, c: calendar ?? sql`null` },
          sql`(${ordinal(context, sql`_l.b`, sql`_l.c`)} - ${ordinal(context, sql`_l.a`, sql`_l.c`)})::numeric`,
        ),
    },
  ],
  [
    'isBusinessDay',
    {
      name: 'isBusinessDay',
      parameters: ['date', 'text'],
      result: { kind: 'boolean' },
      calendar: 1,
      description: 'True when the calendar is open on that day.',
      evaluate: ([date, calendar], context) => context.calendars.isBusinessDay(asText(date), asText(calendar)),
      toSql: ([date, calendar], context) =>
        letSql(
          { d: date ?? sql`null`, c: calendar ?? sql`null` },
          sql`(select c.is_open from ${context.calendarTable} c where c.calendar = _l.c and c.day = _l.d)`,
        ),
    },
  ],
  [
    'dayOf#2',
    {
      name: 'dayOf',
      parameters: ['instant', 'text'],
      result: DATE,
      calendar: 1,
      description: "The day of an instant in a calendar's time zone. Not in SQL.",
      evaluate: ([instant, calendar], context) => context.calendars.dayOf(asText(instant), asText(calendar)),
    },
  ],
  [
    'at',
    {
      name: 'at',
      parameters: ['date', 'text'],
      result: INSTANT,
      pure: true,
      description: "The instant of a day and a local time in the plan's zone: at(due, '08:00'). Not in SQL unless both are constant.",
      evaluate: ([date, time], context) => instantInZone(asText(date), asText(time), context.calendars.planZone),
    },
  ],
  [
    'at#2',
    {
      name: 'at',
      parameters: ['date', 'text', 'text'],
      result: INSTANT,
      calendar: 2,
      description: "The instant of a day and a local time in a calendar's zone. Not in SQL.",
      evaluate: ([date, time, calendar], context) => context.calendars.at(asText(date), asText(time), asText(calendar)),
    },
  ],
  [
    'startOfDay',
    {
      name: 'startOfDay',
      parameters: ['date'],
      result: INSTANT,
      pure: true,
      description: "The first instant of a day in the plan's zone. Not in SQL unless the day is constant.",
      evaluate: ([date], context) => instantInZone(asText(date), '00:00', context.calendars.planZone),
    },
  ],
  [
    'endOfBusinessDay',
    {
      name: 'endOfBusinessDay',
      parameters: ['date', 'text'],
      optional: 1,
      result: INSTANT,
      calendar: 1,
      description: "The end of that day's working hours, of the plan's calendar or the one named. Not in SQL.",
      evaluate: ([date, calendar], context) =>
        context.calendars.endOfBusinessDay(asText(date), calendar === undefined ? context.calendars.planCalendar : asText(calendar)),
    },
  ],
];
