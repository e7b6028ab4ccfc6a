import { Cron } from 'croner';
import type { Instant, PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatInstant, parseInstant } from '../expression/durations.ts';
import { instantInZone, isZone } from '../expression/zones.ts';

/**
 * The first instant after `after` that a five-field cron pattern names in a zone; null when there is none. Times that a
 * clock change skips are met at the first valid instant after the gap, times that happen twice at their first occurrence
 * (quality.md, 3). Throws metadata_invalid for a wrong pattern or zone.
 */
export function nextCronInstant(pattern: string, zone: string, after: Instant): Instant | null {
  const cron = parseCron(pattern, zone);
  const from = parseInstant(after);
  if (from === null) throw new RangeError(`Not an instant: ${after}`);
  const next = cron.nextRun(new Date(from));
  return next === null ? null : formatInstant(next.getTime());
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
