import { expect } from 'chai';
import { listSchedules, type RuleSchedule } from '../../../src/platform/automation/schedules.sql.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { makeApp } from '../../../src/main.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { startTestApp, type TestApp } from '../../support/app.ts';

describe('timed rules when the zone data changes', () => {
  let test: TestApp;
  const clock = makeVirtualClock('2026-03-07T12:00:00.000Z');
  before(async () => {
    test = await startTestApp({ clock });
    await test.app.worker.drain();
  });
  after(() => test.stop());

  /** As another process finds it that starts now, with the zone data of this machine. */
  const startAnother = async (): Promise<void> => {
    const other = makeApp(test.app.config, { log: makeLog('silent'), clock });
    try {
      await other.worker.drain();
    } finally {
      await other.stop();
    }
  };
  const shift = (interval: string): Promise<number> =>
    run(test.app.db, sql`update ${platformTable(test.app.db, 'rule_schedule')} set next_due = next_due + ${interval}::interval`);
  const dues = (list: readonly RuleSchedule[]): readonly string[] => list.map(({ ruleId, nextDue, scannedTo }) => `${ruleId} ${nextDue} ${scannedTo}`);

  it('are due by the new data from the start of a process on, and nothing is done at the old time', async () => {
    const { db } = test.app;
    const right = await listSchedules(db);
    expect(right.length).to.be.greaterThan(5);
    const ran = (): Promise<unknown> => rows(db, sql`select count(*)::int as n from ${platformTable(db, 'rule_run')}`);
    const before = await ran();
    // What other data made an hour later, and a day too early, that is now.
    for (const interval of ['1 hour', '-2 days']) {
      await shift(interval);
      expect(dues(await listSchedules(db))).not.to.deep.equal(dues(right));
      await startAnother();
      expect(dues(await listSchedules(db)), interval).to.deep.equal(dues(right));
    }
    expect(await ran()).to.deep.equal(before);
  });

  it('what passed while nobody looked stays due', async () => {
    const { db } = test.app;
    const [known] = (await listSchedules(db)).filter(({ nextDue }) => nextDue < '2026-03-08T14:00:00.000Z');
    expect(known).not.to.equal(undefined);
    await shift('30 days');
    clock.advanceTo('2026-03-08T14:00:00.000Z');
    await startAnother();
    const moved = (await listSchedules(db)).find(({ ruleId }) => ruleId === known?.ruleId);
    expect(moved?.scannedTo, 'it was looked at').to.equal('2026-03-08T14:00:00.000Z');
    expect((moved?.nextDue ?? '') > '2026-03-08T14:00:00.000Z').to.equal(true);
  });
});
