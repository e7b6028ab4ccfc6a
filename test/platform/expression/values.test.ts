import { expect } from 'chai';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import {
  addDays,
  addMonths,
  dayNumber,
  dayOfYear,
  daysBetween,
  endOf,
  fiscalYear,
  fiscalYearStart,
  formatDate,
  fromDayNumber,
  isoWeek,
  monthsBetween,
  nextWeekday,
  parseDate,
  previousWeekday,
  startOf,
  startOfWeek,
  weekdayOf,
} from '../../../src/platform/expression/dates.ts';
import {
  add,
  decimalText,
  divide,
  fixedDecimal,
  multiply,
  plainDecimal,
  remainder,
  subtract,
  toDecimal,
  truncateDecimal,
} from '../../../src/platform/expression/decimal.ts';
import {
  addDuration,
  addDurations,
  amountsOf,
  formatDuration,
  multiplyDuration,
  negateDuration,
  parseDuration,
} from '../../../src/platform/expression/durations.ts';
import { compareCodePoints, sortKey } from '../../../src/platform/expression/sort-key.ts';
import { dayInZone, instantInZone } from '../../../src/platform/expression/zones.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

const day = fc.integer({ min: -600_000, max: 2_900_000 }).map((number) => fromDayNumber(number) ?? '1970-01-01');

describe('decimals', () => {
  it('have one form for one value', () => {
    for (const text of ['5', '5.0', '5.00', 5, '+5']) expect(toDecimal(text)).to.equal(5);
    expect(Object.is(toDecimal('-0'), 0)).to.equal(true);
    expect(decimalText(toDecimal('1e21') ?? 0)).to.equal('1000000000000000000000');
    expect(plainDecimal(toDecimal('9007199254740992') ?? 0)).to.equal('9007199254740992');
    expect(plainDecimal(toDecimal('9007199254740991') ?? 0)).to.equal(9_007_199_254_740_991);
    for (const wrong of ['', ' ', 'NaN', 'Infinity', '0x10', '1_0', Number.POSITIVE_INFINITY, null, undefined, {}]) expect(toDecimal(wrong)).to.equal(null);
  });

  it('leave a remainder with the sign of what is divided, and are cut and written exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }), fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }), (left, right) => {
        const found = remainder(toDecimal(left) ?? 0, toDecimal(right) ?? 0);
        expect(found === null ? null : decimalText(found)).to.equal(right === 0n ? null : (left % right).toString());
      }),
    );
    expect(decimalText(remainder(toDecimal('-7.5') ?? 0, 2) ?? 0)).to.equal('-1.5');
    expect(truncateDecimal(toDecimal('-0.9') ?? 0)).to.equal(0);
    expect(fixedDecimal(toDecimal('1234.5') ?? 0, 2)).to.equal('1234.50');
    expect(fixedDecimal(toDecimal('-0.001') ?? 0, 2)).to.equal('0.00');
    expect(fixedDecimal(toDecimal('2.675') ?? 0, 2)).to.equal('2.68');
    for (const wrong of [-1, 31, toDecimal('1.5') ?? 0]) expect(fixedDecimal(1, wrong)).to.equal(null);
  });

  it('agree with exact integers, on the fast path and off it', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 56n), max: 2n ** 56n }), fc.bigInt({ min: -(2n ** 56n), max: 2n ** 56n }), (left, right) => {
        const [first, second] = [toDecimal(left) ?? 0, toDecimal(right) ?? 0];
        expect(decimalText(add(first, second) ?? 0)).to.equal((left + right).toString());
        expect(decimalText(subtract(first, second) ?? 0)).to.equal((left - right).toString());
        expect(decimalText(multiply(first, second) ?? 0)).to.equal((left * right).toString());
        if (right === 0n) expect(divide(first, second)).to.equal(null);
      }),
    );
  });
});

