import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { checkRules } from '../../../src/platform/automation/compile.ts';
import { dryRun, explain, explainRecord } from '../../../src/platform/automation/explain.ts';
import { runRuleTests } from '../../../src/platform/automation/rule-tests.ts';
import { simulate } from '../../../src/platform/automation/simulate.ts';
import { markSandbox } from '../../../src/platform/automation/sandbox.sql.ts';
import { makeAutomation } from '../../../src/platform/automation/automation.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { makeWorker } from '../../../src/platform/jobs/worker.ts';
import { uuidV7 } from '../../../src/platform/ids.ts';
import { makeMailQueue } from '../../../src/platform/mail/queue.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { platformTable, rows, sql } from '../../../src/platform/sql.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { makeShop, START, type Shop } from './fixtures/shop.ts';

const refusal = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was refused',
    (error: unknown) => (isAppError(error) ? `${error.code}: ${error.message}` : String(error)),
  );

describe('explanations', () => {
  let shop: Shop;
  let ada: string;
  before(async () => {
    shop = await makeShop([
      {
        name: 'big',
        on: { updated: 'Order', fields: ['quantity'] },
        when: "quantity > old.quantity && customer.tier == 'gold' && lines.exists(l, l.picked == true)",
        do: [{ step: 'create', object: 'Todo', values: { subject: "'Big'", order: 'id' } }],
      },
      {
        name: 'parts',
        on: { updated: 'Order', fields: ['title'] },
        when: "(total > price * 3 || note == 'now' || quantity < 5) && !(customer.tier == 'gold') && lines.all(l, l.picked == true)",
        do: [{ step: 'create', object: 'Todo', values: { subject: "'Parts'", order: 'id' } }],
      },
      { name: 'off', enabled: false, on: { created: 'Order' }, do: [{ step: 'create', object: 'Todo', values: { subject: "'Off'" } }] },
      { name: 'pin', on: { created: 'Customer' }, when: "pin == '1234'", do: [{ step: 'create', object: 'Todo', values: { subject: "'Pin'" } }] },
      {
        name: 'soon',
        on: { date: 'Order.dueOn', offsets: ['-P7D', '-P1D'], at: '08:00' },
        do: [{ step: 'create', object: 'Todo', values: { subject: "'Soon'", order: 'id' } }],
      },
    ]);
    ada = await shop.create('Customer', { name: 'Ada', tier: 'silver', pin: '1234' });
  });
  after(() => shop.drop());

  it('take a condition apart, with the values each part looked at, for every event and for now', async () => {
    const id = await shop.create('Order', { title: 'One', customer: ada, quantity: 1 });
    await shop.write('Order', { kind: 'update', id, values: { note: 'n' } });
    await shop.write('Order', { kind: 'update', id, values: { quantity: 5 } });
    await shop.worker.drain();
    const said = await explain(shop.db, await shop.context(), 'big', id);
    expect(said.events.map((event) => [event.kind, event.started])).to.deep.equal([
      ['updated', false],
      ['updated', false],
      ['created', false],
    ]);
    const [newest, noted, created] = said.events;
    expect(newest?.operands).to.deep.equal([
      {
        text: 'quantity > old.quantity',
        holds: true,
        values: { quantity: 5 },
        parts: [
          { text: 'quantity', holds: null, values: { quantity: 5 }, value: 5 },
          { text: 'old.quantity', holds: null, values: {}, value: 1 },
        ],
      },
      { text: "customer.tier == 'gold'", holds: false, values: { 'customer.tier': 'silver' } },
      { text: 'lines.exists(l, l.picked == true)', holds: false, values: { 'lines.picked': { records: 0 } }, records: [] },
    ]);
    expect(noted?.reason).to.equal('None of quantity changed (changed: note).');
    expect(created?.reason).to.contain('not updated');
    expect(said.now.holds).to.equal(false);
    expect(said.runs).to.deep.equal([]);
    await shop.create('Line', { order: id, picked: true });
    await shop.write('Customer', { kind: 'update', id: ada, values: { tier: 'gold' } });
    await shop.write('Order', { kind: 'update', id, values: { quantity: 6 } });
    await shop.worker.drain();
    const after = await explain(shop.db, await shop.context(), 'big', id);
    expect(after.events[0]?.started).to.equal(true);
    expect(after.runs.map((run) => run.state)).to.deep.equal(['done']);
  });

  it('go down to the smallest parts: what `||` and `!` join, both sides of a comparison, each related record', async () => {
    const id = await shop.create('Order', { title: 'Parts', customer: ada, quantity: 2, price: '3.00' });
    const lines: string[] = [];
    for (const picked of [true, false]) lines.push(await shop.create('Line', { order: id, picked }));
    await shop.worker.drain();
    const { now } = await explain(shop.db, await shop.context(), 'parts', id);
    expect(now.holds).to.equal(false);
    const [either, not, all] = now.operands;
    expect(either?.holds).to.equal(true);
    expect(either?.parts?.map((part) => [part.text, part.holds])).to.deep.equal([
      ['total > price * 3', false],
      ["note == 'now'", false],
      ['quantity < 5', true],
    ]);
    expect(either?.parts?.[0]?.parts?.map((part) => [part.text, String(part.value)])).to.deep.equal([
      ['total', '6'],
      ['price * 3', '9'],
    ]);
    expect(not?.parts?.map((part) => [part.text, part.holds, part.values])).to.deep.equal([
      ["customer.tier == 'gold'", now.operands[1]?.holds === false, { 'customer.tier': 'gold' }],
    ]);
    expect(all?.holds).to.equal(false);
    expect(all?.records).to.have.deep.members([
      { object: 'Line', id: lines[0], holds: true },
      { object: 'Line', id: lines[1], holds: false },
    ]);
  });

  it('tell of every rule on the record, those that are off too', async () => {
    const id = await shop.create('Order', { title: 'All', customer: ada, quantity: 2, dueOn: '2026-06-01' });
    await shop.worker.drain();
    const rules = await explainRecord(shop.db, await shop.context(), 'Order', id);
    expect(rules.map((entry) => [entry.rule, entry.enabled, entry.now.exists, entry.lastEvent?.reason ?? null, entry.fires.length, entry.runs])).to.deep.equal([
      ['big', true, true, 'The record was created, not updated.', 0, 0],
      ['off', false, false, null, 0, 0],
      ['parts', true, true, 'The record was created, not updated.', 0, 0],
      ['soon', true, true, null, 2, 0],
    ]);
  });

  it('name a sensitive field but keep its value, in explanations and in the trace of a run', async () => {
    await shop.worker.drain();
    const said = await explain(shop.db, await shop.context(), 'pin', ada);
    expect(said.now.operands).to.deep.equal([{ text: "pin == '1234'", holds: true, values: { pin: '(not shown)' } }]);
    expect((await shop.runs('pin'))[0]?.trace.values).to.deep.equal({ pin: '(not shown)' });
  });

  it('say when a date rule fires', async () => {
    const id = await shop.create('Order', { title: 'Two', dueOn: '2026-03-05' });
    const said = await explain(shop.db, await shop.context(), 'soon', id);
    expect(said.fires).to.deep.equal([
      { offset: '-P7D', at: '2026-02-26T13:00:00.000Z', past: true },
      { offset: '-P1D', at: '2026-03-04T13:00:00.000Z', past: false },
    ]);
    expect(await refusal(explain(shop.db, await shop.context(), 'nobody', id))).to.contain('not_found');
  });

  it('a dry run goes over past events and writes nothing', async () => {
    await shop.worker.drain();
    const counts = async (): Promise<unknown> =>
      (
        await rows(
          shop.db,
          sql`select (select count(*) from ${platformTable(shop.db, 'rule_run')}) as runs, (select count(*) from ${platformTable(shop.db, 'event')}) as events`,
        )
      )[0];
    const before = await counts();
    const result = await dryRun(shop.db, await shop.context(), 'big', START);
    expect(result.matches).to.have.length(2);
    expect(result.reasons['None of quantity changed (changed: note).']).to.equal(1);
    expect(await counts()).to.deep.equal(before);
    expect(await refusal(dryRun(shop.db, await shop.context(), 'soon', START))).to.contain('starts by time');
  });
});

