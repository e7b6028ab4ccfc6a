import { expect } from 'chai';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const RUNS = 130;

describe('runs that share a transaction', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([
      {
        name: 'made',
        on: { created: 'Order' },
        when: "title != 'left out'",
        do: [
          { step: 'create', object: 'Todo', values: { subject: 'note == null ? title : note', order: 'id' } },
          { step: 'update', values: { quantity: 'quantity + 1' } },
          { step: 'update', record: 'customer', values: { tier: 'title' } },
          { step: 'send-mail', template: 'mail/bill', to: 'customer.email', class: 'transactional' },
        ],
      },
      { name: 'follows', on: { created: 'Todo' }, do: [{ step: 'update', record: 'order', values: { queue: 'subject' } }] },
    ]);
    await shop.worker.drain();
  });
  after(() => shop.drop());

  it(`${String(RUNS)} orders, one of which cannot be done: it alone fails, and every write says which run it comes from`, async () => {
    const customers: string[] = [];
    for (let at = 0; at < 3; at += 1) customers.push(await shop.create('Customer', { name: `C${String(at)}`, email: `c${String(at)}@shop.example` }));
    const context = await shop.context();
    const items = Array.from({ length: RUNS }, (_, at) => ({
      kind: 'create' as const,
      // A subject of more than 60 letters is refused.
      values: { title: `Order ${String(at)}`, quantity: at, price: '1.00', customer: customers[at % 3], note: at === 77 ? 'x'.repeat(61) : null },
    }));
    await shop.db.transaction((tx) => shop.engine.write(tx, context, 'Order', items, { asSystem: true }));
    await shop.worker.drain();

    const runs = await shop.runs('made');
    expect(runs.map(({ state }) => state).filter((state) => state === 'done')).to.have.length(RUNS - 1);
    const failed = runs.filter(({ state }) => state === 'failed');
    expect(failed).to.have.length(1);
    expect(failed[0]?.error).to.contain('subject');
    expect(failed[0]?.attempts).to.equal(1);

    const orders = await shop.list('Order');
    expect(orders).to.have.length(RUNS);
    for (const order of orders) {
      const at = Number(/\d+/.exec(String(order['title']))?.[0]);
      expect(order['quantity'], String(order['title'])).to.equal(at === 77 ? at : at + 1);
      expect(order['queue'], String(order['title'])).to.equal(at === 77 ? null : order['title']);
    }
    expect(await shop.list('Todo')).to.have.length(RUNS - 1);

    const ofRun = new Map(runs.map((run) => [run.id, run]));
    const history = await rows(
      shop.db,
      sql`select h.cause->>'run' as run, h.record_id, jsonb_array_length(h.cause->'chain') as depth from credenza.record_history h where h.cause->>'rule' = 'made'`,
    );
    // A todo, the order and, each time its title differs, the customer.
    expect(history).to.have.length(3 * (RUNS - 1));
    expect(new Set(history.map((row) => row['run'])).size).to.equal(RUNS - 1);
    for (const row of history) {
      expect(Number(row['depth'])).to.equal(1);
      expect(ofRun.get(String(row['run']))?.state).to.equal('done');
    }
    const ownWrites = history.filter((row) => ofRun.get(String(row['run']))?.recordId === row['record_id']);
    expect(ownWrites).to.have.length(RUNS - 1);

    const mails = await rows(shop.db, sql`select about_id, count(*)::int as n from credenza.mail_delivery group by about_id`);
    expect(mails).to.have.length(RUNS - 1);
    expect(mails.every((row) => row['n'] === 1)).to.equal(true);
    const follows = await shop.runs('follows');
    expect(follows.map(({ state, depth }) => `${state} ${String(depth)}`)).to.deep.equal(Array.from({ length: RUNS - 1 }, () => 'done 1'));
  });

  it('add up on one record as they do one after the other, whether they read it by reference or count what points at it', async () => {
    const adding = await makeShop([
      { name: 'adds', on: { created: 'Line' }, do: [{ step: 'update', record: 'order', values: { quantity: 'order.quantity + 1' } }] },
      {
        name: 'marks',
        on: { created: 'Line' },
        do: [
          { step: 'update', values: { picked: 'true' } },
          { step: 'update', record: 'order', values: { note: "order.lines.count(l, l.picked) == 60 ? 'all' : 'some'" } },
        ],
      },
    ]);
    try {
      await adding.worker.drain();
      const orders = [await adding.create('Order', { title: 'A', quantity: 0 }), await adding.create('Order', { title: 'B', quantity: 0 })];
      const context = await adding.context();
      const items = Array.from({ length: 120 }, (_, at) => ({ kind: 'create' as const, values: { order: orders[at % 2], sku: String(at) } }));
      await adding.db.transaction((tx) => adding.engine.write(tx, context, 'Line', items, { asSystem: true }));
      await adding.worker.drain();
      const found = await adding.list('Order');
      expect(found.map((order) => [order['title'], order['quantity'], order['note']])).to.deep.equal([
        ['A', 60, 'all'],
        ['B', 60, 'all'],
      ]);
      const runs = await adding.runs();
      expect(runs.every(({ state, attempts }) => state === 'done' && attempts === 1)).to.equal(true);
    } finally {
      await adding.drop();
    }
  });

  it('take far fewer statements than one after the other', async () => {
    const counted = async (orders: number): Promise<number> => {
      const context = await shop.context();
      const items = Array.from({ length: orders }, (_, at) => ({ kind: 'create' as const, values: { title: `More ${String(at)}`, quantity: 1 } }));
      await shop.db.transaction((tx) => shop.engine.write(tx, context, 'Order', items, { asSystem: true }));
      let statements = 0;
      const count = (): void => void (statements += 1);
      shop.db.on('query', count);
      await shop.worker.drain();
      shop.db.off('query', count);
      return statements;
    };
    const one = await counted(1);
    const fifty = await counted(50);
    expect(fifty).to.be.below(2 * one);
  });
});
