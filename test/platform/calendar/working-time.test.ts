import { expect } from 'chai';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { FIRST_CALENDAR_DAY, LAST_CALENDAR_DAY, makeCalendars } from '../../../src/platform/calendar/calendars.ts';
import type { CalendarFile } from '../../../src/platform/metadata/types.ts';

const MINUTE = 60_000;
const START = Date.parse('2026-01-01T00:00:00Z');
const DAYS = 420;
const FILES: readonly CalendarFile[] = [
  { name: 'plan', zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5], hours: { start: '09:00', end: '17:00' }, holidays: ['us-federal'] },
  { name: 'night', zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5, 6, 7], hours: { start: '00:30', end: '06:15' }, holidays: [] },
  { name: 'howe', zone: 'Australia/Lord_Howe', weekdays: [7, 1, 2, 3, 4], hours: { start: '01:15', end: '23:00' }, holidays: [] },
  { name: 'always', zone: 'Europe/London', weekdays: [1, 2, 3, 4, 5, 6, 7], holidays: [] },
  {
    name: 'halves',
    zone: 'America/New_York',
    weekdays: [1, 2, 3, 4, 5, 7],
    hours: { start: '01:00', end: '17:30' },
    includes: ['state'],
    holidays: [],
    open: [{ date: '2026-05-25', name: 'Open all the same' }],
    halfDays: [
      { date: '2026-03-08', name: 'The hour that is left out', start: '01:15', end: '04:00' },
      { date: '2026-11-01', name: 'The hour that comes twice', end: '02:30' },
      { date: '2026-11-25', name: 'Before Thanksgiving', end: '12:00' },
      { date: '2026-12-24', name: 'Late', start: '13:00' },
      { date: '2026-12-26', name: 'A Saturday, closed', end: '12:00' },
    ],
  },
  {
    name: 'state',
    zone: 'America/Chicago',
    weekdays: [1],
    holidays: ['us-federal', { name: 'Mardi Gras', on: { easter: -47 } }, { name: 'Good Friday', on: { easter: -2 } }],
    halfDays: [{ date: '2026-12-31', name: "New Year's Eve", start: '09:00', end: '12:00' }],
  },
  { name: 'weekdays', zone: 'America/Santiago', weekdays: [1, 2, 3, 4, 5], holidays: [], closed: [{ date: '2026-09-18', name: 'National day' }] },
];

const calendars = makeCalendars(new Map(FILES.map((file) => [file.name, file])), 'plan');

function instant(ms: number): string {
  return DateTime.fromMillis(ms, { zone: 'utc' }).toISO() ?? '';
}

/** The hours of a day: its own as a half day, of an included calendar or the calendar itself; else those of every day. */
function hoursOn(file: CalendarFile, day: string): CalendarFile['hours'] {
  const all = [file, ...FILES.filter(({ name }) => file.includes?.includes(name) === true)];
  const half = all.flatMap(({ halfDays }) => halfDays ?? []).find(({ date }) => date === day);
  if (half === undefined) return file.hours;
  return { start: half.start ?? file.hours?.start ?? '', end: half.end ?? file.hours?.end ?? '' };
}

/** How many minutes of work there are up to each minute of the days looked at, by asking each. */
function countMinutes(file: CalendarFile): readonly number[] {
  const minutes = [0];
  const clock = (minute: number): string => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  for (let block = 0; block < DAYS * 48; block += 1) {
    const local = DateTime.fromMillis(START + block * 30 * MINUTE, { zone: file.zone });
    const day = local.toFormat('yyyy-MM-dd');
    const isOpen = calendars.isBusinessDay(day, file.name) === true;
    const hours = hoursOn(file, day);
    for (let minute = 0; minute < 30; minute += 1) {
      const time = clock(local.hour * 60 + local.minute + minute);
      const isWork = isOpen && (hours === undefined || (time >= hours.start && time < hours.end));
      minutes.push((minutes.at(-1) ?? 0) + (isWork ? 1 : 0));
    }
  }
  return minutes;
}

describe('working time (quality.md, row 24)', () => {
  for (const file of FILES.filter(({ name }) => name !== 'state')) {
    it(`equals a count of every minute, 2,000 random spans: ${file.name}, ${file.zone}`, () => {
      const minutes = countMinutes(file);
      const at = fc.integer({ min: 0, max: DAYS * 1440 });
      fc.assert(
        fc.property(at, at, (first, second) => {
          const [from, to] = [instant(START + first * MINUTE), instant(START + second * MINUTE)];
          const counted = (minutes[second] ?? 0) - (minutes[first] ?? 0);
          expect(calendars.workingMs(from, to, file.name), `${from} to ${to}`).to.equal(counted * MINUTE);
          if (counted <= 0) return;
          let end = second;
          while (minutes[end - 1] === minutes[second]) end -= 1;
          expect(calendars.addWorkingMs(from, counted * MINUTE, file.name), `${from} + ${String(counted)}`).to.equal(instant(START + end * MINUTE));
        }),
        { numRuns: 2000 },
      );
    }).timeout(120_000);
  }

  it('goes to the millisecond, and from a closed moment on', () => {
    expect(calendars.workingMs('2026-07-02T20:59:59.999Z', '2026-07-06T13:00:00.001Z', 'plan')).to.equal(2);
    expect(calendars.addWorkingMs('2026-07-02T20:59:59.999Z', 1, 'plan')).to.equal('2026-07-02T21:00:00.000Z');
    expect(calendars.addWorkingMs('2026-07-02T20:59:59.999Z', 2, 'plan')).to.equal('2026-07-06T13:00:00.001Z');
    expect(calendars.addWorkingMs('2026-07-04T12:00:00.000Z', 0, 'plan')).to.equal('2026-07-04T12:00:00.000Z');
    expect(calendars.workingMs('2026-07-04T12:00:00.000Z', '2026-07-04T13:00:00.000Z', 'plan')).to.equal(0);
  });

  it('is null beyond the days that calendars know, for what is no instant and for calendars that are not there', () => {
    const inside = '2026-01-05T15:00:00.000Z';
    for (const outside of ['2004-12-30T00:00:00.000Z', '2051-01-02T00:00:00.000Z', 'soon']) {
      expect(calendars.workingMs(inside, outside, 'plan')).to.equal(null);
      expect(calendars.addWorkingMs(outside, 1, 'plan')).to.equal(null);
    }
    expect(calendars.addWorkingMs(inside, 100 * 366 * 1440 * MINUTE, 'plan')).to.equal(null);
    expect(calendars.workingMs(inside, inside, 'nowhere')).to.equal(null);
    const whole = calendars.workingMs(`${FIRST_CALENDAR_DAY}T12:00:00.000Z`, `${LAST_CALENDAR_DAY}T12:00:00.000Z`, 'always');
    expect(whole).to.equal(Date.parse(`${LAST_CALENDAR_DAY}T12:00:00Z`) - Date.parse(`${FIRST_CALENDAR_DAY}T12:00:00Z`));
  });
});
