import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { openTestPool } from '../../support/database.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const RULES: readonly RuleFile[] = [
  {
    name: 'greet',
    on: { created: 'Order' },
    when: "customer.tier == 'gold' && quantity >= 2",
    do: [
      {
        step: 'create',
        object: 'Todo',
        values: {
          subject: "'Greet ' + customer.name",
          about: 'id',
          order: 'id',
          dueOn: "addBusinessDays(today(), policy('picks', this, today()).days, 'plan')",
        },
      },
    ],
  },
  {
    name: 'note-changed',
    on: { updated: 'Order', fields: ['note'] },
    when: 'old.note != note',
    do: [{ step: 'create', object: 'Todo', values: { subject: "coalesce(old.note, 'none') + ' -> ' + coalesce(note, 'none')", order: 'id' } }],
  },
  {
    name: 'packed',
    on: { entered: 'Order', state: 'packed' },
    do: [
      { step: 'create', object: 'Line', forEach: "policy('picks', this, today()).skus", values: { order: 'id', sku: 'each' } },
      { step: 'update', forEach: { relation: 'lines', filter: "sku == 'b'" }, values: { picked: 'true' } },
      { step: 'create', object: 'Todo', once: "'packed'", values: { subject: "'Packed'", order: 'id' } },
      { step: 'update', record: 'created.Todo', values: { dueOn: "date('2026-03-09')" } },
      { step: 'assign', queue: 'dispatch', when: 'quantity > 5' },
    ],
  },
  { name: 'left-new', on: { left: 'Order', state: 'new' }, do: [{ step: 'create', object: 'Todo', values: { subject: "'Left'", order: 'id' } }] },
  { name: 'off', enabled: false, on: { created: 'Order' }, do: [{ step: 'create', object: 'Todo', values: { subject: "'never'" } }] },
];

