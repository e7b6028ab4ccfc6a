import { expect } from 'chai';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeCalendars, type Calendars } from '../../../src/platform/calendar/calendars.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import type { CalendarFile } from '../../../src/platform/metadata/types.ts';
import { packageRoot } from '../../../src/platform/root.ts';

const base: CalendarFile = {
  name: 'plan',
  zone: 'America/New_York',
  weekdays: [1, 2, 3, 4, 5],
  hours: { start: '09:00', end: '17:00' },
  holidays: ['us-federal'],
};

function calendarsOf(...files: readonly CalendarFile[]): Calendars {
  return makeCalendars(new Map(files.map((file) => [file.name, file])), 'plan');
}

function refusal(...files: readonly CalendarFile[]): string {
  try {
    calendarsOf(...files);
  } catch (error) {
    if (isAppError(error, 'metadata_invalid')) return error.message;
    throw error;
  }
  return 'none';
}

describe('half days, cut-off hours and included calendars', () => {
  it('a half day is a business day that ends earlier', () => {
    const plan = calendarsOf({ ...base, halfDays: [{ date: '2026-11-25', name: 'Before Thanksgiving', end: '12:00' }] });
    expect(plan.isBusinessDay('2026-11-25', 'plan')).to.equal(true);
    expect(plan.endOfBusinessDay('2026-11-25', 'plan')).to.equal('2026-11-25T17:00:00.000Z');
    expect(plan.endOfBusinessDay('2026-11-24', 'plan')).to.equal('2026-11-24T22:00:00.000Z');
    expect(plan.workingMs('2026-11-24T20:00:00.000Z', '2026-11-27T15:00:00.000Z', 'plan')).to.equal(6 * 3_600_000);
    expect(plan.addWorkingMs('2026-11-24T20:00:00.000Z', 6 * 3_600_000, 'plan')).to.equal('2026-11-27T15:00:00.000Z');
  });

  it('what comes at the cut-off or later, or on a closed day, counts to the next business day', () => {
    const plan = calendarsOf({ ...base, cutOff: '15:00', halfDays: [{ date: '2026-11-25', name: 'Before Thanksgiving', end: '12:00' }] });
    const day = (instant: string) => plan.businessDayOf(instant, 'plan');
    expect(day('2026-11-24T19:59:59.999Z')).to.equal('2026-11-24');
    expect(day('2026-11-24T20:00:00.000Z')).to.equal('2026-11-25');
    expect(day('2026-11-25T16:59:00.000Z')).to.equal('2026-11-25');
    expect(day('2026-11-25T17:00:00.000Z'), 'a half day ends before the cut-off; Thanksgiving follows').to.equal('2026-11-27');
    expect(day('2026-11-27T20:30:00.000Z'), 'Friday after three').to.equal('2026-11-30');
    expect(day('2026-11-28T15:00:00.000Z'), 'Saturday morning').to.equal('2026-11-30');
    expect(day('2026-11-30T04:59:00.000Z'), 'still Sunday in New York').to.equal('2026-11-30');
    expect(day('2026-07-01T18:59:59.000Z'), 'summer').to.equal('2026-07-01');
    expect(day('2026-07-01T19:00:00.000Z')).to.equal('2026-07-02');
    expect(calendarsOf(base).businessDayOf('2026-11-24T23:59:00.000Z', 'plan'), 'without a cut-off the whole day').to.equal('2026-11-24');
    expect([plan.businessDayOf('2026-11-24T20:00:00.000Z', 'none'), day('soon'), day('2060-01-01T00:00:00.000Z')]).to.deep.equal([null, null, null]);
  });

  it('the business day of an instant equals a walk from its minute on', () => {
    const half = { date: '2026-11-25', name: 'Before Thanksgiving', end: '12:00' };
    const plan = calendarsOf({ ...base, cutOff: '15:30', halfDays: [half] });
    const start = Date.parse('2026-10-25T00:00:00Z');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 45 * 1440 * 60 }), (second) => {
        const at = start + second * 1000;
        const local = DateTime.fromMillis(at, { zone: base.zone });
        const limit = local.toISODate() === half.date ? half.end : '15:30';
        let day = local.toFormat('HH:mm') < limit ? local : local.plus({ days: 1 });
        while (day.weekday > 5 || ['2026-11-11', '2026-11-26'].includes(day.toISODate() ?? '')) day = day.plus({ days: 1 });
        expect(plan.businessDayOf(new Date(at).toISOString(), 'plan'), local.toISO() ?? '').to.equal(day.toISODate());
      }),
      { numRuns: 500 },
    );
  });

  it('a calendar takes over what it includes, opens and closes days of its own, and keeps its weekdays and hours', () => {
    const state: CalendarFile = {
      ...base,
      name: 'state',
      holidays: ['us-federal', { name: 'Mardi Gras', on: { easter: -47 } }],
      halfDays: [{ date: '2026-12-24', name: 'Eve', end: '12:00' }],
    };
    const plan = calendarsOf(state, {
      ...base,
      holidays: [],
      includes: ['state'],
      open: [{ date: '2026-10-12', name: 'Open on Columbus Day' }],
      closed: [{ date: '2026-11-27', name: 'Bridge' }],
    });
    expect(plan.isBusinessDay('2026-02-17', 'plan'), 'Mardi Gras').to.equal(false);
    expect(plan.holidays('plan').get('2026-02-17')).to.equal('Mardi Gras');
    expect([plan.isBusinessDay('2026-10-12', 'plan'), plan.isBusinessDay('2026-10-12', 'state')]).to.deep.equal([true, false]);
    expect([plan.isBusinessDay('2026-11-27', 'plan'), plan.isBusinessDay('2026-11-27', 'state')]).to.deep.equal([false, true]);
    expect(plan.endOfBusinessDay('2026-12-24', 'plan')).to.equal('2026-12-24T17:00:00.000Z');
  });

  it('refuses calendars that include each other or none, hours that cannot be, and days that no words say', () => {
    expect(refusal({ ...base, includes: ['plan'] })).to.contain('plan, plan include each other');
    expect(refusal({ ...base, includes: ['b'] }, { ...base, name: 'b', includes: ['plan'] })).to.contain('include each other');
    expect(refusal({ ...base, includes: ['nowhere'] })).to.contain("There is no calendar 'nowhere'");
    expect(refusal({ ...base, halfDays: [{ date: '2026-11-25', name: 'x', end: '09:00' }] })).to.contain("from '09:00' to '09:00'");
    expect(refusal({ name: 'plan', zone: 'UTC', weekdays: [1], holidays: [], halfDays: [{ date: '2026-11-25', name: 'x', end: '09:00' }] })).to.contain(
      "from ''",
    );
    expect(refusal({ ...base, halfDays: [{ date: '2026-02-30', name: 'x', end: '12:00' }] })).to.contain("'2026-02-30' is not a day");
    expect(refusal({ ...base, holidays: [{ name: 'x', on: 'now and then' }] })).to.contain("'now and then' says no days");
  });

  it('the shipped state calendars close on the state holidays that move', () => {
    const shipped = makeCalendars(loadMetadata([packageRoot()]).calendars, 'plan');
    const mardiGras = ['2024-02-13', '2025-03-04', '2026-02-17', '2027-02-09', '2028-02-29'];
    const patriots = ['2024-04-15', '2025-04-21', '2026-04-20', '2027-04-19', '2028-04-17'];
    const goodFriday = ['2024-03-29', '2025-04-18', '2026-04-03', '2027-03-26', '2028-04-14'];
    for (const day of [...mardiGras, ...goodFriday]) expect(shipped.isBusinessDay(day, 'louisiana'), day).to.equal(false);
    for (const day of patriots) expect(shipped.isBusinessDay(day, 'massachusetts'), day).to.equal(false);
    for (const day of [...mardiGras, ...patriots]) expect(shipped.isBusinessDay(day, 'plan'), day).to.equal(true);
    expect(shipped.isBusinessDay('2026-12-25', 'louisiana')).to.equal(false);
  });
});
