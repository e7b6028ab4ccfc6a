import type { Instant, PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { addDays, dayNumber, fromDayNumber, parseDate, weekdayOf } from '../expression/dates.ts';
import { addDuration, formatInstant, parseDuration, parseInstant } from '../expression/durations.ts';
import type { CalendarLookup } from '../expression/types.ts';
import { dayInZone, instantInZone, isZone, timeInZone } from '../expression/zones.ts';
import type { CalendarFile } from '../metadata/types.ts';
import { federalHolidays, holidaysFromCsv, yearlyHolidays, type Holiday } from './holidays.ts';
import { nextRepeated, parseRepeated } from './repeated-days.ts';
import { makeWorkingTime, minutesOf, type WorkingTime } from './working-time.ts';

/** Days that calendars know; beyond them business days are null, in SQL as here. */
export const FIRST_CALENDAR_DAY: PlainDate = '2005-01-01';
export const LAST_CALENDAR_DAY: PlainDate = '2050-12-31';

/** A calendar worked out day by day. */
export interface CompiledCalendar {
  readonly name: string;
  readonly zone: string;
  /** Null = open round the clock. */
  readonly hours: { readonly start: string; readonly end: string } | null;
  /** Hours of half days by day number, in minutes of the day. */
  readonly special: ReadonlyMap<number, readonly [opens: number, closes: number]>;
  /** Minute of the day from which on what comes counts to the next business day. */
  readonly cutOff: number | null;
  /** Holidays and closed days by day, as they are named. */
  readonly closed: ReadonlyMap<PlainDate, string>;
  /** Index 0 is FIRST_CALENDAR_DAY: how many business days there are up to and including each day. */
  readonly ordinals: Int32Array;
  /** Day numbers of the business days, in order. */
  readonly openDays: readonly number[];
  readonly workingTime: WorkingTime;
}

export interface Calendars extends CalendarLookup {
  readonly all: ReadonlyMap<string, CompiledCalendar>;
  /** Names of the days on which a calendar is closed besides weekends. */
  holidays(calendar: string): ReadonlyMap<PlainDate, string>;
  /** A day moved by a duration; business days (`P2BD`) are counted in the calendar. Null when the duration does not fit a day. */
  addDuration(date: PlainDate, duration: string, calendar?: string): PlainDate | null;
}

const FIRST = numberOf(FIRST_CALENDAR_DAY);
const LAST = numberOf(LAST_CALENDAR_DAY);

function numberOf(date: PlainDate): number {
  const parts = parseDate(date);
  if (parts === null) throw new RangeError(`Not a day: ${date}`);
  return dayNumber(parts);
}

/**
 * Compiles business calendars.
 * @param planCalendar the calendar whose zone is the plan's: it says what "today" is
 * @param readCsv gives the text of a holiday file that a calendar names, relative to the metadata folder
 * Throws metadata_invalid, naming the calendar, the place and what to do.
 */
export function makeCalendars(files: ReadonlyMap<string, CalendarFile>, planCalendar: string, readCsv?: (path: string) => string): Calendars {
  const all = new Map([...files].map(([name, file]) => [name, compileCalendar(name, file, daysOf(files, name, file, readCsv, []))] as const));
  const plan = all.get(planCalendar);
  if (plan === undefined)
    throw invalid(
      planCalendar,
      '',
      `There is no calendar '${planCalendar}', which is to be the plan's.`,
      `Add metadata/calendars/${planCalendar}.json or name another calendar.`,
    );
  return {
    all,
    planZone: plan.zone,
    planCalendar,
    holidays: (name) => all.get(name)?.closed ?? new Map<PlainDate, string>(),
    addBusinessDays: (date, days, name) => addBusinessDays(all.get(name), date, days),
    businessDaysBetween: (from, to, name) => {
      const calendar = all.get(name);
      const [first, second] = [ordinalOf(calendar, from), ordinalOf(calendar, to)];
      return first === null || second === null ? null : second - first;
    },
    isBusinessDay: (date, name) => isOpen(all.get(name), date),
    dayOf: (instant, name) => inZone(all.get(name), (zone) => dayInZone(instant, zone)),
    startOfDay: (date, name) => inZone(all.get(name), (zone) => instantInZone(date, '00:00', zone)),
    endOfBusinessDay: (date, name) => endOfDay(all.get(name), date),
    businessDayOf: (instant, name) => businessDayOf(all.get(name), instant),
    nextRepeated: (words, after, name) => {
      const days = parseRepeated(words);
      const calendar = all.get(name);
      return days === null || calendar === undefined || parseDate(after) === null ? null : nextRepeated(days, after, (day) => isOpen(calendar, day));
    },
    workingMs: (from, to, name) => all.get(name)?.workingTime.between(from, to) ?? null,
    addWorkingMs: (instant, ms, name) => all.get(name)?.workingTime.add(instant, ms) ?? null,
    at: (date, time, name) => inZone(all.get(name), (zone) => instantInZone(date, time, zone)),
    addDuration: (date, duration, name = planCalendar) => {
      const parts = parseDuration(duration);
      if (parts === null) return null;
      return duration.includes('BD') ? addBusinessDays(all.get(name), date, parts.sign * parts.businessDays) : addDuration(date, duration);
    },
  };
}

function inZone<T extends PlainDate | Instant>(calendar: CompiledCalendar | undefined, ask: (zone: string) => T | null): T | null {
  return calendar === undefined ? null : ask(calendar.zone);
}

function invalid(calendar: string, pointer: string, detail: string, fix: string): AppError {
  return new AppError('metadata_invalid', `Calendar '${calendar}': ${detail} ${fix}`, {
    errors: [{ pointer: `metadata/calendars/${calendar}.json#${pointer}`, code: 'calendar', detail, fix }],
  });
}

function compileCalendar(name: string, file: CalendarFile, { closed, half }: SpecialDays): CompiledCalendar {
  if (!isZone(file.zone)) throw invalid(name, '/zone', `'${file.zone}' is not a time zone.`, "Use an IANA name such as 'America/New_York'.");
  if (file.weekdays.length === 0 || file.weekdays.some((day) => !Number.isInteger(day) || day < 1 || day > 7))
    throw invalid(name, '/weekdays', 'The worked weekdays are 1 (Monday) to 7 (Sunday), at least one.', 'Write [1, 2, 3, 4, 5].');
  const open = new Set((file.open ?? []).map((day) => day.date));
  const ordinals = new Int32Array(LAST - FIRST + 1);
  const openDays: number[] = [];
  for (let number = FIRST; number <= LAST; number += 1) {
    const date = fromDayNumber(number) ?? '';
    if (open.has(date) || (file.weekdays.includes(weekdayOf(number)) && !closed.has(date))) openDays.push(number);
    ordinals[number - FIRST] = openDays.length;
  }
  const hours = checkedHours(name, file.hours);
  const special = specialHours(name, half, hours);
  const workingTime = makeWorkingTime({ zone: file.zone, hours, openDays, special }, FIRST_CALENDAR_DAY, LAST_CALENDAR_DAY);
  return { name, zone: file.zone, hours, special, cutOff: file.cutOff === undefined ? null : minutesOf(file.cutOff), closed, ordinals, openDays, workingTime };
}

interface SpecialDays {
  /** Holidays and closed days, as they are named. */
  readonly closed: Map<PlainDate, string>;
  readonly half: Map<PlainDate, NonNullable<CalendarFile['halfDays']>[number]>;
}

/** Closed and half days: those of the calendars that it includes, then its own; what it opens is open. */
function daysOf(
  files: ReadonlyMap<string, CalendarFile>,
  name: string,
  file: CalendarFile,
  readCsv: ((path: string) => string) | undefined,
  path: readonly string[],
): SpecialDays {
  const [closed, half]: [SpecialDays['closed'], SpecialDays['half']] = [new Map(), new Map()];
  (file.includes ?? []).forEach((other, index) => {
    const included = files.get(other);
    const [known, fix] = [[...files.keys()].join(', '), 'Name one that is there.'];
    if (included === undefined) throw invalid(name, `/includes/${String(index)}`, `There is no calendar '${other}' to include (known: ${known}).`, fix);
    if (other === name || path.includes(other))
      throw invalid(
        name,
        `/includes/${String(index)}`,
        `The calendars ${[...path, name, other].join(', ')} include each other.`,
        'Let one of them go without.',
      );
    const days = daysOf(files, other, included, readCsv, [...path, name]);
    for (const [day, words] of days.closed) closed.set(day, words);
    for (const [day, words] of days.half) half.set(day, words);
  });
  file.holidays.forEach((source, index) => {
    for (const holiday of holidaysOf(name, source, `/holidays/${String(index)}`, readCsv)) closed.set(holiday.date, holiday.name);
  });
  (file.closed ?? []).forEach((day, index) => closed.set(dayAt(name, day.date, `/closed/${String(index)}/date`), day.name));
  (file.open ?? []).forEach((day, index) => closed.delete(dayAt(name, day.date, `/open/${String(index)}/date`)));
  (file.halfDays ?? []).forEach((day, index) => half.set(dayAt(name, day.date, `/halfDays/${String(index)}/date`), day));
  return { closed, half };
}

/** Opening and closing of half days by day number, as minutes of the day. */
function specialHours(name: string, half: SpecialDays['half'], hours: CompiledCalendar['hours']): CompiledCalendar['special'] {
  return new Map(
    [...half.values()].map((day) => {
      const [start, end] = [day.start ?? hours?.start, day.end ?? hours?.end];
      if (start === undefined || end === undefined || start >= end)
        throw invalid(
          name,
          '/halfDays',
          `The hours of ${day.date} (${day.name}) are from '${start ?? ''}' to '${end ?? ''}'.`,
          'Give start and end, start first.',
        );
      return [numberOf(day.date), [minutesOf(start), minutesOf(end)] as const] as const;
    }),
  );
}

function checkedHours(name: string, hours: CalendarFile['hours']): CompiledCalendar['hours'] {
  if (hours === undefined) return null;
  const isTime = (text: string): boolean => /^([01]\d|2[0-3]):[0-5]\d$/.test(text);
  if (!isTime(hours.start) || !isTime(hours.end) || hours.start >= hours.end) {
    throw invalid(name, '/hours', `Working hours from '${hours.start}' to '${hours.end}' cannot be.`, "Write them as '09:00' and '17:00', start first.");
  }
  return { start: hours.start, end: hours.end };
}

function timeText(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}

/** The business day that an instant counts to: its own when it is open and the cut-off, if there is one, is not reached; else the next. */
function businessDayOf(calendar: CompiledCalendar | undefined, instant: Instant): PlainDate | null {
  const day = calendar === undefined ? null : dayInZone(instant, calendar.zone);
  const time = calendar === undefined ? null : timeInZone(instant, calendar.zone);
  if (calendar === undefined || day === null || time === null) return null;
  const isReached = calendar.cutOff !== null && time.hour * 60 + time.minute >= Math.min(calendar.cutOff, calendar.special.get(numberOf(day))?.[1] ?? 1440);
  return addBusinessDays(calendar, day, isReached && isOpen(calendar, day) === true ? 1 : 0);
}

/** The end of the working hours; without any, the last millisecond of the day. */
function endOfDay(calendar: CompiledCalendar | undefined, date: PlainDate): Instant | null {
  if (calendar === undefined) return null;
  const parts = parseDate(date);
  const special = parts === null ? undefined : calendar.special.get(dayNumber(parts));
  if (special !== undefined) return instantInZone(date, timeText(special[1]), calendar.zone);
  if (calendar.hours !== null) return instantInZone(date, calendar.hours.end, calendar.zone);
  const tomorrow = addDays(date, 1);
  const midnight = tomorrow === null ? null : instantInZone(tomorrow, '00:00', calendar.zone);
  const ms = midnight === null ? null : parseInstant(midnight);
  return ms === null ? null : formatInstant(ms - 1);
}

function dayAt(name: string, date: string, pointer: string): PlainDate {
  if (parseDate(date) === null) throw invalid(name, pointer, `'${date}' is not a day.`, 'Write it as YYYY-MM-DD.');
  return date;
}

function holidaysOf(
  name: string,
  source: CalendarFile['holidays'][number],
  pointer: string,
  readCsv: ((path: string) => string) | undefined,
): readonly Holiday[] {
  if (source === 'us-federal') return federalHolidays(Number(FIRST_CALENDAR_DAY.slice(0, 4)), Number(LAST_CALENDAR_DAY.slice(0, 4)));
  const years = [Number(FIRST_CALENDAR_DAY.slice(0, 4)), Number(LAST_CALENDAR_DAY.slice(0, 4))] as const;
  if ('on' in source)
    return yearlyHolidays(source, ...years, (problem) =>
      invalid(name, `${pointer}/on`, problem, "Write 'third monday of april', 'day 1 of november' or {easter: -47}."),
    );
  if (readCsv === undefined)
    throw invalid(name, pointer, `The holiday file '${source.csv}' cannot be read here.`, 'Calendars with holiday files must be loaded with their folder.');
  return holidaysFromCsv(readCsv(source.csv), (problem) =>
    invalid(name, pointer, `${source.csv}: ${problem}`, 'The file needs the columns date (YYYY-MM-DD) and name.'),
  );
}

function ordinalOf(calendar: CompiledCalendar | undefined, date: PlainDate): number | null {
  const parts = parseDate(date);
  return calendar === undefined || parts === null ? null : (calendar.ordinals[dayNumber(parts) - FIRST] ?? null);
}

function isOpen(calendar: CompiledCalendar | undefined, date: PlainDate): boolean | null {
  const ordinal = ordinalOf(calendar, date);
  return calendar === undefined || ordinal === null ? null : calendar.openDays[ordinal - 1] === numberOf(date);
}

/** With 0 days: the day itself when open, else the next business day. */
function addBusinessDays(calendar: CompiledCalendar | undefined, date: PlainDate, days: number): PlainDate | null {
  const ordinal = ordinalOf(calendar, date);
  if (calendar === undefined || ordinal === null || !Number.isInteger(days)) return null;
  const target = ordinal + days + (days <= 0 && isOpen(calendar, date) !== true ? 1 : 0);
  const number = calendar.openDays[target - 1];
  return number === undefined ? null : fromDayNumber(number);
}

/** Every day of a calendar with its ordinal and whether it is open, in order. */
export function* calendarDays(calendar: CompiledCalendar): Generator<{ readonly day: PlainDate; readonly ordinal: number; readonly isOpen: boolean }> {
  for (let number = FIRST; number <= LAST; number += 1) {
    const ordinal = calendar.ordinals[number - FIRST] ?? 0;
    const parts = fromDayNumber(number);
    if (parts !== null) yield { day: parts, ordinal, isOpen: calendar.openDays[ordinal - 1] === number };
  }
}