describe('days', () => {
  it('agree with luxon', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: -5000, max: 5000 }), (date, count) => {
        const local = DateTime.fromISO(date, { zone: 'utc' });
        const moved = local.plus({ days: count });
        expect(addDays(date, count)).to.equal(moved.year >= 1 && moved.year <= 9999 ? moved.toISODate() : null);
        const months = local.plus({ months: count });
        expect(addMonths(date, count)).to.equal(months.year >= 1 && months.year <= 9999 ? months.toISODate() : null);
        const parts = parseDate(date);
        expect(parts === null ? null : formatDate(parts)).to.equal(date);
        expect(parts === null ? null : weekdayOf(dayNumber(parts))).to.equal(local.weekday);
      }),
    );
  });

  it('monthsBetween is the greatest number of months that does not pass the second day', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: 0, max: 4000 }), (from, count) => {
        const to = addDays(from, count);
        if (to === null) return;
        const months = monthsBetween(from, to) ?? -1;
        const [reached, passed] = [addMonths(from, months), addMonths(from, months + 1)];
        expect(reached !== null && reached <= to).to.equal(true);
        expect(passed === null || passed > to).to.equal(true);
        expect(monthsBetween(to, from)).to.equal(months === 0 ? 0 : -months);
      }),
    );
  });

  it('nextWeekday lies one to seven days ahead', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: 1, max: 7 }), (date, weekday) => {
        const next = nextWeekday(date, weekday);
        if (next === null) return;
        expect(daysBetween(date, next)).to.be.within(1, 7);
        expect(DateTime.fromISO(next, { zone: 'utc' }).weekday).to.equal(weekday);
      }),
    );
  });

  it('refuse what is not a day', () => {
    for (const wrong of ['2026-02-29', '2026-13-01', '0000-01-01', '26-01-01', '2026-1-1', '2026-01-01T00:00']) expect(parseDate(wrong), wrong).to.equal(null);
  });
});

describe('durations', () => {
  it('are years, months, weeks, days, hours, minutes, seconds or business days', () => {
    expect(parseDuration('-P1Y2M1W3DT4H5M6S')).to.deep.equal({ sign: -1, months: 14, days: 10, businessDays: 0, seconds: 14_706 });
    expect(parseDuration('P2BD')).to.deep.equal({ sign: 1, months: 0, days: 0, businessDays: 2, seconds: 0 });
    for (const wrong of ['P', 'PT', 'P1', '1D', 'P1D2M', 'P1BD2D', 'P-1D', 'P1.5D']) expect(parseDuration(wrong), wrong).to.equal(null);
    expect(addDuration('2026-01-31', 'P1M')).to.equal('2026-02-28');
    expect(addDuration('2026-01-31', 'PT1H')).to.equal(null);
  });
});

describe('sums of durations', () => {
  const amounts = fc.record({
    months: fc.integer({ min: -4000, max: 4000 }),
    days: fc.integer({ min: -4000, max: 4000 }),
    seconds: fc.integer({ min: -4_000_000, max: 4_000_000 }),
    businessDays: fc.constant(0),
    isBusiness: fc.constant(false),
  });

  it('are written so that they read back, or are none', () => {
    fc.assert(
      fc.property(amounts, (given) => {
        const text = formatDuration(given);
        const signs = new Set([given.months, given.days, given.seconds].map(Math.sign).filter((sign) => sign !== 0));
        expect(text === null).to.equal(signs.size > 1);
        if (text !== null) expect(amountsOf(text)).to.deep.equal({ ...given, months: given.months + 0, days: given.days + 0, seconds: given.seconds + 0 });
      }),
    );
  });

  it('move a day as one after the other does, when they have no months', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: 0, max: 4000 }), fc.integer({ min: 0, max: 4000 }), (date, first, second) => {
        const [left, right] = [`P${String(first)}D`, `P${String(second)}D`];
        const step = addDuration(date, left);
        expect(addDuration(date, addDurations(left, right) ?? '')).to.equal(step === null ? null : addDuration(step, right));
        expect(addDurations(left, negateDuration(left) ?? '')).to.equal('P0D');
        expect(multiplyDuration(left, 3)).to.equal(addDurations(addDurations(left, left) ?? '', left));
      }),
    );
  });

  it('keep within what can be written', () => {
    expect(formatDuration({ months: 120_000, days: 0, seconds: 0, businessDays: 0, isBusiness: false })).to.equal(null);
    expect(formatDuration({ months: 119_999, days: 999_999, seconds: 3_599_999_999, businessDays: 0, isBusiness: false })).to.equal(
      'P9999Y11M999999DT999999H59M59S',
    );
    expect(multiplyDuration('P99999BD', 2)).to.equal(null);
    expect(addDurations('P1D', 'soon')).to.equal(null);
    expect(negateDuration('soon')).to.equal(null);
  });
});

