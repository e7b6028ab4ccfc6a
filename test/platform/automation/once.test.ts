import { expect } from 'chai';
import * as stableSteps from '../../../migrations/0007-stable-steps.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { stepKeys } from '../../../src/platform/automation/step-keys.ts';
import type { RuleFile, RuleStep } from '../../../src/platform/metadata/types.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const todo = (subject: string, more: Partial<Extract<RuleStep, { step: 'create' }>> = {}): RuleStep => ({
  step: 'create',
  object: 'Todo',
  values: { subject: `'${subject}'`, order: 'id' },
  once: 'quantity',
  ...more,
});
const line: RuleStep = { step: 'create', object: 'Line', values: { order: 'id', sku: "'x'" }, once: 'quantity' };
const rule = (...steps: readonly RuleStep[]): RuleFile => ({ name: 'mark', on: { updated: 'Order', fields: ['note'] }, do: steps });

describe('steps that are done once', () => {
  let shop: Shop;
  let notes = 0;
  beforeEach(async () => {
    shop = await makeShop([]);
  });
  afterEach(() => shop.drop());

  /** Starts the rule for an order and answers what it made by then. */
  async function fire(id: string): Promise<readonly unknown[]> {
    await shop.write('Order', { kind: 'update', id, values: { note: `n${String((notes += 1))}` } });
    await shop.worker.drain();
    const todos = await shop.list('Todo', `order == '${id}'`);
    const lines = await shop.list('Line', `order == '${id}'`);
    return [...todos.map((found) => found['subject']), ...lines.map((found) => found['sku'])];
  }
  const refused = (...steps: readonly RuleStep[]): Promise<string> =>
    shop.publish([rule(...steps)]).then(
      () => 'applied',
      (error: unknown) => (isAppError(error) ? [error.message, ...error.errors.map((entry) => `${entry.detail} ${entry.fix ?? ''}`)].join(' ') : String(error)),
    );

  it('are not done again when the rule is reordered, gets another step, or words them otherwise', async () => {
    await shop.publish([rule(todo('A'), line)]);
    const id = await shop.create('Order', { title: 'One', quantity: 1 });
    expect(await fire(id)).to.deep.equal(['A', 'x']);
    await shop.publish([rule({ step: 'update', values: { queue: "'q'" } }, line, todo('B', { when: 'quantity > 0' }))]);
    expect(await fire(id)).to.deep.equal(['A', 'x']);
    await shop.write('Order', { kind: 'update', id, values: { quantity: 2 } });
    expect(await fire(id), 'another value of `once` is another thing').to.have.members(['A', 'x', 'B', 'x']);
  });

  it('are told apart by name or id where they look alike; a name may be given later, and with an id it may change', async () => {
    await shop.publish([rule(todo('A'))]);
    const id = await shop.create('Order', { title: 'One', quantity: 1 });
    expect(await fire(id)).to.deep.equal(['A']);
    await shop.publish([rule(todo('A', { name: 'first' }))]);
    expect(await fire(id), 'its first name').to.deep.equal(['A']);
    await shop.publish([rule(todo('B', { name: 'second' }), todo('A', { name: 'first' }))]);
    expect(await fire(id)).to.deep.equal(['A', 'B']);
    await shop.publish([rule(todo('A', { id: '0123456789ab', name: 'first' }), todo('B', { name: 'second' }))]);
    expect(await fire(id), 'its id').to.deep.equal(['A', 'B']);
    await shop.publish([rule(todo('A', { id: '0123456789ab', name: 'renamed' }), todo('B', { name: 'second' }))]);
    expect(await fire(id), 'its new name').to.deep.equal(['A', 'B']);
    const [last] = await shop.runs('mark');
    expect(last?.trace.steps?.map((step) => step.name)).to.deep.equal(['renamed', 'second']);
  });

  it('that cannot be told apart are refused, and so are two steps of one name or id', async () => {
    expect(await refused(todo('A'), todo('B'))).to.match(/do\/1.*cannot be told apart.*name/);
    expect(await refused(todo('A', { name: 'one' }), todo('B', { once: "'other'", name: 'one' }))).to.match(/do\/1.*"one"/);
    expect(await refused(todo('A', { id: '0123456789ab' }), todo('B', { once: "'other'", id: '0123456789ab' }))).to.match(/do\/1.*0123456789ab/);
    expect(await refused(todo('A', { name: 'one' }), todo('B', { name: 'two' }), todo('C', { once: "'c'" }))).to.equal('applied');
  });

  it('that were done under their place in the rule, as it was before, are not done again', async () => {
    const forEach = { relation: 'lines' };
    const steps = [{ step: 'update', values: { queue: "'q'" } }, todo('A'), todo('A', { forEach }), todo('C', { once: "'c'" })] as const;
    await shop.publish([rule(...steps)]);
    const id = [...(await shop.store.current()).rules.values()][0]?.id ?? '';
    const record = '01920000-0000-7000-8000-00000000000a';
    const old = [1, 2, 3].map((index) => `${id}:${String(index)}:${record}:1${index === 2 ? ':item' : ''}`);
    for (const key of [...old, `${id}:7:${record}:1`, `other:1:${record}:1`])
      await run(shop.db, sql`insert into credenza.step_once (key, record_id, at) values (${key}, ${record}::uuid, '2026-03-01T00:00:00Z')`);
    await shop.db.transaction(async (tx) => {
      await tx.raw('set local search_path to credenza, public');
      await stableSteps.up(tx);
    });
    const keys = stepKeys(steps).map((entry) => entry.keys[0] ?? '');
    const found = await rows(shop.db, sql`select key from credenza.step_once`);
    expect(found.map((row) => row['key'])).to.have.members([
      `${id}:${keys[1] ?? ''}:${record}:1`,
      `${id}:${keys[2] ?? ''}:${record}:1:item`,
      `${id}:${keys[3] ?? ''}:${record}:1`,
      `${id}:7:${record}:1`,
      `other:1:${record}:1`,
    ]);
  });
});
