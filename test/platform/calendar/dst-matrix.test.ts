import { expect } from 'chai';
import { nextCronInstant } from '../../../src/platform/calendar/recurrence.ts';

/** Zones with each kind of change: hour and half hour, both hemispheres, at midnight, by decree, at the day's end, none; odd offsets. */
const ZONES = [
  'America/New_York',
  'America/Chicago',
  'Australia/Lord_Howe',
  'America/Santiago',
  'Africa/Casablanca',
  'Asia/Beirut',
  'America/Havana',
  'America/Asuncion',
  'Europe/London',
  'Antarctica/Troll',
  'Africa/Cairo',
  'America/Nuuk',
  'Asia/Gaza',
  'America/St_Johns',
  'Australia/Adelaide',
  'Pacific/Chatham',
  'Pacific/Auckland',
  'Pacific/Norfolk',
  'Pacific/Easter',
  'Atlantic/Azores',
  'America/Denver',
  'America/Phoenix',
  'America/Los_Angeles',
  'America/Anchorage',
  'America/Adak',
  'Pacific/Honolulu',
  'America/Halifax',
  'America/Puerto_Rico',
  'America/Scoresbysund',
  'America/Miquelon',
  'America/Tijuana',
  'Europe/Berlin',
  'Europe/Lisbon',
  'Europe/Chisinau',
  'Asia/Jerusalem',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Australia/Sydney',
  'Pacific/Kiritimati',
  'UTC',
] as const;

/** Minute, hour, day, month, weekday. The last four have a `*` for the minute or the hour: their intervals count the time that passes. */
const PATTERNS = [
  '0 0 * * *',
  '30 0 * * *',
  '30 1 * * *',
  '0 2 * * *',
  '30 2 * * *',
  '59 2 * * *',
  '0 3 * * *',
  '0 8 * * 1-5',
  '15,45 1-3 * * 0',
  '0 0,12 * * 6',
  '30 23 * * 0',
  '0 9 1 * *',
  '30 2 8 * *',
  '0 2 29 2 *',
  '45 1 31 * *',
  '0 0 1 1,4,7,10 *',
  '*/15 * * * *',
  '30 * * * *',
  '5 */2 * * *',
  '* 2 * * *',
] as const;

const zones = ZONES.slice(0, Number(process.env['DST_ZONES'] ?? 4));
const [firstYear, lastYear] = [2026, Number(process.env['DST_LAST_YEAR'] ?? 2027)];
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** Around each change of the clocks, and at the beginning of each year, patterns of intervals are looked at for so many days. */
const NEAR_DAYS = 2;

interface Span {
  readonly from: number;
  readonly until: number;
  /** Minutes that the wall is ahead of UTC. */
  readonly offset: number;
}

/** Spans of one offset, found by asking for the wall time of every hour, and of every minute where it jumps. */
function spansOf(zone: string, from: number, until: number): readonly Span[] {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const offsetAt = (ms: number): number => {
    const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    return (Date.UTC(part['year'] ?? 0, (part['month'] ?? 1) - 1, part['day'], part['hour'], part['minute']) - ms) / MINUTE;
  };
  const spans: Span[] = [];
  let [start, offset] = [from, offsetAt(from)];
  for (let hour = from; hour < until; hour += 60 * MINUTE) {
    if (offsetAt(hour + 60 * MINUTE) === offset) continue;
    for (let minute = hour; minute <= hour + 60 * MINUTE; minute += MINUTE) {
      const now = offsetAt(minute);
      if (now === offset) continue;
      spans.push({ from: start, until: minute, offset });
      [start, offset] = [minute, now];
    }
  }
  return [...spans, { from: start, until, offset }];
}

/** The values that a part of a pattern names. */
function valuesOf(part: string, first: number, last: number): ReadonlySet<number> {
  return new Set(
    part.split(',').flatMap((item) => {
      const [range = '*', step] = item.split('/');
      const [low, high] = range === '*' ? [first, last] : range.split('-').map(Number);
      const end = high ?? (step === undefined ? low : last);
      const found: number[] = [];
      for (let value = low ?? 0; value <= (end ?? 0); value += Number(step ?? 1)) found.push(value);
      return found;
    }),
  );
}