describe('rules that start from events', () => {
  let shop: Shop;
  let gold: string;
  before(async () => {
    shop = await makeShop(RULES);
    gold = await shop.create('Customer', { name: 'Ada', tier: 'gold', email: 'ada@example.org' });
  });
  after(() => shop.drop());

  /** Subjects of an order's todos, in the order in which they were written. */
  const subjects = async (order: string): Promise<unknown[]> => {
    const todos = await shop.list('Todo', `order == '${order}'`);
    const written = await rows(
      shop.db,
      sql`select record_id from ${platformTable(shop.db, 'record_history')} where record_id = any(${todos.map((todo) => todo['id'])}::uuid[]) and version = 1 order by id`,
    );
    return written.map((entry) => todos.find((todo) => todo['id'] === entry['record_id'])?.['subject']);
  };

  it('runs for a created record that meets the condition, once, and keeps what it looked at', async () => {
    const yes = await shop.create('Order', { title: 'One', customer: gold, quantity: 2 });
    const no = await shop.create('Order', { title: 'Two', customer: gold, quantity: 1 });
    await shop.worker.drain();
    await shop.worker.drain();
    const [todo, ...more] = await shop.list('Todo', `order == '${yes}'`);
    expect(more).to.deep.equal([]);
    expect(todo).to.include({ subject: 'Greet Ada', dueOn: '2026-03-05' });
    expect(todo?.['about']).to.include({ object: 'Order', id: yes });
    expect(await subjects(no)).to.deep.equal([]);
    const [only, ...others] = await shop.runs('greet');
    expect(others).to.deep.equal([]);
    expect(only).to.include({ state: 'done', recordId: yes, attempts: 1, depth: 0 });
    expect(only?.trace.values).to.deep.equal({ 'customer.tier': 'gold', quantity: 2 });
    expect(only?.trace.steps?.[0]).to.include({ kind: 'create', outcome: 'done', object: 'Todo', record: todo?.['id'] });
  });

  it('sees the record before and after, and only the fields it watches', async () => {
    const id = await shop.create('Order', { title: 'Three' });
    await shop.write('Order', { kind: 'update', id, values: { note: 'a' } });
    await shop.worker.drain();
    await shop.write('Order', { kind: 'update', id, values: { quantity: 1 } });
    await shop.write('Order', { kind: 'update', id, values: { note: 'b' } });
    await shop.worker.drain();
    expect(await subjects(id)).to.deep.equal(['none -> a', 'a -> b']);
  });

  it('runs when a state is entered or left; later steps see what earlier ones wrote', async () => {
    const id = await shop.create('Order', { title: 'Four', quantity: 6 });
    await shop.worker.drain();
    expect(await subjects(id)).to.deep.equal([]);
    await shop.write('Order', { kind: 'transition', id, transition: 'pack' });
    await shop.worker.drain();
    expect(await subjects(id)).to.have.members(['Packed', 'Left']);
    const lines = await shop.list('Line', `order == '${id}'`);
    expect(lines.map((line) => [line['sku'], line['picked']])).to.have.deep.members([
      ['a', null],
      ['b', true],
    ]);
    expect((await shop.list('Todo', `order == '${id}'`)).find((todo) => todo['subject'] === 'Packed')?.['dueOn']).to.equal('2026-03-09');
    expect((await shop.list('Order', `id == '${id}'`))[0]?.['queue']).to.equal('dispatch');
    expect((await shop.runs('packed'))[0]?.trace.steps?.map((step) => `${step.kind} ${step.outcome}`)).to.deep.equal([
      'create done',
      'create done',
      'update done',
      'create done',
      'update done',
      'assign done',
    ]);
  });

  it('writes with the cause of the rule, so that history says which run did it', async () => {
    const [done] = await shop.runs('packed');
    const [entry] = await rows(
      shop.db,
      sql`select cause, actor from ${platformTable(shop.db, 'record_history')} where cause->>'kind' = 'rule' and cause->>'rule' = 'packed' limit 1`,
    );
    expect(entry?.['cause']).to.deep.include({ kind: 'rule', rule: 'packed', run: done?.id });
  });

  it('publishing the same rules again, or a changed one, fires nothing for what has happened', async () => {
    const before = (await shop.runs()).length;
    await shop.publish(RULES);
    await shop.publish(RULES.map((rule) => (rule.name === 'greet' ? { ...rule, when: 'true' } : rule)));
    await shop.worker.drain();
    expect((await shop.runs()).length).to.equal(before);
    await shop.publish(RULES);
  });

  it('an event handled twice starts a rule once', async () => {
    const id = await shop.create('Order', { title: 'Again', customer: gold, quantity: 3 });
    await shop.worker.drain();
    const event = (await rows(shop.db, sql`select id from ${platformTable(shop.db, 'event_log')} where record_id = ${id}::uuid order by seq limit 1`))[0]?.[
      'id'
    ];
    await run(
      shop.db,
      sql`insert into ${platformTable(shop.db, 'event')} (id, object, record_id, kind, at, before, after, changed, cause, actor)
          select id, object, record_id, kind, at, before, after, changed, cause, actor from ${platformTable(shop.db, 'event_log')} where id = ${String(event)}::uuid`,
    );
    expect((await shop.worker.drain())['events']).to.equal(1);
    expect(await subjects(id)).to.deep.equal(['Greet Ada']);
  });

  it('an event of a chunk runs the rule for each of its records that match', async () => {
    const call = await shop.context();
    const items = [3, 1, 4].map((quantity) => ({ kind: 'create' as const, values: { title: `Chunk ${String(quantity)}`, customer: gold, quantity } }));
    const outcomes = await inTransaction(shop.db, (tx) => shop.engine.write(tx, call, 'Order', items, { asSystem: true, events: 'chunk' }));
    const counts = await shop.worker.drain();
    expect(counts['runs']).to.equal(2);
    const found = await Promise.all(outcomes.map((outcome) => (outcome.ok ? subjects(outcome.id) : Promise.resolve(['failed']))));
    expect(found).to.deep.equal([['Greet Ada'], [], ['Greet Ada']]);
  });

  it('two workers at once do each run once', async () => {
    const other = openTestPool(shop.url);
    try {
      const ids: string[] = [];
      for (let index = 0; index < 12; index += 1) ids.push(await shop.create('Order', { title: `Race ${String(index)}`, customer: gold, quantity: 2 }));
      const second = shop.second(other);
      await Promise.all([shop.worker.drain(), second.drain(), shop.worker.drain()]);
      await shop.worker.drain();
      for (const id of ids) expect(await subjects(id)).to.deep.equal(['Greet Ada']);
    } finally {
      await other.destroy();
    }
  });

  it('runs of one record go in the order of its events; `old` is of the event, the record as it is by then', async () => {
    const id = await shop.create('Order', { title: 'Ordered' });
    for (const note of ['1', '2', '3', '4']) await shop.write('Order', { kind: 'update', id, values: { note } });
    const other = openTestPool(shop.url);
    try {
      await Promise.all([shop.worker.drain(), shop.second(other).drain()]);
      await shop.worker.drain();
      expect(await subjects(id)).to.deep.equal(['none -> 4', '1 -> 4', '2 -> 4', '3 -> 4']);
    } finally {
      await other.destroy();
    }
  });

  it('a record that is gone by the time of its run is skipped, with the reason', async () => {
    const id = await shop.create('Order', { title: 'Gone', customer: gold, quantity: 9 });
    await shop.write('Order', { kind: 'delete', id });
    await shop.worker.drain();
    const [found] = (await shop.runs('greet')).filter((entry) => entry.recordId === id);
    expect(found?.state).to.equal('skipped');
    expect(found?.trace.reason).to.contain('no longer there');
  });
});

