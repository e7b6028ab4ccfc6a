import { expect } from 'chai';
import { freezeReport, frozenReports } from '../../src/platform/analytics/frozen.sql.ts';
import { addDays, startOfWeek } from '../../src/platform/expression/dates.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { makeReader } from '../../src/platform/query/reader.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import type { WriteItem } from '../../src/platform/record/types.ts';
import { startTestApp, type Client, type TestApp } from '../support/app.ts';

const REPORT = '/api/v1/reports/response-times';

describe('a report that is published week by week', () => {
  let product: TestApp;
  let administrator: Client;
  /** The last week that is over. */
  let week = '';
  let tuesday = '';
  const reader = makeReader();

  before(async () => {
    product = await startTestApp();
    administrator = await product.caller('administrator');
    const { today } = await system();
    const monday = addDays(startOfWeek(today) ?? '', -7) ?? '';
    week = `${monday}/${addDays(monday, 6) ?? ''}`;
    tuesday = addDays(monday, 1) ?? '';
  });
  after(() => product.stop());

  const system = () => product.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  async function write(item: WriteItem): Promise<string> {
    const context = await system();
    const [outcome] = await inTransaction(product.app.db, (tx) => product.app.engine.write(tx, context, 'Case', [item], { asSystem: true }));
    if (outcome?.ok !== true) throw new Error(`The case was not written: ${JSON.stringify(outcome)}`);
    return outcome.id;
  }
  const receive = (subject: string, countedFrom: string): Promise<string> =>
    write({ kind: 'create', values: { subject, countedFrom, receivedAt: `${countedFrom}T15:00:00.000Z` } });
  const publish = async (): Promise<readonly string[]> => {
    const context = await system();
    return inTransaction(product.app.db, (tx) => freezeReport(reader, tx, context, 'response-times'));
  };
  const published = async () => (await frozenReports(product.app.db, 'response-times')).filter(({ period }) => period === week);

  it('counts the week that is asked for, and names rows that stay the same', async () => {
    await receive('In the week', tuesday);
    await receive('The week before', addDays(tuesday, -7) ?? '');
    const last = await administrator('GET', REPORT);
    expect(last.body).to.have.nested.property('data.rows[0].count', 1);
    expect(last.body).to.have.nested.property('data.period.from', week.slice(0, 10));
    expect(JSON.stringify(last.body)).not.to.contain('period.from');
    const before = `${addDays(week.slice(0, 10), -7) ?? ''}/${addDays(week.slice(0, 10), -1) ?? ''}`;
    const earlier = await administrator('GET', `${REPORT}?period=${before}`);
    expect(earlier.body).to.have.nested.property('data.rows[0].count', 1);
    const wrong = await administrator('GET', `${REPORT}?period=2026-11-17/2026-11-23`);
    expect(wrong.status).to.equal(400);
    expect(wrong.text).to.contain('is no week of this report');
    expect((await administrator('GET', '/api/v1/reports/funnel?period=2026-11-16/2026-11-22')).text).to.contain('has no periods');
  });

  it('is published once, with what it counted', async () => {
    expect(await publish()).to.deep.equal([week]);
    expect(await publish()).to.deep.equal([]);
    const [found] = await rows(product.app.db, sql`select facts from credenza.frozen_report where report = 'response-times' and period = ${week}`);
    const cases = await rows(
      product.app.db,
      sql`select record_id, max(version) as version from credenza.record_history h
      where record_id = any(select (fact->>0)::uuid from jsonb_array_elements(${JSON.stringify(Array.isArray(found?.['facts']) ? found['facts'][0] : [])}::jsonb) as fact) group by 1`,
    );
    expect(
      cases.map((row) => [row['record_id'], row['version']]),
      'the first stage, as the history has it',
    ).to.deep.equal(Array.isArray(found?.['facts']) ? found['facts'][0] : []);
  });

  it('stays as it was published: what comes late is a version of its own, with a reason and what it changes', async () => {
    const correct = (body: object, client = administrator) => client('POST', `${REPORT}/corrections`, body);
    const nothing = await correct({ period: week, reason: 'To be sure' });
    expect(nothing.status).to.equal(409);
    expect(nothing.text).to.contain('has changed since version 1');
    const [first] = await published();

    const late = await receive('Came late', tuesday);
    const preview = await administrator('GET', `${REPORT}/correction?period=${week}`);
    expect(preview.body)
      .to.have.nested.property('data.difference[0]')
      .that.includes({ label: 'Received', before: 1, after: 2, added: 1, removed: 0, changed: 0 });
    expect(await published(), 'looking changes nothing').to.have.length(1);
    const made = await correct({ period: week, reason: 'A letter was filed late' });
    expect(made.status).to.equal(201);
    expect(made.body).to.have.nested.property('data.version', 2);

    await write({ kind: 'update', id: late, values: { countedFrom: addDays(tuesday, 7) ?? '' } });
    const again = await correct({ period: week, reason: 'It was of the next week' });
    expect(again.body).to.have.nested.property('data.difference[0]').that.includes({ before: 2, after: 1, added: 0, removed: 1 });

    const versions = await published();
    expect(versions.map(({ version, reason }) => [version, reason])).to.deep.equal([
      [3, 'It was of the next week'],
      [2, 'A letter was filed late'],
      [1, null],
    ]);
    expect(versions.at(-1), 'what was published').to.deep.equal(first);
    const shown = await administrator('GET', `${REPORT}/frozen`);
    expect(shown.body).to.have.nested.property('data[0].correctedBy').that.is.a('string');
  });

  it('is corrected by administrators, with a reason, where it is published', async () => {
    const relations = await product.caller('relations');
    expect((await relations('POST', `${REPORT}/corrections`, { period: week, reason: 'x' })).status).to.equal(403);
    expect((await administrator('POST', `${REPORT}/corrections`, { period: week })).status).to.equal(400);
    const unknown = await administrator('POST', `${REPORT}/corrections`, { period: '2020-01-06/2020-01-12', reason: 'x' });
    expect(unknown.status).to.equal(404);
    expect(unknown.text).to.contain('is not published');
  });

  it('makes up for weeks that passed while nobody published', async () => {
    await product.app.db.raw(`delete from credenza.report_correction`);
    await product.app.db.raw(`update credenza.frozen_report set period = '2026-10-05/2026-10-11' where report = 'response-times'`);
    const made = await publish();
    expect(made[0]).to.equal('2026-10-12/2026-10-18');
    expect(made.at(-1)).to.equal(week);
  });
});
