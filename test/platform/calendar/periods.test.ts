import { expect } from 'chai';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { inPeriod, lastPeriod, nextPeriod, periodName, periodOf, readPeriod } from '../../../src/platform/calendar/periods.ts';
import type { ReportPeriod } from '../../../src/platform/metadata/types.ts';

const UNITS = ['week', 'month', 'quarter', 'year'] as const;

/** What two days of one period share, by the calendar of another library; the months are counted from the first of the year. */
function share(text: string, { unit, yearStartsIn = 1 }: ReportPeriod): string {
  const day = DateTime.fromISO(text, { zone: 'utc' });
  if (unit === 'week') return `${String(day.weekYear)} ${String(day.weekNumber)}`;
  const shifted = day.startOf('month').minus({ months: yearStartsIn - 1 });
  return `${String(shifted.year)} ${String({ month: shifted.month, quarter: shifted.quarter, year: 0 }[unit])}`;
}

const addDay = (text: string, days: number): string => DateTime.fromISO(text, { zone: 'utc' }).plus({ days }).toISODate() ?? '';

describe('periods of reports', () => {
  const days = fc.integer({ min: 0, max: 60_000 }).map((count) => addDay('1950-01-01', count));
  const specs = fc.record({ unit: fc.constantFrom(...UNITS), yearStartsIn: fc.integer({ min: 1, max: 12 }) });

  it('hold the day, all days like it and no other: 2,000 random days', () => {
    fc.assert(
      fc.property(days, specs, (day, spec) => {
        const { from, through } = periodOf(day, spec);
        expect(from <= day && day <= through).to.equal(true);
        for (const inside of [from, through]) expect(share(inside, spec)).to.equal(share(day, spec));
        for (const outside of [addDay(from, -1), addDay(through, 1)]) expect(share(outside, spec)).not.to.equal(share(day, spec));
        expect(nextPeriod({ from, through }, spec).from).to.equal(addDay(through, 1));
        expect(lastPeriod(day, spec).through).to.equal(addDay(from, -1));
        expect(readPeriod(periodName({ from, through }), spec)).to.deep.equal({ from, through });
        expect(readPeriod(periodName({ from: addDay(from, 1), through }), spec)).to.equal(null);
      }),
      { numRuns: 2000 },
    );
  });

  it('begin on Monday, and with the fiscal year', () => {
    expect(periodOf('2026-11-22', { unit: 'week' })).to.deep.equal({ from: '2026-11-16', through: '2026-11-22' });
    expect(periodOf('2026-11-22', { unit: 'quarter' })).to.deep.equal({ from: '2026-10-01', through: '2026-12-31' });
    expect(periodOf('2026-11-22', { unit: 'quarter', yearStartsIn: 2 })).to.deep.equal({ from: '2026-11-01', through: '2027-01-31' });
    expect(periodOf('2026-06-30', { unit: 'year', yearStartsIn: 7 })).to.deep.equal({ from: '2025-07-01', through: '2026-06-30' });
  });

  it('stand in a condition in the place of their names, and leave texts and other names alone', () => {
    const period = { from: '2026-11-16', through: '2026-11-22' };
    expect(inPeriod("heldOn >= period.from && heldOn <= period.through && note != 'period.from' && last.period.from == period.fromDay", period)).to.equal(
      "heldOn >= date('2026-11-16') && heldOn <= date('2026-11-22') && note != 'period.from' && last.period.from == period.fromDay",
    );
    expect(inPeriod(`a == "it's" && b == period.from`, period)).to.equal(`a == "it's" && b == date('2026-11-16')`);
  });
});