describe('rules that fail', () => {
  let shop: Shop;
  let fail: AppError | Error | null = null;
  before(async () => {
    shop = await makeShop([
      {
        name: 'try',
        on: { created: 'Order' },
        do: [
          { step: 'create', object: 'Todo', values: { subject: "'Half'", order: 'id' } },
          { step: 'action', action: 'outside' },
        ],
      },
      { name: 'too-long', on: { updated: 'Order', fields: ['note'] }, do: [{ step: 'create', object: 'Todo', values: { subject: 'note', order: 'id' } }] },
      { name: 'guarded', on: { updated: 'Order', fields: ['queue'] }, do: [{ step: 'transition', transition: 'pack' }] },
    ]);
    shop.actions.set('outside', () => (fail === null ? Promise.resolve() : Promise.reject(fail)));
  });
  after(() => shop.drop());

  it('leaves nothing of a failed run, tries again after 1, 5, 30 and 120 minutes, then lists it; replay does it', async () => {
    fail = new AppError('external_unavailable', 'The outside is closed.');
    const id = await shop.create('Order', { title: 'Retry' });
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await shop.worker.drain();
      const [run] = await shop.runs('try');
      expect(run?.attempts).to.equal(attempt);
      expect(await shop.list('Todo')).to.deep.equal([]);
      if (run?.state === 'ready') {
        pauses.push((Date.parse(run.dueAt) - shop.clock.nowMs()) / 60_000);
        await shop.worker.drain();
        expect((await shop.runs('try'))[0]?.attempts).to.equal(attempt);
        shop.clock.advanceTo(run.dueAt);
      }
    }
    expect(pauses).to.deep.equal([1, 5, 30, 120]);
    const [failed] = await shop.runs('try');
    expect(failed).to.include({ state: 'failed', error: 'The outside is closed.', recordId: id });
    fail = null;
    await shop.automation.replayRun(shop.db, failed?.id ?? '');
    await shop.worker.drain();
    expect((await shop.runs('try'))[0]?.state).to.equal('done');
    expect(await shop.list('Todo', `order == '${id}'`)).to.have.length(1);
    const again = await shop.automation.replayRun(shop.db, failed?.id ?? '').then(
      () => null,
      (error: unknown) => error,
    );
    expect(again).to.be.instanceOf(AppError);
  });

  it('fails at once on what another try would only repeat, with the places that were wrong', async () => {
    const id = await shop.create('Order', { title: 'Long', quantity: 0 });
    await shop.write('Order', { kind: 'update', id, values: { note: 'x'.repeat(61), queue: 'q' } });
    await shop.worker.drain();
    const [long] = await shop.runs('too-long');
    expect(long).to.include({ state: 'failed', attempts: 1 });
    expect(long?.error).to.contain('/subject');
    const [guarded] = await shop.runs('guarded');
    expect(guarded).to.include({ state: 'failed', attempts: 1 });
    expect(guarded?.error).to.contain('Nothing to pack.');
  });

  it('a run whose transaction is lost is done again by whoever comes next, whole', async () => {
    const dying = openTestPool(shop.url, { poolSize: 1 });
    try {
      const id = await shop.create('Order', { title: 'Killed' });
      await shop.automation.handleEvents(shop.db);
      shop.actions.set('outside', async (tx) => {
        const [backend] = await rows(tx, sql`select pg_backend_pid() as pid`);
        await run(shop.db, sql`select pg_terminate_backend(${Number(backend?.['pid'])}::int, 5000)`);
        await run(tx, sql`select 1`);
      });
      await shop.automation.runRuns(dying).catch((error: unknown) => expect(error).to.be.instanceOf(Error));
      expect(await shop.list('Todo', `order == '${id}'`)).to.have.length(0);
      shop.actions.set('outside', () => Promise.resolve());
      shop.clock.advanceTo(new Date(shop.clock.nowMs() + 60_000).toISOString());
      await shop.worker.drain();
      expect(await shop.list('Todo', `order == '${id}'`)).to.have.length(1);
    } finally {
      await dying.destroy();
    }
  });
});

describe('rules that start each other', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([
      { name: 'self', on: { updated: 'Order', fields: ['quantity'] }, when: 'quantity < 100', do: [{ step: 'update', values: { quantity: 'quantity + 1' } }] },
      { name: 'spawn', on: { created: 'Todo' }, do: [{ step: 'create', object: 'Todo', values: { subject: "'child'" } }] },
    ]);
  });
  after(() => shop.drop());

  it('a rule runs once for a record in a chain; the second time is noted and skipped', async () => {
    const id = await shop.create('Order', { title: 'Self', quantity: 1 });
    await shop.write('Order', { kind: 'update', id, values: { quantity: 2 } });
    await shop.worker.drain();
    expect((await shop.list('Order', `id == '${id}'`))[0]?.['quantity']).to.equal(3);
    expect((await shop.runs('self')).map((entry) => entry.state).sort()).to.deep.equal(['done', 'skipped']);
  });

  it('a chain of more than eight is put into quarantine with its path, and can be replayed', async () => {
    await shop.create('Todo', { subject: 'first' });
    await shop.worker.drain();
    const runs = await shop.runs('spawn');
    expect(runs.filter((entry) => entry.state === 'done')).to.have.length(8);
    const [stopped] = runs.filter((entry) => entry.state === 'quarantined');
    expect(stopped?.trace.reason).to.contain('8 times').and.to.contain('spawn -> spawn');
    expect(await shop.list('Todo')).to.have.length(9);
    await shop.automation.replayRun(shop.db, stopped?.id ?? '');
    await shop.worker.drain();
    expect(await shop.list('Todo')).to.have.length(10);
  });
});
