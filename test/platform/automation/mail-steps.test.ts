import { expect } from 'chai';
import { platformTable, rows, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

describe('mail to several recipients', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([
      {
        name: 'bill',
        on: { entered: 'Order', state: 'packed' },
        do: [
          { step: 'send-mail', template: 'mail/bill', to: "[note, customer.email, 'third@example.org']", class: 'transactional' },
          { step: 'create', object: 'Todo', values: { subject: "'Billed'", order: 'id' } },
        ],
      },
    ]);
  });
  after(() => shop.drop());

  it('reaches the others when one address is none, and the run says who was not written to and why', async () => {
    const customer = await shop.create('Customer', { name: 'Ada', email: 'ada@example.org' });
    const id = await shop.create('Order', { title: 'Lamp', customer, quantity: 1, price: '2', note: 'bill me at home' });
    await shop.write('Order', { kind: 'transition', id, transition: 'pack' });
    await shop.worker.drain();
    const found = await rows(shop.db, sql`select recipient, state, last_error, about_id from ${platformTable(shop.db, 'mail_delivery')} order by recipient`);
    const reason = 'This is not one plain e-mail address.';
    expect(found).to.deep.equal([
      { recipient: 'ada@example.org', state: 'queued', last_error: null, about_id: id },
      { recipient: 'bill me at home', state: 'failed', last_error: reason, about_id: id },
      { recipient: 'third@example.org', state: 'queued', last_error: null, about_id: id },
    ]);
    const [run] = await shop.runs('bill');
    expect(run?.state).to.equal('done');
    expect(run?.trace.steps?.map((step) => [step.kind, step.outcome, step.reason])).to.deep.equal([
      ['send-mail', 'failed', reason],
      ['send-mail', 'done', undefined],
      ['send-mail', 'done', undefined],
      ['create', 'done', undefined],
    ]);
    expect(JSON.stringify(run?.trace), 'the trace holds no address').not.to.contain('at home');
    expect(await shop.list('Todo')).to.have.length(1);
  });
});
