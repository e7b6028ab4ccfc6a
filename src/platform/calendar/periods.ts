import type { PlainDate } from '../clock.ts';
import { addDays, addMonths, dateOf, fiscalYearStart, monthsBetween, parseDate, startOfWeek } from '../expression/dates.ts';
import type { ExprType } from '../expression/types.ts';
import type { ReportPeriod } from '../metadata/types.ts';

/** The days that a report is about, both of them in it. */
export interface Period {
  readonly from: PlainDate;
  readonly through: PlainDate;
}

/** What the filters of a report with a period may name. */
export const PERIOD_VARIABLES: Readonly<Record<string, ExprType>> = {
  period: { kind: 'struct', members: { from: { kind: 'date' }, through: { kind: 'date' } } },
};

/** Months of each unit that counts in months from the first one of the year. */
const MONTHS = { month: 1, quarter: 3, year: 12 } as const;

/** The period that a day lies in: a week from Monday on, or a month, quarter or year of a year that begins with the month it names (January unless told). */
export function periodOf(day: PlainDate, { unit, yearStartsIn = 1 }: ReportPeriod): Period {
  if (unit === 'week') {
    const from = known(startOfWeek(day));
    return { from, through: known(addDays(from, 6)) };
  }
  const year = known(fiscalYearStart(day, yearStartsIn));
  const passed = known(monthsBetween(year, monthOf(day)));
  const from = known(addMonths(year, passed - (passed % MONTHS[unit])));
  return { from, through: known(addDays(known(addMonths(from, MONTHS[unit])), -1)) };
}

/** The last period that is over on a day. */
export function lastPeriod(day: PlainDate, spec: ReportPeriod): Period {
  return periodOf(known(addDays(periodOf(day, spec).from, -1)), spec);
}

/** The period after one. */
export function nextPeriod({ through }: Period, spec: ReportPeriod): Period {
  return periodOf(known(addDays(through, 1)), spec);
}

/** How a period is named: an interval of ISO 8601, `2026-11-16/2026-11-22`. */
export function periodName({ from, through }: Period): string {
  return `${from}/${through}`;
}

/** The period of that name, or null when the text names none of the kind. */
export function readPeriod(text: string, spec: ReportPeriod): Period | null {
  const [from = ''] = text.split('/');
  if (parseDate(from) === null) return null;
  const found = periodOf(from, spec);
  return periodName(found) === text ? found : null;
}

/** A condition with the days of a period in the place of `period.from` and `period.through`, so that it opens the same rows at any time. */
export function inPeriod(condition: string, period: Period): string {
  return condition.replace(NAMED, (text: string, member: 'from' | 'through' | undefined) => (member === undefined ? text : `date('${period[member]}')`));
}

/** A text in quotes, which is left as it is, or a name of the period's days. */
const NAMED = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<![\w.])period\.(from|through)\b/g;

function monthOf(day: PlainDate): PlainDate {
  const parts = parseDate(day);
  return known(parts === null ? null : dateOf(parts.year, parts.month, 1));
}

function known<T>(value: T | null): T {
  if (value === null) throw new RangeError('This day lies beyond what a calendar holds.');
  return value;
}
