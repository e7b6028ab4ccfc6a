import { expect } from 'chai';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { makeCalendars } from '../../../src/platform/calendar/calendars.ts';
import { easterSunday, parseRepeated } from '../../../src/platform/calendar/repeated-days.ts';

const calendars = makeCalendars(new Map([['plan', { name: 'plan', zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5], holidays: ['us-federal'] }]]), 'plan');
const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth'];
const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'];
const next = (words: string, after: string): string | null => calendars.nextRepeated(words, after, 'plan');

/** All days of the years looked at. */
const DAYS: readonly DateTime[] = Array.from({ length: 366 * 6 }, (_, count) => DateTime.utc(2024, 1, 1).plus({ days: count }));
const text = (day: DateTime): string => day.toISODate() ?? '';

interface Day {
  readonly text: string;
  readonly weekday: number;
  readonly isOpen: boolean;
}

const periods = new Map<string, readonly Day[]>();

/** The days that share a period with a day, in order. */
function periodOf(one: DateTime, unit: 'month' | 'quarter' | 'year'): readonly Day[] {
  const key = `${unit} ${text(one.startOf(unit))}`;
  const known = periods.get(key);
  if (known !== undefined) return known;
  const found: Day[] = [];
  for (let at = one.startOf(unit); at <= one.endOf(unit); at = at.plus({ days: 1 }))
    found.push({ text: text(at), weekday: at.weekday, isOpen: calendars.isBusinessDay(text(at), 'plan') === true });
  periods.set(key, found);
  return found;
}

/** The first day after one that holds, by trying each. */
function firstAfter(after: DateTime, holds: (day: DateTime) => boolean): string | null {
  for (let day = after.plus({ days: 1 }); day < after.plus({ years: 3 }); day = day.plus({ days: 1 })) if (holds(day)) return text(day);
  return null;
}

const day = fc.integer({ min: 0, max: DAYS.length - 1 }).map((index) => DAYS[index] ?? DateTime.utc(2024));
const runs = { numRuns: Number(process.env['REPEATED_RUNS'] ?? 150) };