/** Whether a wall time, as the minutes since 1970 that the wall shows, is named by a pattern. */
function makeNames(pattern: string): (wall: number) => boolean {
  const [minutes = '', hours = '', days = '', months = '', weekdays = ''] = pattern.split(' ');
  const at = [valuesOf(minutes, 0, 59), valuesOf(hours, 0, 23), valuesOf(days, 1, 31), valuesOf(months, 1, 12), valuesOf(weekdays, 0, 6)] as const;
  const dayKnown = new Map<number, boolean>();
  return (wall) => {
    if (!at[0].has(wall % 60) || !at[1].has(Math.floor(wall / 60) % 24)) return false;
    const day = Math.floor(wall / 1440);
    const known = dayKnown.get(day);
    if (known !== undefined) return known;
    const date = new Date(wall * MINUTE);
    const [isDay, isWeekday] = [at[2].has(date.getUTCDate()), at[4].has(date.getUTCDay())];
    const either = days !== '*' && weekdays !== '*' ? isDay || isWeekday : isDay && isWeekday;
    const found = either && at[3].has(date.getUTCMonth() + 1);
    dayKnown.set(day, found);
    return found;
  };
}

/**
 * What a pattern names from one instant up to another, by walking over every minute (quality.md, 3): a time that the wall skips is met at the
 * first instant after the gap, but with `*` for the hour; one that it shows twice at the first, or at both where the pattern counts intervals.
 */
function walk(pattern: string, spans: readonly Span[], from: number, until: number): readonly number[] {
  const names = makeNames(pattern);
  const [minutes = '', hours = ''] = pattern.split(' ');
  const isFixed = !minutes.includes('*') && !hours.includes('*');
  const found = new Set<number>();
  /** The latest wall time that was shown before the span. */
  let shown = -Infinity;
  for (const span of spans) {
    if (Number.isFinite(shown) && !hours.includes('*'))
      for (let wall = shown + 1; wall < span.from / MINUTE + span.offset; wall += 1) if (names(wall)) found.add(span.from);
    for (let at = span.from; at < span.until; at += MINUTE) {
      const wall = at / MINUTE + span.offset;
      if (names(wall) && (wall > shown || !isFixed)) found.add(at);
    }
    shown = Math.max(shown, span.until / MINUTE - 1 + span.offset);
  }
  return [...found].filter((at) => at > from && at < until).sort((a, b) => a - b);
}

function text(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

describe('schedules across changes of the clocks (quality.md, row 22)', () => {
  const [from, until] = [Date.UTC(firstYear, 0, 1), Date.UTC(lastYear + 1, 0, 1)];
  let occurrences = 0;
  after(() => {
    if (process.env['DST_ZONES'] !== undefined)
      process.stdout.write(
        `      ${String(zones.length)} zones x ${String(PATTERNS.length)} patterns, ${String(firstYear)}-${String(lastYear)}: ${String(occurrences)} occurrences equal to the walk\n`,
      );
  });
  it('looks at 40 zones and 20 patterns', () => {
    expect([new Set(ZONES).size, new Set(PATTERNS).size]).to.deep.equal([40, 20]);
  });
  for (const zone of zones) {
    it(`equal a walk over every minute, ${String(PATTERNS.length)} patterns: ${zone}`, () => {
      const spans = spansOf(zone, from - 3 * DAY, until + 3 * DAY);
      const turns = [
        ...spans.slice(1).map((span) => span.from),
        ...Array.from({ length: lastYear - firstYear + 1 }, (_, year) => Date.UTC(firstYear + year, 0, 3)),
      ];
      for (const pattern of PATTERNS) {
        const isFixed = !pattern.split(' ').slice(0, 2).join(' ').includes('*');
        const windows = isFixed
          ? [[from, until] as const]
          : turns.map((turn) => [Math.max(from, turn - NEAR_DAYS * DAY), Math.min(until, turn + NEAR_DAYS * DAY)] as const);
        const all = walk(pattern, spans, from - DAY, until + DAY);
        for (const [begin, end] of windows) {
          let at = begin;
          for (const expected of all.filter((instant) => instant > begin && instant < end)) {
            const next = nextCronInstant(pattern, zone, new Date(at).toISOString());
            if (next !== text(expected)) expect(next, `${pattern} in ${zone} after ${String(text(at))}`).to.equal(text(expected));
            at = expected;
            occurrences += 1;
          }
        }
      }
    }).timeout(600_000);
  }
});