describe('checks of rules', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([]);
  });
  after(() => shop.drop());
  const publish = (rule: Partial<RuleFile>): Promise<string> =>
    refusal(shop.publish([{ name: 'r', on: { created: 'Order' }, do: [{ step: 'create', object: 'Todo', values: { subject: "'x'" } }], ...rule }]));

  it('refuse what cannot work, before it is applied', async () => {
    expect(await publish({ on: { created: 'Nothing' } })).to.contain('no object "Nothing"');
    expect(await publish({ on: { entered: 'Order', state: 'lost' } })).to.contain('new, packed, sent');
    expect(await publish({ on: { entered: 'Line', state: 'new' } })).to.contain('no path');
    expect(await publish({ when: 'quantity' })).to.contain('true or false');
    expect(await publish({ when: 'nope == 1' })).to.contain('nope');
    expect(await publish({ on: { schedule: '99 * * * *', zone: 'UTC' } })).to.contain('cron');
    expect(await publish({ on: { date: 'Order.title', offsets: ['P1D'], at: '08:00' } })).to.contain('not a date');
    expect(await publish({ on: { date: 'Order.dueOn', offsets: ['P1DT1H'], at: '08:00' } })).to.contain('P1DT1H');
    expect(await publish({ do: [{ step: 'create', object: 'Todo', values: { nope: '1' } }] })).to.contain('no field "nope"');
    expect(await publish({ do: [{ step: 'transition', transition: 'fly' }] })).to.contain('no transition "fly"');
    expect(await publish({ do: [{ step: 'update', record: "'x'", values: { note: "'x'" } }] })).to.contain('does not lead to one record');
    expect(await publish({ on: { created: 'Line' }, do: [{ step: 'assign', queue: 'q' }] })).to.contain('no field "queue"');
    expect(checkRules(await shop.store.load())).to.deep.equal([]);
  });

  it('run the tests that stand in the files and say what differs', async () => {
    const rule: RuleFile = {
      name: 'tested',
      on: { updated: 'Order' },
      when: "customer.tier == 'gold' && quantity > old.quantity && dueOn < today()",
      do: [
        { step: 'create', object: 'Todo', values: { subject: "'x'" } },
        { step: 'update', forEach: { relation: 'lines' }, when: 'each.picked == true', values: { picked: 'false' } },
      ],
      tests: [
        {
          given: { quantity: 2, dueOn: '2026-01-01', customer: { tier: 'gold' }, old: { quantity: 1 }, lines: [{ picked: true }] },
          at: '2026-02-01T12:00:00Z',
          expect: ['create', 'update'],
        },
        {
          given: { quantity: 2, dueOn: '2026-01-01', customer: { tier: 'gold' }, old: { quantity: 1 }, lines: [{ picked: false }] },
          at: '2026-02-01T12:00:00Z',
          expect: ['create'],
        },
        { given: { quantity: 2, dueOn: '2026-01-01', customer: { tier: 'gold' }, old: { quantity: 2 } }, at: '2026-02-01T12:00:00Z', expect: ['create'] },
        { given: { quantity: 2, dueOn: '2026-01-01', customer: { tier: 'gold' }, old: { quantity: 1 } }, at: '2025-12-01T12:00:00Z', expect: [] },
      ],
    };
    await shop.publish([rule]);
    const found = runRuleTests(await shop.store.load());
    expect(found.map((error) => error.detail)).to.deep.equal([
      `Expected the steps [create], but they were []. The rule's condition does not hold: ${String(rule.when)}`,
    ]);
    expect(found[0]?.pointer).to.contain('tested').and.to.contain('/tests/2/expect');
    const mended = {
      ...rule,
      tests: [
        { given: { quantity: 1 }, at: 'yesterday', expect: [] },
        { ...rule.tests?.[1], given: rule.tests?.[1]?.given ?? {}, expect: ['create', 'update'] },
      ],
    };
    await shop.publish([mended]);
    expect(runRuleTests(await shop.store.load()).map(({ pointer, detail }) => [pointer.replace(/.*tests/, 'tests'), detail])).to.deep.equal([
      ['tests/0/at', '"yesterday" is not an instant.'],
      [
        'tests/1/expect',
        'Expected the steps [create, update], but they were [create]. Not done because of their own condition, or for want of records to repeat for: 2 (update).',
      ],
    ]);
  });
});

