import federal from '@18f/us-federal-holidays';
import { parse } from 'csv-parse/sync';
import type { PlainDate } from '../clock.ts';
import type { AppError } from '../errors.ts';
import { addDays, parseDate } from '../expression/dates.ts';
import type { YearlyHoliday } from '../metadata/types.ts';
import { easterSunday, nextRepeated, parseRepeated } from './repeated-days.ts';

export interface Holiday {
  readonly date: PlainDate;
  readonly name: string;
}

/** US federal holidays as observed in the years given: a Saturday moves to Friday, a Sunday to Monday. */
export function federalHolidays(firstYear: number, lastYear: number): readonly Holiday[] {
  const holidays: Holiday[] = [];
  // The first of January of the year after may be observed on the last of December.
  for (let year = firstYear; year <= lastYear + 1; year += 1) {
    for (const holiday of federal.allForYear(year, { shiftSaturdayHolidays: true, shiftSundayHolidays: true })) {
      const observed = Number(holiday.dateString.slice(0, 4));
      if (observed >= firstYear && observed <= lastYear) holidays.push({ date: holiday.dateString, name: holiday.name });
    }
  }
  return holidays;
}

/** A holiday of every year, in the years given; `refuse` makes the error that is thrown. */
export function yearlyHolidays(holiday: YearlyHoliday, firstYear: number, lastYear: number, refuse: (problem: string) => AppError): readonly Holiday[] {
  const { name, on } = holiday;
  const days = typeof on === 'string' ? parseRepeated(on) : null;
  if (typeof on === 'string' && days === null) throw refuse(`'${on}' says no days that come again.`);
  const found: Holiday[] = [];
  for (let year = Math.max(firstYear, holiday.from ?? firstYear); year <= Math.min(lastYear, holiday.through ?? lastYear); year += 1) {
    if (typeof on !== 'string') {
      const easter = easterSunday(year);
      const date = easter === null ? null : addDays(easter, on.easter);
      if (date !== null) found.push({ date, name });
      continue;
    }
    // A holiday that depends on which days are open would depend on itself.
    const next = (after: PlainDate): PlainDate | null => (days === null ? null : nextRepeated(days, after, () => null));
    for (let date = next(`${String(year - 1)}-12-31`); date !== null && date.startsWith(String(year)); date = next(date)) found.push({ date, name });
  }
  return found;
}

/** Holidays from CSV text with the columns `date` and `name`; `refuse` makes the error that is thrown. */
export function holidaysFromCsv(text: string, refuse: (problem: string) => AppError): readonly Holiday[] {
  let records: readonly Record<string, string>[];
  try {
    // Names such as "Birthday of Martin Luther King, Jr." stand unquoted in real files: what is too much is left aside.
    records = parse(text, { columns: true, bom: true, trim: true, skip_empty_lines: true, relax_column_count: true });
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (records.length === 0) throw refuse('there is no line with a holiday.');
  return records.map((record, index) => {
    const [date, name] = [record['date'], record['name']];
    if (date === undefined || parseDate(date) === null) throw refuse(`line ${String(index + 2)} has no day in the column date.`);
    return { date, name: name === undefined || name === '' ? 'Holiday' : name };
  });
}
