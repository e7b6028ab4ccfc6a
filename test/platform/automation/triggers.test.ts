import { expect } from 'chai';
import { findLoops } from '../../../src/platform/automation/loops.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const noted = (subject: string): RuleFile['do'] => [{ step: 'create', object: 'Todo', values: { subject } }];

const RULES: readonly RuleFile[] = [
  { name: 'dear', on: { becameTrue: 'Order' }, when: 'total >= 100', do: noted("'Dear ' + title") },
  { name: 'gone', on: { deleted: 'Order' }, when: "note != 'draft'", do: noted("'Gone ' + title") },
  { name: 'back', on: { restored: 'Order' }, do: [{ step: 'update', values: { note: "'back'" } }] },
];

describe('triggers of rules', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop(RULES);
  });
  after(() => shop.drop());

  const subjects = async (): Promise<unknown[]> => (await shop.list('Todo')).map((todo) => todo['subject']).sort();
  const clear = async (): Promise<void> => {
    for (const todo of await shop.list('Todo')) await shop.write('Todo', { kind: 'delete', id: String(todo['id']) });
    await shop.worker.drain();
  };
  afterEach(clear);
  const change = (id: string, values: Readonly<Record<string, unknown>>): Promise<string> => shop.write('Order', { kind: 'update', id, values });

  it('a condition that becomes true starts its rule at each crossing and not while it goes on to hold', async () => {
    const id = await shop.create('Order', { title: 'A', price: '10.00', quantity: 2 });
    await shop.worker.drain();
    expect(await subjects(), 'it does not hold yet').to.deep.equal([]);
    await change(id, { quantity: 10 });
    await change(id, { quantity: 11 });
    await change(id, { note: 'nothing of the condition' });
    await shop.worker.drain();
    expect(await subjects(), 'once for the crossing').to.deep.equal(['Dear A']);
    await change(id, { quantity: 1 });
    await change(id, { price: '200.00' });
    await shop.worker.drain();
    expect(await subjects(), 'and again when it had stopped to hold').to.deep.equal(['Dear A', 'Dear A']);
    await shop.create('Order', { title: 'B', price: '100.00', quantity: 1 });
    await shop.worker.drain();
    expect(await subjects(), 'a record that is made so').to.deep.equal(['Dear A', 'Dear A', 'Dear B']);
  });

  it('a block of updates starts it for those of its records for which it did not hold before', async () => {
    const low = await shop.create('Order', { title: 'Low', price: '1.00', quantity: 1 });
    const high = await shop.create('Order', { title: 'High', price: '100.00', quantity: 1 });
    await shop.worker.drain();
    await clear();
    const context = await shop.context();
    await shop.db.transaction((tx) =>
      shop.engine.write(
        tx,
        context,
        'Order',
        [low, high].map((id) => ({ kind: 'update', id, values: { quantity: 150 } })),
        { asSystem: true, events: 'chunk' },
      ),
    );
    await shop.worker.drain();
    expect(await subjects()).to.deep.equal(['Dear Low']);
  });

  it('a record that goes to the trash starts a rule with the values that it had; one that comes back another', async () => {
    const id = await shop.create('Order', { title: 'C' });
    const draft = await shop.create('Order', { title: 'D', note: 'draft' });
    await shop.worker.drain();
    for (const each of [id, draft]) await shop.write('Order', { kind: 'delete', id: each });
    await shop.worker.drain();
    expect(await subjects()).to.deep.equal(['Gone C']);
    await shop.write('Order', { kind: 'restore', id });
    await shop.worker.drain();
    const [order] = await shop.list('Order', `id == '${id}'`);
    expect(order?.['note']).to.equal('back');
  });

  it('what nobody would be told of is refused with the place', async () => {
    const refused = async (rule: RuleFile): Promise<string> => {
      try {
        await shop.publish([rule]);
        return 'accepted';
      } catch (error) {
        if (!isAppError(error, 'metadata_invalid')) throw error;
        return `${error.errors[0]?.pointer.split('#')[1] ?? ''} ${error.errors[0]?.detail ?? ''}`;
      }
    };
    const base = { name: 'x', do: noted("'x'") };
    expect(await refused({ ...base, on: { becameTrue: 'Order' } })).to.match(/^\/when .*what becomes true/);
    expect(await refused({ ...base, on: { becameTrue: 'Order' }, when: 'dueOn < today()' })).to.match(/^\/when .*depends on the clock/);
    expect(await refused({ ...base, on: { becameTrue: 'Order' }, when: "customer.tier == 'gold'" })).to.match(/^\/when .*customer\.tier/);
    expect(await refused({ ...base, on: { becameTrue: 'Order' }, when: 'lines.exists(l, l.picked)' })).to.match(/^\/when .*of other records/);
    expect(await refused({ ...base, on: { deleted: 'Order' }, do: [{ step: 'update', values: { note: "'x'" } }] })).to.match(/^\/do\/0 .*trash/);
    expect(await refused({ ...base, on: { becameTrue: 'Order' }, when: 'customer == null' })).to.equal('accepted');
  });
});

describe('rules that may start each other in a circle', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([]);
  });
  after(() => shop.drop());

  const loops = async (...rules: readonly RuleFile[]): Promise<readonly string[]> => {
    await shop.publish(rules);
    return findLoops(await shop.store.current()).map(({ detail }) => detail);
  };

  it('are named with their steps, over fields, states and new records', async () => {
    const circle = await loops(
      { name: 'priced', on: { updated: 'Order', fields: ['price'] }, do: [{ step: 'update', values: { note: "'priced'" } }] },
      { name: 'noted', on: { updated: 'Order', fields: ['note'] }, do: [{ step: 'transition', transition: 'pack' }] },
      { name: 'packed', on: { entered: 'Order', state: 'packed' }, do: [{ step: 'update', values: { price: 'price + 1' } }] },
      { name: 'aside', on: { created: 'Line' }, do: [{ step: 'update', record: 'order', values: { price: '1' } }] },
    );
    expect(circle).to.deep.equal([
      'Rules may start each other in a circle: noted (step 1, transition) -> packed (step 1, update) -> priced (step 1, update) -> noted.',
    ]);
    expect(await loops({ name: 'more', on: { created: 'Todo' }, do: noted("'more'") })).to.have.length(1);
    expect(
      await loops({ name: 'true', on: { becameTrue: 'Order' }, when: 'total > 5', do: [{ step: 'update', values: { quantity: 'quantity + 1' } }] }),
    ).to.have.length(1);
  });

  it('are not those whose condition no longer holds by what was written, nor those that write other fields', async () => {
    expect(
      await loops(
        { name: 'a', on: { updated: 'Order', fields: ['note'] }, when: "status == 'new'", do: [{ step: 'transition', transition: 'pack' }] },
        { name: 'b', on: { entered: 'Order', state: 'packed' }, do: [{ step: 'update', values: { price: '1' } }] },
        { name: 'c', on: { updated: 'Customer', fields: ['tier'] }, when: "tier != 'gold'", do: [{ step: 'update', values: { tier: "'gold'" } }] },
        { name: 'd', on: { updated: 'Customer', fields: ['email'] }, when: 'email == null', do: [{ step: 'update', values: { email: "'a@example.org'" } }] },
        { name: 'e', on: { updated: 'Line', fields: ['sku'] }, do: [{ step: 'update', values: { sku: 'sku' } }] },
      ),
    ).to.deep.equal([]);
  });
});
