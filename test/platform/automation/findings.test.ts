import { expect } from 'chai';
import { findMail, findRuns } from '../../../src/platform/automation/findings.sql.ts';
import { runDue } from '../../../src/platform/automation/run-due.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { platformTable, run, sql } from '../../../src/platform/sql.ts';
import { makeShop, START, type Shop } from './fixtures/shop.ts';

const mail = (kind: 'campaign' | 'transactional') => ({ step: 'send-mail' as const, template: 'mail/bill', to: 'customer.email', class: kind });

const RULES: readonly RuleFile[] = [
  {
    name: 'confirm',
    on: { created: 'Order' },
    do: [
      { step: 'action', action: 'make-link' },
      { step: 'send-mail', template: 'mail/order', to: 'customer.email', class: 'transactional' },
    ],
  },
  { name: 'told', on: { updated: 'Order', fields: ['note'] }, when: "note != 'advertise'", do: [mail('transactional')] },
  { name: 'advertise', on: { updated: 'Order', fields: ['note'] }, when: "note == 'advertise'", do: [mail('campaign')] },
  { name: 'due', on: { date: 'Order.dueOn', offsets: ['-P2D', '-P1D'], at: '08:00' }, do: [mail('transactional')], missed: 'all' },
  {
    name: 'nag',
    on: { schedule: '0 8,16 * * *', zone: 'America/New_York', for: { object: 'Order', filter: "queue == 'nagged'" } },
    do: [mail('transactional')],
    missed: 'all',
  },
];

const priced = { price: '5.00', quantity: 2 };

describe('mail that went twice and runs that were repeated', () => {
  let shop: Shop;
  let customer: string;
  const end = '2026-03-31T00:00:00.000Z';
  const found = async () => ({ mails: await findMail(shop.db, START, end), runs: await findRuns(shop.db, START, end) });
  const until = (instant: string) => runDue({ db: shop.db, clock: shop.clock, worker: shop.worker, until: instant });

  beforeEach(async () => {
    shop = await makeShop(RULES);
    shop.actions.set('make-link', () => Promise.resolve({ link: 'https://plan.example/l/1' }));
    customer = await shop.create('Customer', { name: 'Ada', email: 'ada@example.org' });
    await shop.worker.drain();
  });
  afterEach(() => shop.drop());

  it('are not found where each change and each date has its own mail', async () => {
    const order = await shop.create('Order', { title: 'One', ...priced, customer, dueOn: '2026-03-10' });
    await shop.create('Order', { title: 'Other', ...priced, customer });
    await shop.write('Order', { kind: 'update', id: order, values: { note: 'first' } });
    await shop.write('Order', { kind: 'update', id: order, values: { note: 'second' } });
    await until('2026-03-11T00:00:00.000Z');
    const { mails, runs } = await found();
    expect(mails).to.include({ made: 6 });
    expect(mails.templates).to.deep.equal({ 'mail/bill': 4, 'mail/order': 2 });
    expect(mails.twice).to.deep.equal([]);
    expect(runs).to.deep.equal({ states: { done: 6 }, repeated: [] });
  });

  it('are found when one change is reported by two events', async () => {
    const order = await shop.create('Order', { title: 'Twice', ...priced, customer });
    await shop.worker.drain();
    await run(
      shop.db,
      sql`insert into ${platformTable(shop.db, 'event')} (id, object, record_id, kind, at, before, after, changed, cause, actor)
          select gen_random_uuid(), object, record_id, kind, at, before, after, changed, cause, actor from ${platformTable(shop.db, 'event_log')} where record_id = ${order}::uuid`,
    );
    await shop.worker.drain();
    const { mails, runs } = await found();
    expect(mails.twice).to.have.length(1);
    expect(mails.twice[0]).to.include({ template: 'mail/order', object: 'Order', record: order, times: 2 });
    expect(mails.twice[0]?.occasion).to.match(/^change at/);
    expect(runs.repeated.map(({ rule, record, times }) => [rule, record, times])).to.deep.equal([['confirm', order, 2]]);
  });

  it('are found when a schedule writes twice on one day, and not on two days', async () => {
    const order = await shop.create('Order', { title: 'Nagged', ...priced, customer, queue: 'nagged' });
    await until('2026-03-03T15:00:00.000Z');
    expect((await found()).mails.twice).to.deep.equal([]);
    await until('2026-03-03T23:00:00.000Z');
    const { mails, runs } = await found();
    expect(mails.twice.map(({ record, occasion, times }) => [record, occasion, times])).to.deep.equal([[order, 'day 2026-03-03', 2]]);
    expect(runs.repeated).to.deep.equal([]);
  });

  it('are found when a campaign writes to one record at two occasions', async () => {
    const order = await shop.create('Order', { title: 'Advertised', ...priced, customer });
    for (const note of ['advertise', 'no more', 'advertise']) {
      await shop.write('Order', { kind: 'update', id: order, values: { note } });
      await shop.worker.drain();
    }
    const { mails } = await found();
    expect(mails.twice.map(({ record, occasion, times }) => [record, occasion, times])).to.deep.equal([[order, 'the record', 2]]);
  });

  it('do not count mail that was held back', async () => {
    const order = await shop.create('Order', { title: 'Left alone', ...priced, customer });
    await run(
      shop.db,
      sql`insert into ${platformTable(shop.db, 'mail_suppression')} (address, reason, at) values ('ada@example.org', 'unsubscribe', ${START}::timestamptz)`,
    );
    for (const note of ['advertise', 'no more', 'advertise']) {
      await shop.write('Order', { kind: 'update', id: order, values: { note } });
      await shop.worker.drain();
    }
    const { mails } = await found();
    expect(mails.states['suppressed']).to.equal(2);
    expect(mails.twice).to.deep.equal([]);
  });
});
