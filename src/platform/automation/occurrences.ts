import { DateTime } from 'luxon';
import { isSecondOccurrence, nextCronInstant } from '../calendar/recurrence.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { isAppError } from '../errors.ts';
import { addDuration, parseDuration } from '../expression/durations.ts';
import { dayInZone } from '../expression/zones.ts';
import type { CalendarLookup } from '../expression/types.ts';
import type { RuleTrigger } from '../metadata/types.ts';

/** What is wrong with a cron pattern of five fields and its zone, or null. */
export function cronComplaint(pattern: string, zone: string): string | null {
  try {
    return nextCronInstant(pattern, zone, '2000-01-01T00:00:00.000Z') === null ? `"${pattern}" never happens.` : null;
  } catch (error) {
    if (!isAppError(error, 'metadata_invalid')) throw error;
    return error.message;
  }
}

/** Occurrences from `first` up to and including `until`, oldest first; at most `limit`, the newest ones. */
export function occurrencesUntil(
  pattern: string,
  zone: string,
  first: Instant,
  until: Instant,
  limit: number,
): { readonly list: readonly Instant[]; readonly next: Instant | null; readonly dropped: number } {
  const list: Instant[] = [];
  let dropped = 0;
  let current: Instant | null = first;
  while (current !== null && current <= until) {
    list.push(current);
    if (list.length > limit) {
      list.shift();
      dropped += 1;
    }
    current = nextCronInstant(pattern, zone, current);
  }
  return { list, next: current, dropped };
}

/**
 * Wall time of an instant in a zone, `2026-03-08T03:00`: part of the key of a scheduled run. Where clocks are set back the same
 * wall time comes twice; the second has its offset too, `2026-11-01T01:30-05:00`, so that intervals count elapsed time
 * (quality.md, 3) and each occurrence keeps a key of its own.
 */
export function localText(instant: Instant, zone: string): string {
  const local = DateTime.fromISO(instant, { zone });
  return local.toFormat(isSecondOccurrence(instant, zone) ? "yyyy-MM-dd'T'HH:mmZZ" : "yyyy-MM-dd'T'HH:mm");
}

type DateTrigger = Extract<RuleTrigger, { date: string }>;

/** The instant at which a date rule fires for one anchor and offset, or null when there is none. */
export function fireInstant(trigger: DateTrigger, offset: string, anchor: string, calendars: CalendarLookup): Instant | null {
  const calendar = trigger.calendar ?? calendars.planCalendar;
  const day = anchorDay(anchor, calendars);
  const moved = day === null ? null : moveDay(day, offset, calendars, calendar);
  return moved === null ? null : calendars.at(moved, trigger.at, calendar);
}

/** The day of an anchor: a date itself, an instant in the plan's zone. */
export function anchorDay(anchor: string, calendars: CalendarLookup): PlainDate | null {
  return anchor.length === 10 ? anchor : dayInZone(anchor, calendars.planZone);
}

function moveDay(day: PlainDate, offset: string, calendars: CalendarLookup, calendar: string): PlainDate | null {
  const parts = parseDuration(offset);
  if (parts === null) return null;
  return parts.businessDays === 0 ? addDuration(day, offset) : calendars.addBusinessDays(day, parts.sign * parts.businessDays, calendar);
}

/**
 * Days between which anchors lie that can fire between two days: a little wider than exact, for months and business
 * days cannot be turned back; each candidate is then computed with `fireInstant`.
 */
export function anchorRange(offset: string, firstDay: PlainDate, lastDay: PlainDate): { readonly from: PlainDate; readonly to: PlainDate } {
  const parts = parseDuration(offset);
  if (parts === null) throw new RangeError(`Not a duration: ${offset}`);
  const approximate = parts.days + Math.round(parts.businessDays * 1.45);
  const slack = 1 + (parts.months > 0 ? 3 : 0) + (parts.businessDays > 0 ? 7 + Math.ceil(parts.businessDays * 0.2) : 0);
  const months = -parts.sign * parts.months;
  return { from: shift(firstDay, months, -parts.sign * approximate - slack), to: shift(lastDay, months, -parts.sign * approximate + slack) };
}

function shift(day: PlainDate, months: number, days: number): PlainDate {
  const byMonths = addDuration(day, `${months < 0 ? '-' : ''}P${String(Math.abs(months))}M`);
  const moved = byMonths === null ? null : addDuration(byMonths, `${days < 0 ? '-' : ''}P${String(Math.abs(days))}D`);
  if (moved === null) throw new RangeError(`No such day: ${day} moved by ${String(months)} months, ${String(days)} days.`);
  return moved;
}
