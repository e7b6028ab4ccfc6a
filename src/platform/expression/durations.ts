import type { Instant, PlainDate } from '../clock.ts';
import { addDays, addMonths } from './dates.ts';

/** An ISO 8601 duration, or `PnBD` for business days. */
export interface Duration {
  readonly sign: 1 | -1;
  readonly months: number;
  readonly days: number;
  readonly businessDays: number;
  readonly seconds: number;
}

// The digits are few so that nothing overflows; the SQL back end uses the same pattern (functions/date.sql.ts).
const ISO = /^(-?)P(?!$)(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,4})W)?(?:(\d{1,6})D)?(?:T(?!$)(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?$/;
const BUSINESS = /^(-?)P(\d{1,5})BD$/;

/** The parts of a duration, or null when the text is not one. */
export function parseDuration(text: string): Duration | null {
  const business = BUSINESS.exec(text);
  if (business !== null) return { sign: business[1] === '-' ? -1 : 1, months: 0, days: 0, businessDays: Number(business[2]), seconds: 0 };
  const match = ISO.exec(text);
  if (match === null) return null;
  const part = (index: number): number => Number(match[index] ?? 0);
  return {
    sign: match[1] === '-' ? -1 : 1,
    months: part(2) * 12 + part(3),
    days: part(4) * 7 + part(5),
    businessDays: 0,
    seconds: part(6) * 3600 + part(7) * 60 + part(8),
  };
}

/** A duration as signed amounts; `isBusiness` tells `P0BD` from `P0D`. */
export interface Amounts {
  readonly months: number;
  readonly days: number;
  readonly seconds: number;
  readonly businessDays: number;
  readonly isBusiness: boolean;
}

/** The amounts of a duration, or null when the text is not one. */
export function amountsOf(text: string): Amounts | null {
  const parts = parseDuration(text);
  if (parts === null) return null;
  const { sign, months, days, seconds, businessDays } = parts;
  // Adding 0 makes 0 of -0.
  return {
    months: sign * months + 0,
    days: sign * days + 0,
    seconds: sign * seconds + 0,
    businessDays: sign * businessDays + 0,
    isBusiness: text.endsWith('BD'),
  };
}

/**
 * The text of a duration: years and months, days, hours to seconds. Null when an amount is too large to be written, or
 * when amounts of different signs cannot be written as one duration.
 */
export function formatDuration(amounts: Amounts): string | null {
  const { months, days, seconds, businessDays } = amounts;
  if (amounts.isBusiness) return Math.abs(businessDays) > 99_999 ? null : `${businessDays < 0 ? '-' : ''}P${String(Math.abs(businessDays))}BD`;
  const isNegative = Math.min(months, days, seconds) < 0;
  if (isNegative && Math.max(months, days, seconds) > 0) return null;
  const [m, d, s] = [Math.abs(months), Math.abs(days), Math.abs(seconds)];
  if (m > 119_999 || d > 999_999 || s > 3_599_999_999) return null;
  const part = (amount: number, unit: string): string => (amount === 0 ? '' : String(amount) + unit);
  const date = part(Math.floor(m / 12), 'Y') + part(m % 12, 'M') + part(d, 'D');
  const time = part(Math.floor(s / 3600), 'H') + part(Math.floor((s % 3600) / 60), 'M') + part(s % 60, 'S');
  const text = date + (time === '' ? '' : `T${time}`);
  return `${isNegative ? '-' : ''}P${text === '' ? '0D' : text}`;
}

/** The sum of two durations; null when it cannot be written as one, as of months and business days. */
export function addDurations(left: string, right: string): string | null {
  const [first, second] = [amountsOf(left), amountsOf(right)];
  if (first === null || second === null || first.isBusiness !== second.isBusiness) return null;
  return formatDuration({
    months: first.months + second.months,
    days: first.days + second.days,
    seconds: first.seconds + second.seconds,
    businessDays: first.businessDays + second.businessDays,
    isBusiness: first.isBusiness,
  });
}

/** A duration a whole number of times. */
export function multiplyDuration(duration: string, times: number): string | null {
  const amounts = amountsOf(duration);
  if (amounts === null) return null;
  const { months, days, seconds, businessDays, isBusiness } = amounts;
  return formatDuration({ months: months * times, days: days * times, seconds: seconds * times, businessDays: businessDays * times, isBusiness });
}

/** The same duration backwards, as it is written. */
export function negateDuration(duration: string): string | null {
  if (parseDuration(duration) === null) return null;
  return duration.startsWith('-') ? duration.slice(1) : `-${duration}`;
}

/**
 * A day moved by a duration of years, months (clamped to the month's end), weeks and days. Null when the duration
 * has hours or business days, which a bare day cannot take (business days need a calendar), or is not one.
 */
export function addDuration(date: PlainDate, duration: string): PlainDate | null {
  const parts = parseDuration(duration);
  if (parts === null || parts.seconds !== 0 || parts.businessDays !== 0 || /[TB]/.test(duration)) return null;
  const moved = addMonths(date, parts.sign * parts.months);
  return moved === null ? null : addDays(moved, parts.sign * parts.days);
}

const LAST_INSTANT = 253_402_300_799_999;
const FIRST_INSTANT = -62_135_596_800_000;

/** RFC 3339 text of an instant of the years 1 to 9999, else null. */
export function formatInstant(ms: number): Instant | null {
  if (!Number.isInteger(ms) || ms < FIRST_INSTANT || ms > LAST_INSTANT) return null;
  return new Date(ms).toISOString();
}

/** Milliseconds of an RFC 3339 instant, or null when the text is not one. */
export function parseInstant(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** An instant moved by elapsed time (weeks, days of 24 hours, hours, minutes, seconds); months and business days give null. */
export function addElapsed(instant: Instant, duration: string): Instant | null {
  const parts = parseDuration(duration);
  const ms = parseInstant(instant);
  if (parts === null || ms === null || /[YMB]/.test(duration.replace(/T.*/, ''))) return null;
  return formatInstant(ms + parts.sign * (parts.days * 86_400 + parts.seconds) * 1000);
}
