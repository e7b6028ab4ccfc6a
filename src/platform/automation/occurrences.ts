import { Cron } from 'croner';
import { DateTime } from 'luxon';
import type { Instant, PlainDate } from '../clock.ts';
import { addDuration, parseDuration } from '../expression/durations.ts';
import { dayInZone, isZone } from '../expression/zones.ts';
import type { CalendarLookup } from '../expression/types.ts';
import type { RuleTrigger } from '../metadata/types.ts';

/** What is wrong with a cron pattern of five fields and its zone, or null. */
export function isCronPattern(pattern: string, zone: string): string | null {
  if (!isZone(zone)) return `"${zone}" is not a time zone.`;
  if (pattern.trim().split(/\s+/).length !== 5) return `"${pattern}" must have five fields: minute, hour, day of month, month, day of week.`;
  try {
    return new Cron(pattern, { timezone: zone, paused: true }).nextRun(new Date('2000-01-01T00:00:00Z')) === null ? `"${pattern}" never happens.` : null;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `"${pattern}" is not a cron pattern: ${error.message}.`;
  }
}

/** First occurrence after an instant, or null when there is none. A time that a clock change leaves out moves to after the gap; one that happens twice means the first. */
export function nextOccurrence(pattern: string, zone: string, after: Instant): Instant | null {
  return new Cron(pattern, { timezone: zone, paused: true }).nextRun(new Date(after))?.toISOString() ?? null;
}

/** Occurrences from `first` up to and including `until`, oldest first; at most `limit`, the newest ones. */
export function occurrencesUntil(
  pattern: string,
  zone: string,
  first: Instant,
  until: Instant,
  limit: number,
): { readonly list: readonly Instant[]; readonly next: Instant | null; readonly dropped: number } {
  const cron = new Cron(pattern, { timezone: zone, paused: true });
  const list: Instant[] = [];
  let dropped = 0;
  let current: Date | null = new Date(first);
  const end = new Date(until);
  while (current !== null && current <= end) {
    list.push(current.toISOString());
    if (list.length > limit) {
      list.shift();
      dropped += 1;
    }
    current = cron.nextRun(current);
  }
  return { list, next: current?.toISOString() ?? null, dropped };
}

/** Wall time of an instant in a zone, `2026-03-08T03:00`: part of the key of a scheduled run. */
export function localText(instant: Instant, zone: string): string {
  return DateTime.fromISO(instant, { zone }).toFormat("yyyy-MM-dd'T'HH:mm");
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
