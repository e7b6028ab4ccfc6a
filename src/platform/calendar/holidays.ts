import federal from '@18f/us-federal-holidays';
import { parse } from 'csv-parse/sync';
import type { PlainDate } from '../clock.ts';
import type { AppError } from '../errors.ts';
import { parseDate } from '../expression/dates.ts';

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