describe('mail steps', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([
      {
        name: 'confirm',
        on: { entered: 'Order', state: 'packed' },
        do: [
          { step: 'action', action: 'make-link' },
          { step: 'send-mail', template: 'mail/order', to: 'customer.email', class: 'transactional' },
        ],
      },
      {
        name: 'broken',
        on: { updated: 'Order', fields: ['note'] },
        do: [{ step: 'send-mail', template: 'mail/bad', to: 'customer.email', class: 'transactional' }],
      },
      { name: 'from-desk', on: { mail: 'desk' }, do: [{ step: 'update', values: { dueOn: 'today()' } }] },
    ]);
    shop.actions.set('make-link', () => Promise.resolve({ link: 'https://plan.example/l/1' }));
  });
  after(() => shop.drop());
  const deliveries = (): Promise<Record<string, unknown>[]> =>
    rows(shop.db, sql`select * from ${platformTable(shop.db, 'mail_delivery')} order by created_at, id`);

  it('show fields, referenced records, formulas, lists and what an action gave; one mail a run and recipient', async () => {
    const ada = await shop.create('Customer', { name: 'Ada', email: 'ada@example.org' });
    const id = await shop.create('Order', { title: 'Lamp', customer: ada, quantity: 2, price: '10.25' });
    await shop.create('Line', { order: id, sku: 'a' });
    await shop.write('Order', { kind: 'transition', id, transition: 'pack' });
    await shop.worker.drain();
    const [mail, ...more] = await deliveries();
    expect(more).to.deep.equal([]);
    expect(mail).to.include({ recipient: 'ada@example.org', subject: 'Lamp for Ada', about_id: id, state: 'queued' });
    expect(String(mail?.['html'])).to.contain('ada@example.org pays 20.5').and.to.contain('1 lines https://plan.example/l/1');
    expect(JSON.stringify((await shop.runs('confirm'))[0]?.trace)).not.to.contain('https://plan.example/l/1');
  });

  it('a template that names what nobody knows fails its run and queues nothing', async () => {
    const ada = await shop.create('Customer', { name: 'Bo', email: 'bo@example.org' });
    const id = await shop.create('Order', { title: 'Lamp', customer: ada, quantity: 2 });
    const before = (await deliveries()).length;
    await shop.write('Order', { kind: 'update', id, values: { note: 'x' } });
    await shop.worker.drain();
    expect((await shop.runs('broken'))[0]).to.include({ state: 'failed', attempts: 1 });
    expect((await shop.runs('broken'))[0]?.error).to.contain('nobodyKnows');
    expect((await deliveries()).length).to.equal(before);
  });

  it('a message into a mailbox starts the rule for the record it became, and nothing else does', async () => {
    const call = await shop.context();
    const cause = { kind: 'mail', mailbox: 'desk' } as const;
    const [made] = await shop.db.transaction((tx) =>
      shop.engine.write(tx, { ...call, cause }, 'Todo', [{ kind: 'create', values: { subject: 'mail' } }], { asSystem: true }),
    );
    await shop.create('Todo', { subject: 'by hand' });
    await shop.worker.drain();
    expect((await shop.runs('from-desk')).map((run) => run.recordId)).to.deep.equal([made?.ok === true ? made.id : '']);
    expect((await shop.list('Todo')).map((todo) => [todo['subject'], todo['dueOn']])).to.have.deep.members([
      ['mail', '2026-03-02'],
      ['by hand', null],
    ]);
  });
});

