import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { explain, type Explanation } from '../../../src/platform/automation/explain.ts';
import type { PermissionFile } from '../../../src/platform/metadata/types.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const ANNA = '01920000-0000-7000-8000-0000000000a1';
const SETS: readonly PermissionFile[] = [
  {
    name: 'clerk',
    label: 'Clerk',
    audience: 'staff',
    objects: { Order: { read: true, fields: ['title', 'quantity'] } },
    actions: ['explain'],
  },
  {
    name: 'seller',
    label: 'Seller',
    audience: 'staff',
    objects: {
      Order: { read: true },
      Customer: { read: { where: 'ownerId == user' }, fields: ['name', 'tier'] },
      Line: { read: { where: 'picked == true' } },
      Todo: { read: { where: 'ownerId == user' } },
    },
    actions: ['explain'],
  },
];

/** A comparison that held, with its two sides. */
const GREW = {
  text: 'quantity > old.quantity',
  holds: true,
  values: { quantity: 5 },
  parts: [
    { text: 'quantity', holds: null, values: { quantity: 5 }, value: 5 },
    { text: 'old.quantity', holds: null, values: {}, value: 1 },
  ],
};

const counted = (holds: boolean | null, records: unknown, value: unknown) => {
  const values = { 'lines.picked': records };
  return { text: 'lines.count(l, l.picked == true) == 1', holds, values, parts: [{ text: 'lines.count(l, l.picked == true)', holds: null, values, value }] };
};

