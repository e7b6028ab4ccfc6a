import type { PlainDate } from '../clock.ts';

/**
 * Days as text (YYYY-MM-DD, years 0001 to 9999) and arithmetic on them. Everything is total: a result that is not a
 * day of those years is null, as is input that is not a day.
 */
export interface CivilDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Number of days of a month (1 to 12). */
export function daysInMonth(year: number, month: number): number {
  if (month === 2 && ((year % 4 === 0 && year % 100 !== 0) || year % 400 === 0)) return 29;
  return MONTH_DAYS[month - 1] ?? 0;
}

/** The parts of a day, or null when the text is not one. */
export function parseDate(text: string): CivilDate | null {
  const match = DATE.exec(text);
  if (match === null) return null;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month) ? { year, month, day } : null;
}

function two(value: number): string {
  return value < 10 ? `0${String(value)}` : String(value);
}

/** The text of a day. */
export function formatDate(date: CivilDate): PlainDate {
  return `${String(date.year).padStart(4, '0')}-${two(date.month)}-${two(date.day)}`;
}

/** Days since 1970-01-01. */
export function dayNumber(date: CivilDate): number {
  const year = date.month <= 2 ? date.year - 1 : date.year;
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear = Math.floor((153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5) + date.day - 1;
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}

const FIRST_DAY = -719_162;
const LAST_DAY = 2_932_896;

/** The day of that number, or null outside the years 1 to 9999. */
export function fromDayNumber(number: number): PlainDate | null {
  if (!Number.isInteger(number) || number < FIRST_DAY || number > LAST_DAY) return null;
  const shifted = number + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return formatDate({ year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day });
}

/** ISO weekday: 1 = Monday. */
export function weekdayOf(number: number): number {
  return ((((number + 3) % 7) + 7) % 7) + 1;
}

/** `days` later (earlier when negative). */
export function addDays(date: PlainDate, days: number): PlainDate | null {
  const parts = parseDate(date);
  return parts === null ? null : fromDayNumber(dayNumber(parts) + days);
}

/** `months` later; a day that the month lacks becomes its last one. */
export function addMonths(date: PlainDate, months: number): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null || !Number.isInteger(months)) return null;
  const total = parts.year * 12 + parts.month - 1 + months;
  const year = Math.floor(total / 12);
  if (year < 1 || year > 9999) return null;
  const month = total - year * 12 + 1;
  return formatDate({ year, month, day: Math.min(parts.day, daysInMonth(year, month)) });
}

/** Days from `from` to `to`; negative when `to` is earlier. */
export function daysBetween(from: PlainDate, to: PlainDate): number | null {
  const [first, second] = [parseDate(from), parseDate(to)];
  return first === null || second === null ? null : dayNumber(second) - dayNumber(first);
}

/** Whole months from `from` to `to`: the greatest m with `addMonths(from, m) <= to`; mirrored when `to` is earlier. */
export function monthsBetween(from: PlainDate, to: PlainDate): number | null {
  if (to < from) {
    const back = monthsBetween(to, from);
    return back === null || back === 0 ? back : -back;
  }
  const [first, second] = [parseDate(from), parseDate(to)];
  if (first === null || second === null) return null;
  const months = (second.year - first.year) * 12 + second.month - first.month;
  return second.day < Math.min(first.day, daysInMonth(second.year, second.month)) ? months - 1 : months;
}

/** The day with these parts, or null when there is none. */
export function dateOf(year: number, month: number, day: number): PlainDate | null {
  const isDay = year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month);
  return isDay ? formatDate({ year, month, day }) : null;
}

/** First day of the month, quarter or year. */
export function startOf(date: PlainDate, months: 1 | 3 | 12): PlainDate | null {
  const parts = parseDate(date);
  return parts === null ? null : formatDate({ year: parts.year, month: parts.month - ((parts.month - 1) % months), day: 1 });
}

/** Last day of the month, quarter or year. */
export function endOf(date: PlainDate, months: 1 | 3 | 12): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null) return null;
  const month = parts.month - ((parts.month - 1) % months) + months - 1;
  return formatDate({ year: parts.year, month, day: daysInMonth(parts.year, month) });
}

/** The first day after `date` (never itself) that is the ISO weekday `weekday`. */
export function nextWeekday(date: PlainDate, weekday: number): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null || !Number.isInteger(weekday) || weekday < 1 || weekday > 7) return null;
  const number = dayNumber(parts);
  return fromDayNumber(number + ((weekday - weekdayOf(number) + 6) % 7) + 1);
}

/** The last day before `date` (never itself) that is the ISO weekday `weekday`. */
export function previousWeekday(date: PlainDate, weekday: number): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null || !Number.isInteger(weekday) || weekday < 1 || weekday > 7) return null;
  const number = dayNumber(parts);
  return fromDayNumber(number - ((weekdayOf(number) - weekday + 6) % 7) - 1);
}

/** The Monday of its week. */
export function startOfWeek(date: PlainDate): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null) return null;
  const number = dayNumber(parts);
  return fromDayNumber(number - weekdayOf(number) + 1);
}

/** 1 for the first of January. */
export function dayOfYear(date: CivilDate): number {
  return dayNumber(date) - dayNumber({ year: date.year, month: 1, day: 1 }) + 1;
}

/** ISO 8601 week of the year: the week belongs to the year that holds its Thursday. */
export function isoWeek(date: CivilDate): number {
  const number = dayNumber(date);
  const thursday = number - weekdayOf(number) + 4;
  let first = dayNumber({ year: date.year, month: 1, day: 1 });
  if (thursday < first) first = dayNumber({ year: date.year - 1, month: 1, day: 1 });
  const next = dayNumber({ year: date.year + 1, month: 1, day: 1 });
  return Math.floor((thursday - (thursday >= next ? next : first)) / 7) + 1;
}

/** Fiscal year of a day when it begins with month `firstMonth`, named after the calendar year in which it ends. */
export function fiscalYear(date: PlainDate, firstMonth: number): number | null {
  const parts = parseDate(date);
  if (parts === null || !Number.isInteger(firstMonth) || firstMonth < 1 || firstMonth > 12) return null;
  return parts.year + (firstMonth > 1 && parts.month >= firstMonth ? 1 : 0);
}

/** First day of that fiscal year. */
export function fiscalYearStart(date: PlainDate, firstMonth: number): PlainDate | null {
  const parts = parseDate(date);
  if (parts === null || !Number.isInteger(firstMonth) || firstMonth < 1 || firstMonth > 12) return null;
  return dateOf(parts.year - (parts.month < firstMonth ? 1 : 0), firstMonth, 1);
}
