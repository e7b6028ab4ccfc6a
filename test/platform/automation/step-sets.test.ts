import { expect } from 'chai';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const todo = (subject: string) => ({ step: 'create' as const, object: 'Todo', values: { subject, order: 'id' } });

const RULES: readonly RuleFile[] = [
  {
    name: 'agenda',
    on: { created: 'Order' },
    do: [
      todo("'First'"),
      todo("'Second'"),
      todo("'Third'"),
      { step: 'create', object: 'Line', values: { order: 'id', sku: "'a'" } },
      { step: 'update', record: 'created.Todo', values: { dueOn: "date('2026-03-09')" } },
      todo("'Of ' + title"),
    ],
  },
  { name: 'one-too-long', on: { updated: 'Order', fields: ['note'] }, do: [todo("'Fits'"), todo(`'${'x'.repeat(61)}'`)] },
];

describe('steps that make records out of fixed values', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop(RULES);
  });
  after(() => shop.drop());

  it('are written at once where they are neighbours, in their order, each with its own trace', async () => {
    const inserts: string[] = [];
    const listen = ({ sql: text }: { readonly sql: string }): void => void (/^insert into "[^"]+"\."todo/.test(text) && inserts.push(text));
    const order = await shop.create('Order', { title: 'Kit' });
    shop.db.on('query', listen);
    await shop.worker.drain();
    shop.db.removeListener('query', listen);
    expect(inserts).to.have.length(2);
    const [run] = await shop.runs('agenda');
    const steps = run?.trace.steps ?? [];
    expect(steps.map((step) => [step.step, step.kind, step.outcome, step.object])).to.deep.equal([
      [0, 'create', 'done', 'Todo'],
      [1, 'create', 'done', 'Todo'],
      [2, 'create', 'done', 'Todo'],
      [3, 'create', 'done', 'Line'],
      [4, 'update', 'done', 'Todo'],
      [5, 'create', 'done', 'Todo'],
    ]);
    const made = await shop.list('Todo', `order == '${order}'`);
    const subjectOf = (step: number): unknown => made.find((record) => record['id'] === steps[step]?.record)?.['subject'];
    expect([0, 1, 2, 5].map(subjectOf)).to.deep.equal(['First', 'Second', 'Third', 'Of Kit']);
    expect(made.filter((record) => record['dueOn'] === '2026-03-09').map((record) => record['subject'])).to.deep.equal(['Third']);
  });

  it('leave nothing when one of them is wrong', async () => {
    const order = await shop.create('Order', { title: 'Half' });
    await shop.worker.drain();
    await shop.write('Order', { kind: 'update', id: order, values: { note: 'now' } });
    await shop.worker.drain();
    const [run] = await shop.runs('one-too-long');
    expect(run).to.include({ state: 'failed', attempts: 1 });
    expect(run?.error).to.contain('/subject');
    expect((await shop.list('Todo', `order == '${order}' && subject == 'Fits'`)).length).to.equal(0);
  });
});