describe('days that come again', () => {
  it('are read from words', () => {
    expect(next('last business day of the month', '2026-11-23')).to.equal('2026-11-30');
    expect(next('last business day of the month', '2026-11-30')).to.equal('2026-12-31');
    expect(next('second Tuesday of the month', '2026-11-23')).to.equal('2026-12-08');
    expect(next('every second tuesday from 2026-01-06', '2026-11-23')).to.equal('2026-11-24');
    expect(next('quarterly from 2026-01-31', '2026-01-31')).to.equal('2026-04-30');
    expect(next('quarterly from 2026-01-31', '2026-04-30')).to.equal('2026-07-31');
    expect(next('yearly from 2024-02-29', '2027-03-01')).to.equal('2028-02-29');
    expect(next('day 31 of the month', '2026-02-01')).to.equal('2026-02-28');
    expect(next('last day of the quarter', '2026-12-31')).to.equal('2027-03-31');
    expect(next('third monday of april', '2026-04-20')).to.equal('2027-04-19');
    expect(next('every 10 days from 2026-01-01', '2025-06-01'), 'not before it begins').to.equal('2026-01-01');
  });

  it('are none where the words say none, and null beyond the days that calendars know', () => {
    const wrong = [
      '',
      'sometimes',
      'sixth monday of the month',
      'every 0 days from 2026-01-01',
      'quarterly',
      'quarterly from 2026-02-30',
      'last weekday of the month',
      'day 0 of the month',
      'first monday of the decade',
      'every 2 fortnights from 2026-01-01',
    ];
    expect(wrong.filter((words) => parseRepeated(words) !== null)).to.deep.equal([]);
    expect(next('sometimes', '2026-01-01')).to.equal(null);
    expect(next('last business day of the month', '2050-12-31')).to.equal(null);
    expect(next('last day of the month', 'today')).to.equal(null);
  });

  for (const unit of ['month', 'quarter', 'year'] as const) {
    it(`equal a try of every day: places of weekdays, business days and days in the ${unit}`, () => {
      const nth = fc.constantFrom(1, 2, 3, 4, 5, -1);
      fc.assert(
        fc.property(day, nth, fc.integer({ min: 0, max: 8 }), (after, place, kind) => {
          const word = place < 0 ? 'last' : ORDINALS[place - 1];
          const what = kind < 7 ? WEEKDAYS[kind] : kind === 7 ? 'business day' : 'day';
          const holds = (one: DateTime): boolean => {
            const same = periodOf(one, unit).filter((other) => (kind < 7 ? other.weekday === kind + 1 : kind === 7 ? other.isOpen : true));
            return same.at(place < 0 ? -1 : place - 1)?.text === text(one);
          };
          expect(next(`${String(word)} ${String(what)} of the ${unit}`, text(after)), `${String(word)} ${String(what)} after ${text(after)}`).to.equal(
            firstAfter(after, holds),
          );
        }),
        { numRuns: Math.ceil(runs.numRuns / { month: 1, quarter: 2, year: 6 }[unit]) },
      );
    }).timeout(60_000);
  }

  it('equal a try of every day: days of the month, which end with it, and of one month of the year', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: 1, max: 31 }), fc.integer({ min: 0, max: 11 }), (after, number, month) => {
        const isIt = (one: DateTime): boolean => one.day === Math.min(number, one.daysInMonth ?? 31);
        expect(next(`day ${String(number)} of the month`, text(after))).to.equal(firstAfter(after, isIt));
        expect(next(`day ${String(number)} of ${String(MONTHS[month])}`, text(after))).to.equal(
          firstAfter(after, (one) => one.month === month + 1 && isIt(one)),
        );
      }),
      runs,
    );
  });

  it('equal a count from the first: so many days, weeks, months, quarters and years from a day', () => {
    const unit = fc.constantFrom('day', 'week', 'month', 'quarter', 'year');
    fc.assert(
      fc.property(day, day, fc.integer({ min: 1, max: 7 }), unit, (from, after, every, name) => {
        let expected = from;
        for (let count = 1; expected <= after; count += 1)
          expected = name === 'quarter' ? from.plus({ months: 3 * count * every }) : from.plus({ [`${name}s`]: count * every });
        expect(
          next(`every ${String(every)} ${name}s from ${text(from)}`, text(after)),
          `${String(every)} ${name}s from ${text(from)} after ${text(after)}`,
        ).to.equal(text(expected));
      }),
      runs,
    );
  });

  it('equal a count from the first: every second to fifth weekday', () => {
    fc.assert(
      fc.property(day, day, fc.integer({ min: 0, max: 6 }), fc.integer({ min: 2, max: 5 }), (from, after, weekday, every) => {
        let expected = from;
        while (expected.weekday !== weekday + 1) expected = expected.plus({ days: 1 });
        while (expected <= after) expected = expected.plus({ weeks: every });
        expect(next(`every ${String(ORDINALS[every - 1])} ${String(WEEKDAYS[weekday])} from ${text(from)}`, text(after))).to.equal(text(expected));
        const plain = firstAfter(after, (one) => one.weekday === weekday + 1);
        expect(next(`every ${String(WEEKDAYS[weekday])}`, text(after))).to.equal(plain);
      }),
      runs,
    );
  });

  it('Easter is the Sunday after the full moon of spring: known dates, and always a Sunday from 22 March to 25 April', () => {
    const known = ['1818-03-22', '1943-04-25', '2000-04-23', '2008-03-23', '2024-03-31', '2025-04-20', '2026-04-05', '2027-03-28', '2038-04-25', '2049-04-18'];
    expect(known.map((date) => easterSunday(Number(date.slice(0, 4))))).to.deep.equal(known);
    for (let year = 1900; year < 2200; year += 1) {
      const easter = easterSunday(year) ?? '';
      expect(DateTime.fromISO(easter, { zone: 'utc' }).weekday, easter).to.equal(7);
      expect(easter.slice(5) >= '03-22' && easter.slice(5) <= '04-25', easter).to.equal(true);
    }
  });
});