describe('weeks, years and fiscal years', () => {
  it('agree with luxon', () => {
    fc.assert(
      fc.property(day, (date) => {
        const [local, parts] = [DateTime.fromISO(date, { zone: 'utc' }), parseDate(date)];
        if (parts === null) return;
        expect(isoWeek(parts)).to.equal(local.weekNumber);
        expect(dayOfYear(parts)).to.equal(local.ordinal);
        const monday = local.startOf('week');
        if (monday.year >= 1) expect(startOfWeek(date)).to.equal(monday.toISODate());
        expect(startOf(date, 12)).to.equal(local.startOf('year').toISODate());
        expect(endOf(date, 12)).to.equal(local.endOf('year').toISODate());
      }),
    );
  });

  it('previousWeekday undoes nextWeekday', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: 1, max: 7 }), (date, weekday) => {
        const previous = previousWeekday(date, weekday);
        if (previous === null) return;
        expect(daysBetween(previous, date)).to.be.within(1, 7);
        expect(DateTime.fromISO(previous, { zone: 'utc' }).weekday).to.equal(weekday);
      }),
    );
  });

  it('a fiscal year begins in its first month and is named after the year in which it ends (R001-96)', () => {
    expect(fiscalYear('2026-11-22', 10)).to.equal(2027);
    expect(fiscalYear('2024-10-01', 10)).to.equal(2025);
    expect(fiscalYear('2024-09-30', 10)).to.equal(2024);
    expect(fiscalYear('2024-09-30', 1)).to.equal(2024);
    expect(fiscalYearStart('2026-11-22', 10)).to.equal('2026-10-01');
    expect(fiscalYearStart('2026-09-30', 10)).to.equal('2025-10-01');
    expect(fiscalYearStart('0001-01-01', 2)).to.equal(null);
    for (const wrong of [0, 13, 1.5]) expect(fiscalYear('2026-01-01', wrong)).to.equal(null);
  });
});

describe('local times', () => {
  it('skip a gap to its end and take the first of two', () => {
    expect(instantInZone('2026-03-08', '02:30', 'America/New_York')).to.equal('2026-03-08T07:00:00.000Z');
    expect(instantInZone('2026-11-01', '01:30', 'America/New_York')).to.equal('2026-11-01T05:30:00.000Z');
    expect(instantInZone('2026-10-04', '02:10', 'Australia/Lord_Howe')).to.equal('2026-10-03T15:30:00.000Z');
    expect(instantInZone('2026-01-01', '24:00', 'America/New_York')).to.equal(null);
    expect(instantInZone('2026-01-01', '10:00', 'Mars/Olympus')).to.equal(null);
  });

  it('read back as they were written, outside gaps', () => {
    const zones = fc.constantFrom('America/New_York', 'America/Phoenix', 'Australia/Lord_Howe', 'America/Santiago', 'Europe/London', 'Asia/Kathmandu');
    fc.assert(
      fc.property(fc.integer({ min: 16_000, max: 25_000 }), fc.integer({ min: 0, max: 1439 }), zones, (number, minute, zone) => {
        const date = fromDayNumber(number) ?? '';
        const time = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
        const instant = instantInZone(date, time, zone) ?? '';
        const local = DateTime.fromISO(instant, { zone });
        const earlier = local.minus({ milliseconds: 1 });
        const isGapEnd = earlier.offset !== local.offset && local.toFormat('HH:mm') > time;
        expect(isGapEnd || local.toFormat('yyyy-MM-dd HH:mm') === `${date} ${time}`).to.equal(true);
        expect(dayInZone(instant, zone)).to.equal(local.toISODate());
      }),
    );
  });
});

describe('sort keys', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase();
  });

  after(async () => {
    await database.drop();
  });

  it('take off marks and case, and order numbers by size', () => {
    expect(sortKey(' Élan 007 ')).to.equal('elan 000000000007');
    expect(['Unit 10', 'unit 9', 'Übung', 'uber', 'ﬁve'].sort((left, right) => compareCodePoints(sortKey(left), sortKey(right)))).to.deep.equal([
      'ﬁve',
      'uber',
      'Übung',
      'unit 9',
      'Unit 10',
    ]);
    expect(sortKey('1234567890123456')).to.equal('1234567890123456');
  });

  it('compare in JavaScript as in PostgreSQL under COLLATE "C"', async () => {
    const texts = fc.sample(fc.string({ unit: 'grapheme', maxLength: 6 }), { numRuns: 400, seed: 7 }).map((text) => text.replaceAll('\0', ''));
    const keys = [...new Set([...texts, '🙂', '\uFFEE', '\uE000', 'a🙂', 'a\uFFEE'].map(sortKey))];
    const found = await rows(database.db, sql`select key from unnest(${keys}::text[]) as t (key) order by key collate "C"`);
    expect(keys.sort(compareCodePoints)).to.deep.equal(found.map((row) => row['key']));
  });
});
