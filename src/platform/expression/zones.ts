import { DateTime, IANAZone } from 'luxon';
import type { Instant, PlainDate } from '../clock.ts';
import { formatInstant, parseInstant } from './durations.ts';
import { formatDate, parseDate } from './dates.ts';

const knownZones = new Set<string>();

/** True for a time zone that this machine's zone data knows. What was found good once is remembered: the question makes a formatter. */
export function isZone(zone: string): boolean {
  if (knownZones.has(zone)) return true;
  const isKnown = IANAZone.isValidZone(zone);
  if (isKnown) knownZones.add(zone);
  return isKnown;
}

/** An instant as the product writes it; no zone's day begins within a second. */
const INSTANT_SECOND = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.\d{3}Z$/;
let latest: { readonly second: string; readonly zone: string; readonly day: PlainDate | null } | null = null;

/** The local day of an instant, or null when either is wrong. The answer for the latest second is kept: every request asks for it. */
export function dayInZone(instant: Instant, zone: string): PlainDate | null {
  const second = INSTANT_SECOND.exec(instant)?.[1];
  if (second === undefined) return findDay(instant, zone);
  if (latest?.second !== second || latest.zone !== zone) latest = { second, zone, day: findDay(instant, zone) };
  return latest.day;
}

function findDay(instant: Instant, zone: string): PlainDate | null {
  const ms = parseInstant(instant);
  if (ms === null) return null;
  const local = DateTime.fromMillis(ms, { zone });
  return local.isValid && local.year >= 1 && local.year <= 9999 ? formatDate({ year: local.year, month: local.month, day: local.day }) : null;
}

/** Minutes east of UTC at an instant. */
export function offsetAt(ms: number, zone: string): number {
  return IANAZone.create(zone).offset(ms);
}

/**
 * The instant of a local day and time (`HH:MM` or `HH:MM:SS`). In the gap of a clock change it is the first instant
 * after the gap; a time that happens twice means its first occurrence (quality.md, 3). Null when any part is wrong.
 */
export function instantInZone(date: PlainDate, time: string, zone: string): Instant | null {
  const parts = parseDate(date);
  const clock = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(time);
  if (parts === null || clock === null || !isZone(zone)) return null;
  const wall = new Date(0);
  wall.setUTCFullYear(parts.year, parts.month - 1, parts.day);
  const wallMs = wall.getTime() + (Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3] ?? 0)) * 1000;
  const dayMs = 86_400_000;
  const before = offsetAt(wallMs - dayMs, zone) * 60_000;
  const after = offsetAt(wallMs + dayMs, zone) * 60_000;
  // The larger offset gives the earlier instant, so the first candidate that reads back as the wall time wins.
  for (const offset of before >= after ? [before, after] : [after, before]) {
    const candidate = wallMs - offset;
    if (offsetAt(candidate, zone) * 60_000 === offset) return formatInstant(candidate);
  }
  return formatInstant(firstInstantWith(after, wallMs - after, wallMs - before, zone));
}

/** The moment of the change between two instants: the first one at which `offsetMs` holds. */
function firstInstantWith(offsetMs: number, low: number, high: number, zone: string): number {
  let [from, to] = [Math.min(low, high) - 1, Math.max(low, high)];
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2);
    if (offsetAt(middle, zone) * 60_000 === offsetMs) to = middle;
    else from = middle;
  }
  return to;
}

/** Hour and minute of an instant on the clocks of a zone, or null when either is wrong. */
export function timeInZone(instant: Instant, zone: string): { readonly hour: number; readonly minute: number } | null {
  const ms = parseInstant(instant);
  const local = ms === null ? null : DateTime.fromMillis(ms, { zone });
  return local?.isValid === true ? { hour: local.hour, minute: local.minute } : null;
}
