import type { PlainDate } from '../clock.ts';
import { addDays, addMonths, dateOf, dayNumber, daysBetween, endOf, fromDayNumber, monthsBetween, parseDate, startOf, weekdayOf } from '../expression/dates.ts';

/** Days that come again, as `parseRepeated` reads them from words. */
export type RepeatedDays =
  /** Every so many days from a day on. */
  | { readonly kind: 'days'; readonly every: number; readonly from: PlainDate }
  /** Every so many months from a day on; a day that a month lacks is its last one. */
  | { readonly kind: 'months'; readonly every: number; readonly from: PlainDate }
  /** One day of each period: of every month, quarter or year, or of one month of each year. */
  | { readonly kind: 'within'; readonly months: 1 | 3 | 12; readonly month: number | null; readonly pick: Pick };

/** Which day of a period; counted from its end when `nth` is negative. */
type Pick = { readonly day: 'weekday'; readonly weekday: number; readonly nth: number } | { readonly day: 'any' | 'business'; readonly nth: number };

const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'];
const ORDINALS: Readonly<Record<string, number>> = { first: 1, second: 2, third: 3, fourth: 4, fifth: 5, last: -1 };
const UNITS: Readonly<Record<string, readonly ['days' | 'months', number]>> = {
  day: ['days', 1],
  week: ['days', 7],
  month: ['months', 1],
  quarter: ['months', 3],
  year: ['months', 12],
};
const ADVERBS: Readonly<Record<string, string>> = { daily: 'day', weekly: 'week', monthly: 'month', quarterly: 'quarter', yearly: 'year' };
/** A Monday long ago: every week is counted from it. */
const A_MONDAY = '2001-01-01';
/** A fifth Friday of February comes once in 28 years, but for a century without a leap day. */
const LONGEST_YEARS = 60;

/**
 * Reads days that come again: `every tuesday`, `every second tuesday from 2026-01-06`, `every 10 days from 2026-01-06`, `quarterly from
 * 2026-01-31`, `second tuesday of the month`, `last business day of the quarter`, `day 15 of the month`, `last friday of november`,
 * `third monday of april`. Null when the words are none of these. Pure.
 */
export function parseRepeated(words: string): RepeatedDays | null {
  const text = words.trim().toLowerCase().replace(/\s+/g, ' ');
  return readInterval(text) ?? readWithin(text);
}

function readInterval(text: string): RepeatedDays | null {
  const weekday = /^every (monday|tuesday|wednesday|thursday|friday|saturday|sunday)$/.exec(text);
  if (weekday !== null) return onWeekdays(weekday[1] ?? '', 1, A_MONDAY);
  const [, body = '', from = ''] = /^(.+) from (\d{4}-\d{2}-\d{2})$/.exec(text) ?? [];
  if (parseDate(from) === null) return null;
  const which = /^every (second|third|fourth|fifth) (monday|tuesday|wednesday|thursday|friday|saturday|sunday)$/.exec(body);
  if (which !== null) return onWeekdays(which[2] ?? '', ORDINALS[which[1] ?? ''] ?? 1, from);
  const many = /^every (\d{1,4}) (day|week|month|quarter|year)s$/.exec(body);
  const unit = UNITS[ADVERBS[body] ?? many?.[2] ?? ''];
  const count = Number(many?.[1] ?? 1);
  return unit === undefined || count === 0 ? null : { kind: unit[0], every: unit[1] * count, from };
}

/** From the first such weekday on or after a day. */
function onWeekdays(name: string, weeks: number, from: PlainDate): RepeatedDays | null {
  const parts = parseDate(from);
  if (parts === null) return null;
  const number = dayNumber(parts);
  const first = fromDayNumber(number + ((WEEKDAYS.indexOf(name) + 1 - weekdayOf(number) + 7) % 7));
  return first === null ? null : { kind: 'days', every: 7 * weeks, from: first };
}

function readWithin(text: string): RepeatedDays | null {
  const [, what = '', period = ''] = /^(?:the )?(.+) of (?:the |every |each )?([a-z]+)$/.exec(text) ?? [];
  const month = MONTHS.indexOf(period) + 1;
  const months = month > 0 || period === 'year' ? 12 : period === 'quarter' ? 3 : period === 'month' ? 1 : null;
  const pick = readPick(what);
  return months === null || pick === null ? null : { kind: 'within', months, month: month > 0 ? month : null, pick };
}