describe('simulation', () => {
  const rules: readonly RuleFile[] = [
    {
      name: 'daily',
      on: { schedule: '0 6 * * 1-5', zone: 'America/New_York', for: { object: 'Order', filter: "status == 'new' && dueOn <= today()" } },
      do: [{ step: 'transition', transition: 'pack' }],
    },
    {
      name: 'bill',
      on: { entered: 'Order', state: 'packed' },
      do: [{ step: 'send-mail', template: 'mail/bill', to: 'customer.email', class: 'transactional' }],
    },
    {
      name: 'soon',
      on: { date: 'Order.dueOn', offsets: ['-P7D'], at: '08:00' },
      do: [{ step: 'create', object: 'Todo', values: { subject: "'Soon'", order: 'id' } }],
    },
  ];

  async function year(seed: number, orders: number): Promise<{ readonly hash: string; readonly lines: number; readonly moments: number }> {
    const shop = await makeShop(rules, { seed });
    try {
      const customer = await shop.create('Customer', { name: 'Ada', email: 'ada@example.org' });
      for (let index = 0; index < orders; index += 1) {
        const dueOn = new Date(Date.parse('2026-03-10') + index * 5 * 86_400_000).toISOString().slice(0, 10);
        await shop.create('Order', { title: `Order ${String(index)}`, customer, quantity: 1, price: '1', dueOn });
      }
      await markSandbox(shop.db);
      return await simulate({
        db: shop.db,
        from: START,
        to: '2026-06-01T00:00:00.000Z',
        seed,
        wire: (clock, random) => {
          const mail = makeMailQueue({
            newId: () => uuidV7(clock.nowMs(), random),
            random,
            config: {
              from: 'Shop <shop@plan.example>',
              domain: 'plan.example',
              publicUrl: () => 'https://plan.example',
              planName: 'Shop',
              planAddress: '1 Street',
              planPhone: '1',
            },
          });
          const log = makeLog('silent');
          const automation = makeAutomation({ currentModel: () => shop.store.current(), clock, random, engine: shop.engine, reader: makeReader(), mail, log });
          return makeWorker({ db: shop.db, clock, log, handlers: automation.handlers });
        },
      });
    } finally {
      await shop.drop();
    }
  }

  it('repeats its log for the same seed and data, and differs when the data do', async () => {
    const [first, second, other] = [await year(7, 8), await year(7, 8), await year(7, 7)];
    expect(second).to.deep.equal(first);
    expect(other.hash).not.to.equal(first.hash);
    // eight orders, each reminded, packed and billed by rule, and one mail each
    expect(first.lines).to.equal(8 * 4);
  });

  it('refuses a database that is not a sandbox', async () => {
    const shop = await makeShop([]);
    try {
      const said = await refusal(simulate({ db: shop.db, from: START, to: '2026-06-01T00:00:00.000Z', seed: 1, wire: () => shop.worker }));
      expect(said).to.contain('forbidden').and.to.contain('sandbox');
    } finally {
      await shop.drop();
    }
  });
});