describe('explanations for those who may not read everything', () => {
  let shop: Shop;
  let own: string;
  let foreign: string;
  before(async () => {
    shop = await makeShop(
      [
        {
          name: 'big',
          on: { updated: 'Order', fields: ['quantity', 'note'] },
          when: "quantity > old.quantity && customer.tier == 'gold' && lines.count(l, l.picked == true) == 1 && customer.pin != '9'",
          do: [{ step: 'create', object: 'Todo', values: { subject: "'Big for ' + customer.name", order: 'id' } }],
        },
        { name: 'paid', on: { updated: 'Order' }, when: 'total > 5 && price != old.price', do: [{ step: 'update', values: { dueOn: 'today()' } }] },
        { name: 'gold', on: { created: 'Order' }, when: "title == 'Lamp' && customer.tier == 'gold'", do: [{ step: 'action', action: 'nothing' }] },
        { name: 'soon', on: { date: 'Order.dueOn', offsets: ['-P7D'], at: '08:00' }, do: [{ step: 'action', action: 'fails' }] },
      ],
      { permissions: SETS },
    );
    await shop.db.raw(`insert into credenza.app_user (id, created_at, created_by, updated_at, updated_by, email, email_s, name, name_s)
      values ('${ANNA}', now(), 'test', now(), 'test', 'anna@plan.example', 'anna@plan.example', 'Anna', 'anna')`);
    shop.actions.set('nothing', () => Promise.resolve());
    shop.actions.set('fails', () => Promise.reject(new Error('Ada may not be told')));
    const make = async (ownerId: string | null): Promise<string> => {
      const customer = await shop.create('Customer', { name: 'Ada', tier: 'gold', pin: '1234', ...(ownerId === null ? {} : { ownerId }) });
      const id = await shop.create('Order', { title: 'Lamp', customer, quantity: 1, price: '2', dueOn: '2026-03-10' });
      await shop.create('Line', { order: id, picked: true });
      await shop.write('Order', { kind: 'update', id, values: { quantity: 5 } });
      return id;
    };
    own = await make(ANNA);
    foreign = await make(null);
    await shop.create('Line', { order: foreign, picked: false });
    await shop.worker.drain();
  });
  after(() => shop.drop());

  const as = async (set: string): Promise<CallContext> => ({
    ...(await shop.context()),
    principal: { kind: 'user', userId: ANNA, permissionSets: [set], email: 'anna@plan.example', name: 'Anna' },
  });
  const told = async (set: string, rule: string, id: string): Promise<Explanation> => explain(shop.db, await as(set), rule, id);

  it('show what the system saw to those who may read it, but for what is restricted', async () => {
    const said = await told('seller', 'big', own);
    expect(said.events[0]?.started).to.equal(true);
    expect(said.events[0]?.operands).to.deep.equal([
      GREW,
      { text: "customer.tier == 'gold'", holds: true, values: { 'customer.tier': 'gold' } },
      counted(true, { records: 1 }, 1),
      { text: 'hidden', holds: null, values: {} },
    ]);
    expect((await told('seller', 'gold', own)).now).to.include({ exists: true, holds: true });
  });

  it('hide values and outcome where they come from rows that the reader may not see', async () => {
    const said = await told('seller', 'big', foreign);
    expect(said.events[0]?.operands).to.deep.equal([
      GREW,
      { text: "customer.tier == 'gold'", holds: null, values: { 'customer.tier': 'hidden' } },
      counted(null, 'hidden', 'hidden'),
      { text: 'hidden', holds: null, values: {} },
    ]);
    expect((await told('seller', 'gold', foreign)).now, 'what is seen does not decide it').to.include({ exists: true, holds: null });
    expect(said.now, 'what is seen decides it').to.include({ exists: true, holds: false });
    const system = await explain(shop.db, await shop.context(), 'big', foreign);
    expect(system.events[0]?.operands.map((operand) => operand.holds)).to.deep.equal([true, true, true, true]);
  });

  it('name no field, object or state that the reader may never read', async () => {
    const said = await told('clerk', 'big', own);
    expect(said.events[0]?.operands.map((operand) => [operand.text, operand.holds])).to.deep.equal([
      ['quantity > old.quantity', true],
      ['hidden', null],
      ['hidden', null],
      ['hidden', null],
    ]);
    await shop.write('Order', { kind: 'update', id: own, values: { price: '3' } });
    await shop.worker.drain();
    const after = await told('clerk', 'big', own);
    expect(after.events[0]).to.include({ started: false, reason: 'None of quantity, what you may not read changed (changed: what you may not read).' });
    const paid = await told('clerk', 'paid', own);
    expect(paid.events[0]?.operands).to.deep.equal([
      { text: 'hidden', holds: null, values: {} },
      { text: 'hidden', holds: null, values: {} },
    ]);
    expect(JSON.stringify([said, after, paid])).not.to.match(/price|total|note|customer|tier|pin|picked|dueOn|gold|1234/);
  });

  it('tell of runs that they were and how they ended, with the records that may be seen', async () => {
    const ran = await told('seller', 'big', foreign);
    const [run] = ran.runs;
    expect(run).to.include({ state: 'done', runKey: 'hidden', error: null });
    expect(run?.trace.values).to.deep.equal({ quantity: 5, 'customer.tier': 'hidden', 'lines.picked': 'hidden' });
    expect(run?.trace.steps).to.deep.equal([{ step: 0, kind: 'create', outcome: 'done', object: 'Todo' }]);
    expect((await told('clerk', 'big', foreign)).runs[0]?.trace).to.deep.equal({
      when: 'hidden',
      values: { quantity: 5 },
      steps: [{ step: 0, kind: 'create', outcome: 'done' }],
    });
    const whole = await explain(shop.db, await shop.context(), 'big', foreign);
    expect(whole.runs[0]?.trace.steps?.[0]?.record).to.match(/^[0-9a-f-]{36}$/);
  });

  it('keep the words of a failed run, and the day of a date rule, from those who may not read what they quote', async () => {
    shop.clock.advanceTo('2026-03-03T14:00:00.000Z');
    await shop.worker.drain();
    const seller = await told('seller', 'soon', foreign);
    expect(seller.runs[0]).to.include({ state: 'ready', error: 'hidden', anchor: '2026-03-10 -P7D' });
    expect(seller.fires).to.have.length(1);
    const clerk = await told('clerk', 'soon', foreign);
    expect(clerk.runs[0]).to.include({ state: 'ready', error: 'hidden', anchor: 'hidden' });
    expect(clerk.fires).to.deep.equal([]);
    expect((await explain(shop.db, await shop.context(), 'soon', foreign)).runs[0]?.error).to.contain('Ada');
  });

  it('of a record that the reader may not see are those of one that does not exist', async () => {
    const context = await as('nobody');
    const [unseen, missing] = await Promise.all([explain(shop.db, context, 'big', own), explain(shop.db, context, 'big', ANNA)]);
    expect({ ...unseen, record: '' }).to.deep.equal({ ...missing, record: '' });
    expect(unseen).to.deep.include({ events: [], runs: [], now: { exists: false, holds: false, operands: [] } });
  });
});