function readPick(what: string): Pick | null {
  const day = /^day (\d{1,3})$/.exec(what);
  if (day !== null) return Number(day[1]) === 0 ? null : { day: 'any', nth: Number(day[1]) };
  const [, ordinal = '', kind = ''] = /^(first|second|third|fourth|fifth|last) (.+)$/.exec(what) ?? [];
  const nth = ORDINALS[ordinal] ?? 0;
  if (nth === 0) return null;
  if (kind === 'day') return { day: 'any', nth };
  if (kind === 'business day') return { day: 'business', nth };
  const weekday = WEEKDAYS.indexOf(kind) + 1;
  return weekday === 0 ? null : { day: 'weekday', weekday, nth };
}

/**
 * The first of the days after a day (never itself); null when there is none, or none that the calendar knows. Pure.
 * @param isBusinessDay asked for business days only; null beyond what is known
 */
export function nextRepeated(days: RepeatedDays, after: PlainDate, isBusinessDay: (day: PlainDate) => boolean | null): PlainDate | null {
  if (days.kind === 'within') return nextWithin(days, after, isBusinessDay);
  if (after < days.from) return days.from;
  if (days.kind === 'days') {
    const passed = daysBetween(days.from, after);
    return passed === null ? null : addDays(days.from, (Math.floor(passed / days.every) + 1) * days.every);
  }
  const passed = monthsBetween(days.from, after);
  if (passed === null) return null;
  // A month's last day may come before as many whole months have passed as lead to it.
  for (let count = Math.floor(passed / days.every); ; count += 1) {
    const day = addMonths(days.from, count * days.every);
    if (day === null || day > after) return day;
  }
}

function nextWithin(
  { months, month, pick }: Extract<RepeatedDays, { kind: 'within' }>,
  after: PlainDate,
  isBusinessDay: (day: PlainDate) => boolean | null,
): PlainDate | null {
  const year = Number(after.slice(0, 4));
  let start = month === null ? startOf(after, months) : dateOf(year, month, 1);
  for (let count = 0; start !== null && count <= (LONGEST_YEARS * 12) / months; count += 1) {
    const end = endOf(start, month === null ? months : 1);
    const day = end === null ? null : pickDay(pick, start, end, isBusinessDay);
    if (day === undefined) return null;
    if (day !== null && day > after) return day;
    start = addMonths(start, months);
  }
  return null;
}

/** The day of one period; null when it has none, undefined when that is not known. */
function pickDay(pick: Pick, start: PlainDate, end: PlainDate, isBusinessDay: (day: PlainDate) => boolean | null): PlainDate | null | undefined {
  const length = (daysBetween(start, end) ?? 0) + 1;
  if (pick.day === 'any') return addDays(start, pick.nth > 0 ? Math.min(pick.nth, length) - 1 : length + pick.nth);
  if (pick.day === 'weekday') {
    const first = parseDate(start);
    if (first === null) return null;
    const offset = (pick.weekday - weekdayOf(dayNumber(first)) + 7) % 7;
    const count = Math.floor((length - 1 - offset) / 7) + 1;
    const place = pick.nth > 0 ? pick.nth - 1 : count + pick.nth;
    return place < 0 || place >= count ? null : addDays(start, offset + 7 * place);
  }
  let left = Math.abs(pick.nth);
  for (let step = 0; step < length; step += 1) {
    const day = addDays(start, pick.nth > 0 ? step : length - 1 - step);
    const isOpen = day === null ? null : isBusinessDay(day);
    if (isOpen === null) return undefined;
    if (isOpen) left -= 1;
    if (left === 0) return day;
  }
  return null;
}

/** Easter Sunday of a year, by the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8). */
export function easterSunday(year: number): PlainDate | null {
  const [a, b, c] = [year % 19, Math.floor(year / 100), year % 100];
  const [d, e] = [Math.floor(b / 4), b % 4];
  const g = Math.floor((b - Math.floor((b + 8) / 25) + 1) / 3);
  const h = (19 * a + b - d - g + 15) % 30;
  const l = (32 + 2 * e + 2 * Math.floor(c / 4) - h - (c % 4)) % 7;
  const m = Math.floor((a + 11 * h + 22 * l) / 451);
  const sum = h + l - 7 * m + 114;
  return dateOf(year, Math.floor(sum / 31), (sum % 31) + 1);
}
