import { Cron } from 'croner';
import { DateTime } from 'luxon';
import type { Instant, PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatInstant, parseInstant } from '../expression/durations.ts';
import { instantInZone, isZone } from '../expression/zones.ts';

/**
 * The first instant after `after` that a five-field cron pattern names in a zone; null when there is none. Times that a
 * clock change skips are met at the first valid instant after the gap, times that happen twice at their first occurrence, or
 * at both where the pattern has `*` for the minute or the hour: intervals count elapsed time (quality.md, 3). Throws metadata_invalid for a wrong pattern or zone.
 */
export function nextCronInstant(pattern: string, zone: string, after: Instant): Instant | null {
  const cron = parseCron(pattern, zone);
  const from = parseInstant(after);
  if (from === null) throw new RangeError(`Not an instant: ${after}`);
  let next = cron.nextRun(new Date(from));
  // croner meets times of a pattern with several minutes or hours at both their occurrences.
  if (isFixed(pattern)) while (next !== null && isSecondOccurrence(next, zone)) next = cron.nextRun(next);
  return next === null ? null : formatInstant(next.getTime());
}

/** True for a pattern that names its minutes and hours; one with `*` in either counts the time that passes. */
function isFixed(pattern: string): boolean {
  const [minutes = '', hours = ''] = pattern.trim().split(/\s+/);
  return !minutes.includes('*') && !hours.includes('*');
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

function parseCron(pattern: string, zone: string): Cron {
  if (!isZone(zone)) throw new AppError('metadata_invalid', `'${zone}' is not a time zone. Use an IANA name such as 'America/New_York'.`);
  try {
    return new Cron(pattern, { timezone: zone, paused: true, mode: '5-part' });
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
