import { sql, type Sql } from '../../sql.ts';
import { divide } from '../decimal.ts';
import type { FunctionEntry, SqlContext } from '../types.ts';
import { instantInZone } from '../zones.ts';
import { wholeNumber } from './date.sql.ts';
import { BOOLEAN, DATE, INSTANT, NUMBER, asText, inGroup } from './define.ts';
import { letSql } from './let.sql.ts';

const KNOWN_DAYS = 'Null beyond the days that calendars know (2005 to 2050).';
const CALENDAR = 'A calendar that does not exist or is no literal.';

/** Ordinal of a day: how many business days there are up to and including it. */
function ordinal(context: SqlContext, day: Sql, calendar: Sql): Sql {
  return sql`(select c.ordinal from ${context.calendarTable} c where c.calendar = ${calendar} and c.day = ${day})`;
}

/** Functions that ask a business calendar. */
export const BUSINESS_FUNCTIONS: readonly FunctionEntry[] = inGroup('Business days', [
  {
    name: 'addBusinessDays',
    parameters: ['date', 'number', 'text'],
    result: DATE,
    calendar: 2,
    description: 'The n-th business day after a day (before it when n is negative); with 0 the day itself, or the next business day when it is closed.',
    nulls: `${KNOWN_DAYS} Null when the count is no whole number.`,
    refuses: CALENDAR,
    examples: [
      { text: "addBusinessDays(date('2026-11-25'), 4, 'plan')", result: '2026-12-02' },
      { text: "addBusinessDays(date('2026-07-04'), 0, 'plan')", result: '2026-07-06' },
    ],
    evaluate: (args, context) => {
      const count = wholeNumber(args[1]);
      return count === null ? null : context.calendars.addBusinessDays(asText(args[0]), count, asText(args[2]));
    },
    toSql: ([date, days, calendar], context) =>
      letSql(
        { d: date ?? sql`null`, n: days ?? sql`null`, c: calendar ?? sql`null` },
        sql`(select c.day from ${context.calendarTable} c, ${context.calendarTable} f where f.calendar = _l.c and f.day = _l.d and _l.n = trunc(_l.n) and abs(_l.n) <= 4000000
          and c.calendar = _l.c and c.is_open and c.ordinal = f.ordinal + _l.n::integer + case when not f.is_open and _l.n <= 0 then 1 else 0 end)`,
      ),
  },
  {
    name: 'businessDaysBetween',
    parameters: ['date', 'date', 'text'],
    result: NUMBER,
    calendar: 2,
    description: 'Business days after the first day up to and including the second; negative when the second is earlier.',
    nulls: KNOWN_DAYS,
    refuses: CALENDAR,
    examples: [
      { text: "businessDaysBetween(date('2026-07-02'), date('2026-07-06'), 'plan')", result: 1 },
      { text: "coalesce(businessDaysBetween(date('2026-07-02'), null, 'plan'), -1)", result: -1 },
    ],
    evaluate: (args, context) => context.calendars.businessDaysBetween(asText(args[0]), asText(args[1]), asText(args[2])),
    toSql: ([from, to, calendar], context) =>
      letSql(
        { a: from ?? sql`null`, b: to ?? sql`null`, c: calendar ?? sql`null` },
        sql`(${ordinal(context, sql`_l.b`, sql`_l.c`)} - ${ordinal(context, sql`_l.a`, sql`_l.c`)})::numeric`,
      ),
  },
  {
    name: 'isBusinessDay',
    parameters: ['date', 'text'],
    result: BOOLEAN,
    calendar: 1,
    description: 'True when the calendar is open on that day.',
    nulls: KNOWN_DAYS,
    refuses: CALENDAR,
    examples: [{ text: "isBusinessDay(date('2026-07-03'), 'plan')", result: false }],
    evaluate: (args, context) => context.calendars.isBusinessDay(asText(args[0]), asText(args[1])),
    toSql: ([date, calendar], context) =>
      letSql(
        { d: date ?? sql`null`, c: calendar ?? sql`null` },
        sql`(select c.is_open from ${context.calendarTable} c where c.calendar = _l.c and c.day = _l.d)`,
      ),
  },
  {
    name: 'dayOf',
    parameters: ['instant', 'text'],
    result: DATE,
    calendar: 1,
    description: "The day of an instant in a calendar's time zone.",
    refuses: CALENDAR,
    examples: [{ text: "dayOf(instant('2026-01-01T02:00:00Z'), 'plan')", result: '2025-12-31' }],
    evaluate: (args, context) => context.calendars.dayOf(asText(args[0]), asText(args[1])),
  },
  {
    name: 'at',
    parameters: ['date', 'text'],
    result: INSTANT,
    pure: true,
    description:
      "The instant of a day and a local time (HH:MM or HH:MM:SS) in the plan's zone. A time that a clock change skips is the end of the gap, one that comes twice is the first.",
    nulls: 'Null when the text is not a time.',
    examples: [{ text: "at(date('2026-07-01'), '08:00')", result: '2026-07-01T12:00:00.000Z' }],
    evaluate: (args, context) => instantInZone(asText(args[0]), asText(args[1]), context.calendars.planZone),
  },
  {
    name: 'at',
    parameters: ['date', 'text', 'text'],
    result: INSTANT,
    calendar: 2,
    description: "The same in a calendar's zone.",
    nulls: 'Null when the text is not a time.',
    refuses: CALENDAR,
    examples: [{ text: "at(date('2026-03-08'), '02:30', 'plan')", result: '2026-03-08T07:00:00.000Z' }],
    evaluate: (args, context) => context.calendars.at(asText(args[0]), asText(args[1]), asText(args[2])),
  },
  {
    name: 'startOfDay',
    parameters: ['date'],
    result: INSTANT,
    pure: true,
    description: "The first instant of a day in the plan's zone.",
    examples: [{ text: "startOfDay(date('2026-07-01'))", result: '2026-07-01T04:00:00.000Z' }],
    evaluate: ([date], context) => instantInZone(asText(date), '00:00', context.calendars.planZone),
  },
  {
    name: 'endOfBusinessDay',
    parameters: ['date', 'text'],
    optional: 1,
    result: INSTANT,
    calendar: 1,
    description: "The end of that day's working hours, of the plan's calendar or the one named; of a calendar without hours the day's last millisecond.",
    refuses: CALENDAR,
    examples: [{ text: "endOfBusinessDay(date('2026-11-27'))", result: '2026-11-27T22:00:00.000Z' }],
    evaluate: (args, context) => context.calendars.endOfBusinessDay(asText(args[0]), args[1] === undefined ? context.calendars.planCalendar : asText(args[1])),
  },
  {
    name: 'businessDayOf',
    parameters: ['instant', 'text'],
    optional: 1,
    result: DATE,
    calendar: 1,
    description:
      "The business day that an instant counts to, of the plan's calendar or the one named: its own day when that is open and the calendar's cut-off is not reached, else the next business day.",
    nulls: KNOWN_DAYS,
    refuses: CALENDAR,
    examples: [{ text: "businessDayOf(instant('2026-07-03T15:00:00Z'))", result: '2026-07-06' }],
    evaluate: (args, context) => context.calendars.businessDayOf(asText(args[0]), args[1] === undefined ? context.calendars.planCalendar : asText(args[1])),
  },
  {
    name: 'nextRepeated',
    parameters: ['date', 'text', 'text'],
    optional: 1,
    result: DATE,
    calendar: 2,
    description:
      "The next of the days that come again, after a day: 'every second tuesday from 2026-01-06', 'quarterly from 2026-01-31', 'second tuesday of the month', 'last business day of the quarter', 'third monday of april'. Business days are those of the plan's calendar or the one named.",
    nulls: `Null when the words say no such days. ${KNOWN_DAYS}`,
    refuses: CALENDAR,
    examples: [
      { text: "nextRepeated(date('2026-11-23'), 'last business day of the month')", result: '2026-11-30' },
      { text: "nextRepeated(date('2026-01-31'), 'quarterly from 2026-01-31')", result: '2026-04-30' },
    ],
    evaluate: (args, context) =>
      context.calendars.nextRepeated(asText(args[1]), asText(args[0]), args[2] === undefined ? context.calendars.planCalendar : asText(args[2])),
  },
  {
    name: 'businessMinutesBetween',
    parameters: ['instant', 'instant', 'text'],
    result: NUMBER,
    calendar: 2,
    description: 'Minutes of working time from the first instant to the second; negative when the second is earlier.',
    nulls: KNOWN_DAYS,
    refuses: CALENDAR,
    examples: [{ text: "businessMinutesBetween(instant('2026-07-02T20:30:00Z'), instant('2026-07-06T13:15:00Z'), 'plan')", result: 45 }],
    evaluate: (args, context) => {
      const ms = context.calendars.workingMs(asText(args[0]), asText(args[1]), asText(args[2]));
      return ms === null ? null : divide(ms, 60_000);
    },
  },
  {
    name: 'addBusinessMinutes',
    parameters: ['instant', 'number', 'text'],
    result: INSTANT,
    calendar: 2,
    description: 'The instant at which that many minutes of working time have passed.',
    nulls: `${KNOWN_DAYS} Null when the minutes are negative or no whole number.`,
    refuses: CALENDAR,
    examples: [{ text: "addBusinessMinutes(instant('2026-07-02T20:30:00Z'), 45, 'plan')", result: '2026-07-06T13:15:00.000Z' }],
    evaluate: (args, context) => {
      const minutes = wholeNumber(args[1]);
      return minutes === null || minutes < 0 ? null : context.calendars.addWorkingMs(asText(args[0]), minutes * 60_000, asText(args[2]));
    },
  },
]);
