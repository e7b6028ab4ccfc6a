import { sql, type Sql } from '../../sql.ts';
import { divide } from '../decimal.ts';
import { formatInstant, parseInstant } from '../durations.ts';
import type { FunctionEntry, FunctionExample } from '../types.ts';
import { dayInZone, timeInZone } from '../zones.ts';
import { boundedDate } from './date.sql.ts';
import { DATE, INSTANT, NUMBER, asText, inGroup, type Definition } from './define.ts';
import { letSql } from './let.sql.ts';
import { divideSql } from './number.sql.ts';

/** Instants outside the years 1 to 9999 are null. */
export function boundedInstant(instant: Sql): Sql {
  return letSql(
    { r: instant },
    sql`case when _l.r >= timestamptz '0001-01-01 00:00:00Z' and _l.r < timestamptz '9999-12-31 23:59:59.999Z' + interval '1 millisecond' then _l.r end`,
  );
}

function elapsed(name: string, ms: number, description: string, example: FunctionExample): Definition {
  return {
    name,
    parameters: ['instant', 'instant'],
    result: NUMBER,
    pure: true,
    description,
    examples: [example],
    evaluate: (args) => {
      const [first, second] = [parseInstant(asText(args[0])), parseInstant(asText(args[1]))];
      return first === null || second === null ? null : divide(second - first, ms);
    },
    toSql: ([from, to]) => divideSql(sql`(extract(epoch from (${to} - ${from})) * 1000)`, sql`${ms}::numeric`),
  };
}

function clockPart(name: 'hour' | 'minute', description: string, example: FunctionExample): Definition {
  return {
    name,
    parameters: ['instant'],
    result: NUMBER,
    pure: true,
    description,
    examples: [example],
    evaluate: ([instant], context) => timeInZone(asText(instant), context.calendars.planZone)?.[name] ?? null,
    toSql: ([instant], context) => sql`extract(${name === 'hour' ? sql`hour` : sql`minute`} from (${instant} at time zone ${context.planZone}::text))`,
  };
}

/** Functions on instants. */
export const INSTANT_FUNCTIONS: readonly FunctionEntry[] = inGroup('Dates and times', [
  {
    name: 'now',
    parameters: [],
    result: INSTANT,
    pure: true,
    description: 'The instant of the evaluation; the same everywhere in one evaluation.',
    examples: [{ text: 'now()', result: '2026-06-30T22:15:00.000Z' }],
    evaluate: (_args, context) => context.now,
    toSql: (_args, context) => sql`${context.now}::timestamptz(3)`,
  },
  {
    name: 'instant',
    parameters: ['text'],
    result: INSTANT,
    pure: true,
    description: 'An instant from RFC 3339 text.',
    nulls: 'Null when the text is not an instant.',
    refuses: 'A literal text that is not an instant.',
    examples: [{ text: "instant('2026-01-31T09:00:00-05:00')", result: '2026-01-31T14:00:00.000Z' }],
    checkLiterals: ([text]) =>
      typeof text === 'string' && parseInstant(text) === null ? `'${text}' is not an instant: write it as 2026-01-31T14:00:00Z.` : null,
    evaluate: ([text]) => {
      const ms = parseInstant(asText(text));
      return ms === null ? null : formatInstant(ms);
    },
  },
  elapsed('seconds', 1000, 'Seconds from the first instant to the second.', {
    text: "seconds(instant('2026-01-01T00:00:00Z'), instant('2026-01-01T00:01:30.5Z'))",
    result: '90.5',
  }),
  elapsed('minutes', 60_000, 'Minutes from the first instant to the second.', {
    text: "minutes(instant('2026-01-01T00:00:00Z'), instant('2026-01-01T01:30:00Z'))",
    result: 90,
  }),
  elapsed('hours', 3_600_000, 'Hours from the first instant to the second.', {
    text: "hours(instant('2026-01-01T00:00:00Z'), instant('2026-01-01T01:30:00Z'))",
    result: '1.5',
  }),
  {
    name: 'dayOf',
    parameters: ['instant'],
    result: DATE,
    pure: true,
    description: 'The day of an instant in the time zone of the plan.',
    examples: [{ text: "dayOf(instant('2026-01-01T02:00:00Z'))", result: '2025-12-31' }],
    evaluate: ([instant], context) => dayInZone(asText(instant), context.calendars.planZone),
    toSql: ([instant], context) => boundedDate(sql`(${instant} at time zone ${context.planZone}::text)::date`),
  },
  clockPart('hour', 'The hour of the day, 0 to 23, in the time zone of the plan.', { text: "hour(instant('2026-07-01T20:59:00Z'))", result: 16 }),
  clockPart('minute', 'The minute of the hour, 0 to 59, in the time zone of the plan.', { text: "minute(instant('2026-07-01T20:59:00Z'))", result: 59 }),
]);
