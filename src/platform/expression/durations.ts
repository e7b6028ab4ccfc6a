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
