import { dayNumber, parseDate } from '../expression/dates.ts';
import { formatInstant, parseInstant } from '../expression/durations.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { offsetAt } from '../expression/zones.ts';

/** What working time is reckoned by: the working days by number, in order, and the hours on each. */
export interface WorkingDays {
  readonly zone: string;
  /** Null = round the clock. */
  readonly hours: { readonly start: string; readonly end: string } | null;
  readonly openDays: readonly number[];
  /** Days with hours of their own, by number: minutes of the day. */
  readonly special: ReadonlyMap<number, readonly [opens: number, closes: number]>;
}

/** The clock changes of a zone between the first and the last day that calendars know, with the offset from each on. */
interface ZoneTable {
  /** The first entry holds from the beginning. */
  readonly from: readonly number[];
  readonly offsets: readonly number[];
}

export interface WorkingTime {
  /** Milliseconds of working time from `a` to `b`; null when either lies beyond the days that calendars know. */
  between(a: Instant, b: Instant): number | null;
  /** The first instant by which `ms` of working time after `instant` have passed; null beyond those days. */
  add(instant: Instant, ms: number): Instant | null;
}

const DAY_MS = 86_400_000;
const tables = new Map<string, ZoneTable>();

/** Finds each clock change once, so that working time needs no look-up in the zone data for every day. */
function zoneTable(zone: string, firstMs: number, lastMs: number): ZoneTable {
  const known = tables.get(zone);
  if (known !== undefined) return known;
  const [from, offsets] = [[firstMs], [offsetAt(firstMs, zone) * 60_000]];
  // No zone changes twice within a week.
  for (let at = firstMs; at < lastMs; at += 7 * DAY_MS) {
    const [before, after] = [offsetAt(at, zone), offsetAt(at + 7 * DAY_MS, zone)];
    if (before === after) continue;
    let [low, high] = [at, at + 7 * DAY_MS];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle, zone) === before) low = middle;
      else high = middle;
    }
    from.push(high);
    offsets.push(after * 60_000);
  }
  const table = { from, offsets };
  tables.set(zone, table);
  return table;
}

/** Index of the last entry that is not above the value, in an ascending list; -1 when all are. */
function lastNotAbove(list: readonly number[], value: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function offsetOf(table: ZoneTable, ms: number): number {
  return table.offsets[Math.max(lastNotAbove(table.from, ms), 0)] ?? 0;
}

/** The instant of a local time, by the product's policy: the end of a gap, the first of two. */
function instantOf(table: ZoneTable, localMs: number): number {
  const index = Math.max(lastNotAbove(table.from, localMs - DAY_MS), 0);
  for (let next = index; next < table.from.length; next += 1) {
    const candidate = localMs - (table.offsets[next] ?? 0);
    const end = table.from[next + 1] ?? Number.POSITIVE_INFINITY;
    if (candidate < end) return Math.max(candidate, next === 0 ? candidate : (table.from[next] ?? candidate));
  }
  return localMs;
}

/** Minutes of the day of `HH:MM`. */
export function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

/**
 * Reckons the working time of a calendar. The hours of a day are one span, from the first instant of their beginning to that of
 * their end. The first question about a zone costs some milliseconds, each further one microseconds.
 */
export function makeWorkingTime(days: WorkingDays, first: PlainDate, last: PlainDate): WorkingTime {
  const [firstDay, lastDay] = [first, last].map((day) => {
    const parts = parseDate(day);
    return parts === null ? 0 : dayNumber(parts);
  });
  const table = (): ZoneTable => zoneTable(days.zone, ((firstDay ?? 0) - 2) * DAY_MS, ((lastDay ?? 0) + 2) * DAY_MS);
  const [opens, closes] = days.hours === null ? [0, 1440] : [minutesOf(days.hours.start), minutesOf(days.hours.end)];
  const windowOf = (day: number): readonly [number, number] => {
    const [from, until] = days.special.get(day) ?? [opens, closes];
    return [instantOf(table(), day * DAY_MS + from * 60_000), instantOf(table(), day * DAY_MS + until * 60_000)];
  };
  const nominal = (closes - opens) * 60_000;
  const dayOf = (ms: number): number | null => {
    const day = Math.floor((ms + offsetOf(table(), ms)) / DAY_MS);
    return day < (firstDay ?? 0) || day > (lastDay ?? 0) ? null : day;
  };
  /** Working time of all open days before the one with this index, from the first on: whole days, put right where clocks change and on days with hours of their own. */
  const cumulated = new Map<number, number>();
  const changes = (): readonly (readonly [number, number])[] => {
    const near = table()
      .from.slice(1)
      .flatMap((at) => [-1, 0, 1].map((beside) => Math.floor(at / DAY_MS) + beside));
    const found: (readonly [number, number])[] = [];
    for (const day of new Set([...near, ...days.special.keys()])) {
      const index = lastNotAbove(days.openDays, day);
      if (days.openDays[index] !== day) continue;
      const [start, end] = windowOf(day);
      if (end - start !== nominal) found.push([index, end - start - nominal]);
    }
    return found;
  };
  let corrections: readonly (readonly [number, number])[] | null = null;
  const before = (index: number): number => {
    const known = cumulated.get(index);
    if (known !== undefined) return known;
    corrections ??= changes();
    const sum = corrections.reduce((total, [at, difference]) => (at < index ? total + difference : total), index * nominal);
    cumulated.set(index, sum);
    return sum;
  };
  /** Working time from the first day up to an instant, or null beyond the days. */
  const upTo = (ms: number): number | null => {
    const day = dayOf(ms);
    if (day === null) return null;
    const index = lastNotAbove(days.openDays, day);
    if (index < 0) return 0;
    const [start, end] = windowOf(days.openDays[index] ?? 0);
    return before(index) + Math.min(Math.max(ms - start, 0), end - start);
  };
  return {
    between(a, b) {
      const [from, to] = [parseInstant(a), parseInstant(b)];
      const [first2, second] = [from === null ? null : upTo(from), to === null ? null : upTo(to)];
      return first2 === null || second === null ? null : second - first2;
    },
    add(instant, ms) {
      const from = parseInstant(instant);
      const done = from === null ? null : upTo(from);
      if (from === null || done === null) return null;
      if (ms === 0) return formatInstant(from);
      const wanted = done + ms;
      let [low, high] = [0, days.openDays.length];
      // The first open day by whose end the wanted working time has passed.
      while (low < high) {
        const middle = (low + high) >> 1;
        if (before(middle + 1) >= wanted) high = middle;
        else low = middle + 1;
      }
      const day = days.openDays[low];
      return day === undefined ? null : formatInstant(windowOf(day)[0] + wanted - before(low));
    },
  };
}
