import { Cron } from 'croner';
import { DateTime } from 'luxon';
import type { Instant, PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatInstant, parseInstant } from '../expression/durations.ts';
import { instantInZone, isZone, offsetAt } from '../expression/zones.ts';

const MINUTE_MS = 60_000;
/** No zone changes its clocks twice within a week. */
const STEP_MS = 7 * 86_400_000;

/**
 * The first instant after `after` that a five-field cron pattern names in a zone; null when there is none. Times that a clock change skips
 * are met at the first valid instant after the gap, times that happen twice at their first occurrence; where the pattern has `*` for the
 * minute or the hour, intervals count elapsed time (quality.md, 3): at both, and with `*` for the hour nothing is made up for after a gap.
 * The pattern is asked for times that the wall shows, and the zone's clocks say when that is: croner's own reckoning with zones meets
 * several times of a gap an hour late, and others outside of their hour. Throws metadata_invalid for a wrong pattern or zone.
 */
export function nextCronInstant(pattern: string, zone: string, after: Instant): Instant | null {
  const cron = parseCron(pattern, zone);
  const from = parseInstant(after);
  if (from === null) throw new RangeError(`Not an instant: ${after}`);
  const [minutes = '', hours = ''] = pattern.trim().split(/\s+/);
  if (!minutes.includes('*') && !hours.includes('*')) return nextFixed(cron, zone, from);
  const next = nextInterval(cron, zone, from, !hours.includes('*'));
  return next === null ? null : formatInstant(next);
}

/** The next time that the wall shows after a wall time, both as if they were UTC. */
function nextWall(cron: Cron, wall: number): number | null {
  return cron.nextRun(new Date(wall))?.getTime() ?? null;
}

/** Wall times in their order lead to instants in the same order; several may lead to one. */
function nextFixed(cron: Cron, zone: string, from: number): Instant | null {
  for (let wall = nextWall(cron, from + offsetAt(from, zone) * MINUTE_MS); wall !== null; wall = nextWall(cron, wall)) {
    const text = new Date(wall).toISOString();
    const instant = instantInZone(text.slice(0, 10), text.slice(11, 16), zone);
    if (instant === null) return null;
    if ((parseInstant(instant) ?? 0) > from) return instant;
  }
  return null;
}

/** From one clock change to the next, times are as far apart as on the wall. */
function nextInterval(cron: Cron, zone: string, from: number, makesUp: boolean): number | null {
  let offset = offsetAt(from, zone) * MINUTE_MS;
  let [at, wall] = [from, nextWall(cron, from + offset)];
  while (wall !== null) {
    const change = nextChange(zone, at, wall - offset);
    if (change === null) return wall - offset;
    const now = offsetAt(change, zone) * MINUTE_MS;
    // The wall jumps to `change + now`; it did not show what it should have before.
    if (makesUp && wall < change + now) return change;
    [at, offset] = [change, now];
    wall = nextWall(cron, change + now - 1);
  }
  return null;
}

/** The first clock change after an instant and not after another; null when there is none. */
function nextChange(zone: string, after: number, until: number): number | null {
  const offset = offsetAt(after, zone);
  for (let low = after; low < until; low += STEP_MS) {
    let [same, other] = [low, Math.min(low + STEP_MS, until)];
    if (offsetAt(other, zone) === offset) continue;
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (offsetAt(middle, zone) === offset) same = middle;
      else other = middle;
    }
    return other;
  }
  return null;
}

/** True when the wall in the zone showed the same time before, for clocks were set back in between. */
export function isSecondOccurrence(instant: Date | Instant, zone: string): boolean {
  const local = DateTime.fromMillis(new Date(instant).getTime(), { zone });
  return local.getPossibleOffsets().some((other) => other < local);
}

/** Throws metadata_invalid when the pattern or the zone is wrong. */
export function checkCron(pattern: string, zone: string): void {
  parseCron(pattern, zone);
}

/** The pattern over times that a wall shows, which are taken for UTC. */
function parseCron(pattern: string, zone: string): Cron {
  if (!isZone(zone)) throw new AppError('metadata_invalid', `'${zone}' is not a time zone. Use an IANA name such as 'America/New_York'.`);
  try {
    return new Cron(pattern, { timezone: 'UTC', paused: true, mode: '5-part' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('metadata_invalid', `'${pattern}' is not a cron pattern (${reason}). Write minute, hour, day, month, weekday: '0 8 * * 1-5'.`, {
      cause: error,
    });
  }
}

/** The instant of a local day and time by the same policy; null when a part is wrong. */
export function nextLocal(date: PlainDate, time: string, zone: string): Instant | null {
  return instantInZone(date, time, zone);
}
