import { expect } from 'chai';
import type { RuleRun } from '../../../src/platform/automation/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { decideEvent, stoppedEvents } from '../../../src/platform/jobs/stopped-events.sql.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { platformTable, run, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const noted = (subject: string): RuleFile['do'] => [{ step: 'create', object: 'Todo', values: { subject, order: 'id' } }];

describe('what limits the runs of rules', () => {
  let shop: Shop;
  let refuses = false;
  beforeEach(async () => {
    refuses = false;
    shop = await makeShop([]);
    shop.actions.set('outside', () => (refuses ? Promise.reject(new AppError('external_unavailable', 'Closed.')) : Promise.resolve()));
  });
  afterEach(() => shop.drop());

  const subjects = async (): Promise<unknown[]> => (await shop.list('Todo')).map((todo) => todo['subject']).sort();
  const note = (id: string, text: string): Promise<string> => shop.write('Order', { kind: 'update', id, values: { note: text } });
  const states = async (rule: string): Promise<string[]> => (await shop.runs(rule)).map(({ state }) => state).reverse();
  const after = (ms: number): void => shop.clock.advanceTo(new Date(shop.clock.nowMs() + ms).toISOString());

  it('a run is done by the text of the rule that it began with, also when the rule was changed meanwhile', async () => {
    const rule = (subject: string): RuleFile => ({ id: 'n0tesn0tesn0', name: 'tell', on: { updated: 'Order', fields: ['note'] }, do: noted(subject) });
    await shop.publish([rule("'Old ' + note")]);
    const id = await shop.create('Order', { title: 'A' });
    await shop.worker.drain();
    await note(id, '1');
    expect(await shop.automation.handleEvents(shop.db)).to.equal(1);
    await shop.publish([{ ...rule("'New ' + note"), label: 'Another label' }]);
    await note(id, '2');
    await shop.worker.drain();
    expect(await subjects()).to.deep.equal(['New 2', 'Old 2']);
    expect(new Set((await shop.runs('tell')).map(({ definition }) => definition)).size).to.equal(2);
  });

  it('a run whose text names what is no longer there fails with that, and is never done by another', async () => {
    const rule: RuleFile = { id: 'n0tesn0tesn0', name: 'tell', on: { updated: 'Order', fields: ['note'] }, do: noted("'Old'") };
    await shop.publish([rule]);
    const id = await shop.create('Order', { title: 'A' });
    await shop.worker.drain();
    await note(id, '1');
    expect(await shop.automation.handleEvents(shop.db)).to.equal(1);
    await run(shop.db, sql`update ${platformTable(shop.db, 'rule_definition')} set content = replace(content::text, '''Old''', 'formerField')::jsonb`);
    await shop.publish([{ ...rule, do: noted("'New'") }]);
    await shop.worker.drain();
    const [failed] = await shop.runs('tell');
    expect(failed?.state).to.equal('failed');
    expect(failed?.error).to.contain('formerField');
    expect(await subjects()).to.deep.equal([]);
  });

  it('a rule says after which pauses its runs are tried again', async () => {
    await shop.publish([
      { name: 'twice', on: { created: 'Order' }, do: [{ step: 'action', action: 'outside' }], retry: ['PT10S', 'P1D'] },
      { name: 'once', on: { created: 'Order' }, do: [{ step: 'action', action: 'outside' }], retry: [] },
    ]);
    refuses = true;
    await shop.create('Order', { title: 'A' });
    await shop.worker.drain();
    const only = async (): Promise<RuleRun | undefined> => (await shop.runs('twice'))[0];
    expect(Date.parse((await only())?.dueAt ?? '') - shop.clock.nowMs()).to.equal(10_000);
    after(10_000);
    await shop.worker.drain();
    expect(Date.parse((await only())?.dueAt ?? '') - shop.clock.nowMs()).to.equal(86_400_000);
    after(86_400_000);
    await shop.worker.drain();
    expect((await only())?.state).to.equal('failed');
    expect(await states('once')).to.deep.equal(['failed']);
    const refusal = await shop.publish([{ name: 'x', on: { created: 'Order' }, do: noted("'x'"), retry: ['P1M'] }]).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).to.be.instanceOf(AppError);
  });

  it('runs of a rule and record follow each other, give way, take the place of one that waits, or do not wait', async () => {
    const rule = (name: string, concurrency?: NonNullable<RuleFile['concurrency']>): RuleFile => ({
      name,
      on: { updated: 'Order', fields: ['note'] },
      do: [{ step: 'action', action: 'outside' }],
      ...(concurrency === undefined ? {} : { concurrency }),
    });
    await shop.publish([rule('waits'), rule('skips', 'skip-if-running'), rule('replaces', 'replace'), rule('parallel', 'parallel')]);
    const id = await shop.create('Order', { title: 'A' });
    refuses = true;
    await note(id, '1');
    await shop.worker.drain();
    refuses = false;
    await note(id, '2');
    await note(id, '3');
    await shop.worker.drain();
    expect(await states('waits')).to.deep.equal(['ready', 'ready', 'ready']);
    expect(await states('skips')).to.deep.equal(['ready', 'skipped', 'skipped']);
    expect(await states('replaces'), 'the second takes the place of the first; the third comes when it is done').to.deep.equal(['skipped', 'done', 'done']);
    expect(await states('parallel')).to.deep.equal(['ready', 'done', 'done']);
    after(60_000);
    await shop.worker.drain();
    expect(await states('waits')).to.deep.equal(['done', 'done', 'done']);
    expect(await states('skips')).to.deep.equal(['done', 'skipped', 'skipped']);
    expect(await states('parallel')).to.deep.equal(['done', 'done', 'done']);
    await note(id, '4');
    await shop.worker.drain();
    expect((await states('skips')).at(-1)).to.equal('done');
  });

  it('what a rule would start beyond its budget of the hour is put into quarantine, with the reason; the next hour is free', async () => {
    await shop.publish([{ name: 'few', on: { created: 'Order' }, do: noted("'Few'"), budget: 3 }]);
    for (let made = 0; made < 2; made += 1) await shop.create('Order', { title: 'A' });
    await shop.worker.drain();
    for (let made = 0; made < 3; made += 1) await shop.create('Order', { title: 'B' });
    await shop.worker.drain();
    expect(await states('few')).to.deep.equal(['done', 'done', 'done', 'quarantined', 'quarantined']);
    const [held] = await shop.runs('few');
    expect(held?.trace.reason).to.contain('3 runs an hour');
    await shop.automation.replayRun(shop.db, held?.id ?? '');
    await shop.worker.drain();
    expect((await states('few')).at(-1)).to.equal('done');
    after(3_600_000);
    await shop.create('Order', { title: 'C' });
    await shop.worker.drain();
    expect((await states('few')).at(-1)).to.equal('done');
  });

  it('a change of one record does not wait for the runs of a change of many', async () => {
    await shop.publish([{ name: 'tell', on: { updated: 'Order', fields: ['note'] }, do: noted("'Told ' + note") }]);
    const context = await shop.context();
    const many: string[] = [];
    for (let made = 0; made < 260; made += 1) many.push(await shop.create('Order', { title: String(made) }));
    const single = await shop.create('Order', { title: 'Single' });
    await shop.worker.drain();
    const updates = (ids: readonly string[]) => ids.map((id) => ({ kind: 'update' as const, id, values: { note: 'many' } }));
    await inTransaction(shop.db, (tx) => shop.engine.write(tx, context, 'Order', updates(many.slice(0, 200)), { asSystem: true, events: 'chunk' }));
    // As single events, but of one cause.
    await inTransaction(shop.db, (tx) =>
      shop.engine.write(tx, { ...context, cause: { kind: 'command', name: 'many' } }, 'Order', updates(many.slice(200)), { asSystem: true }),
    );
    await note(single, 'single');
    await shop.automation.handleEvents(shop.db);
    expect(await states('tell')).to.have.length(261);
    await shop.automation.runRuns(shop.db);
    expect(await subjects(), 'in the first set of runs').to.include('Told single');
    expect((await states('tell')).filter((state) => state === 'ready').length, 'while those of many go on').to.be.within(100, 250);
    await shop.worker.drain();
    expect(await subjects()).to.have.length(261);
  });

  it('an event that can never be handled is set aside after six tries; later ones of its record wait until somebody decides', async () => {
    await shop.publish([{ name: 'tell', on: { updated: 'Order', fields: ['note'] }, when: "customer.tier != 'gold'", do: noted("'Told ' + note") }]);
    const customer = await shop.create('Customer', { name: 'Ada' });
    const id = await shop.create('Order', { title: 'A', customer });
    await shop.worker.drain();
    await note(id, '1');
    const spoil = (): Promise<number> =>
      run(shop.db, sql`update ${platformTable(shop.db, 'event')} set after = jsonb_set(after, '{customer}', '"no id"') where after->>'note' = '1'`);
    expect(await spoil()).to.equal(1);
    for (let tries = 0; tries < 6; tries += 1) {
      expect(await stoppedEvents(shop.db), `after ${String(tries)} tries`).to.deep.equal([]);
      await shop.worker.drain();
      after(120 * 60_000);
    }
    await note(id, '2');
    await shop.worker.drain();
    const [stopped, ...others] = await stoppedEvents(shop.db);
    expect(others).to.deep.equal([]);
    expect(stopped).to.include({ object: 'Order', recordId: id, records: 1, kind: 'updated', tries: 6, waiting: 1 });
    expect(stopped?.error).to.contain('uuid');
    expect(await subjects(), 'the later one waits').to.deep.equal([]);
    expect(await shop.automation.nextDue(shop.db, shop.clock.now()), 'nothing becomes due by itself').to.equal(null);
    const decide = (decision: 'replayed' | 'passed'): Promise<boolean> =>
      inTransaction(shop.db, (tx) => decideEvent(tx, stopped?.id ?? '', decision, 'system:test', shop.clock.now()));
    // Tried again it fails again, and after as many tries it is there again.
    expect(await decide('replayed')).to.equal(true);
    expect(await stoppedEvents(shop.db)).to.deep.equal([]);
    for (let tries = 0; tries < 6; tries += 1) {
      await shop.worker.drain();
      after(120 * 60_000);
    }
    expect(await stoppedEvents(shop.db)).to.have.length(1);
    expect(await decide('passed')).to.equal(true);
    expect(await decide('passed'), 'once').to.equal(false);
    await shop.worker.drain();
    expect(await subjects(), 'the later one goes on, the one that was passed starts nothing').to.deep.equal(['Told 2']);
  });
});
