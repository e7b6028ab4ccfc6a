import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { listReports, runReport, type Report } from '../../../src/platform/analytics/reports.ts';
import type { PermissionFile, ReportFile } from '../../../src/platform/metadata/types.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { SHOPS } from '../query/shops.ts';
import { ANNA, createTables, insert, smallModel, smallSet, staffSet, system, user } from '../query/support.ts';

const SETS: readonly PermissionFile[] = [
  staffSet('open', { Shop: { read: true } }),
  staffSet('narrow', { Shop: { read: true, fields: ['name', 'stage'] } }),
  staffSet('own', { Shop: { read: { where: 'ownerId == user' } } }),
  staffSet('orders', { Order: { read: true, fields: ['number'] } }),
];

const REPORT: ReportFile = {
  name: 'stages',
  label: 'Stages',
  stages: [
    { label: 'Known', object: 'Shop', filter: 'true' },
    { label: 'Secret', object: 'Shop', filter: "secret == 's1'" },
    { label: 'Hinted', object: 'Shop', filter: "hint != null && stage == 'new'" },
    { label: 'Won', object: 'Shop', filter: "stage == 'won'", since: 'opened', until: 'seen' },
    { label: 'Ordered', object: 'Shop', filter: 'orders.exists(o, o.margin > 1)' },
    { label: 'Hushed', object: 'Secretum', filter: 'true' },
  ],
  breakdown: { by: ['stage'], target: { stage: 'Secret', reachedBy: 'Won' } },
};

describe('reports', () => {
  let test: TestDatabase;
  let model: Model;
  before(async () => {
    const set = smallSet(SETS);
    model = smallModel(SETS, { ...set, reports: new Map([['stages', REPORT]]) });
    test = await makeTestDatabase();
    await createTables(test.db, model);
    for (const shop of SHOPS) await insert(test.db, model, 'Shop', shop);
  });
  after(() => test.drop());

  const run = (context: CallContext): Promise<Report> => runReport(makeReader(), test.db, context, 'stages');
  const counts = (report: Report): unknown[] => report.rows.map((row) => [row.label, row.count]);

  it('count what the caller may read, and withhold nothing from those who may read everything', async () => {
    const report = await run(system(model));
    expect(report.withheld).to.deep.equal([]);
    expect(counts(report)).to.deep.equal([
      ['Known', 6],
      ['Secret', 1],
      ['Hinted', 2],
      ['Won', 2],
      ['Ordered', 0],
      ['Hushed', 0],
    ]);
  });

  it('leave out a stage that asks for a field which the caller may not read, and say which', async () => {
    const report = await run(user(model, ['open']));
    expect(counts(report)).to.deep.equal([
      ['Known', 6],
      ['Won', 2],
    ]);
    expect(report.withheld).to.deep.equal(['Secret', 'Hinted', 'Ordered']);
    expect(report.rows.find((row) => row.label === 'Won')?.medianDays).to.be.a('number');
    const [byStage] = report.breakdowns;
    expect(byStage?.groups.map((group) => [group.value, group.counts, group.met])).to.have.deep.members([
      ['lost', [1, 0], null],
      ['new', [2, 0], null],
      ['won', [2, 2], null],
      [null, [1, 0], null],
    ]);
  });

  it('count without the days where the caller may read only the condition', async () => {
    const report = await run(user(model, ['narrow']));
    expect(report.rows.map((row) => [row.label, row.count, row.medianDays])).to.deep.equal([
      ['Known', 6, null],
      ['Won', 2, null],
    ]);
    expect(report.withheld).to.deep.equal(['Secret', 'Hinted', 'Won: days', 'Ordered']);
  });

  it('withhold a stage over related records of which not every field that is asked for may be read', async () => {
    const report = await run(user(model, ['open', 'orders']));
    expect(report.withheld).to.include('Ordered');
  });

  it('count the rows of a caller who sees some of them', async () => {
    expect(counts(await run(user(model, ['own'], ANNA)))).to.deep.equal([
      ['Known', 2],
      ['Won', 1],
    ]);
  });

  it('are not there for a caller who may read none of their objects', async () => {
    expect(listReports(user(model, ['orders']))).to.deep.equal([]);
    const refused = await run(user(model, ['orders'])).then(
      () => 'shown',
      (error: unknown) => String(error),
    );
    expect(refused).to.contain('There is no report "stages"');
  });
});
