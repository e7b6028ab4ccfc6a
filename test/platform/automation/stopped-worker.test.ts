import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { platformTable, rows, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const isSource = import.meta.url.endsWith('.ts');
const CHILD = fileURLToPath(new URL(`./fixtures/stopped-child.${isSource ? 'ts' : 'js'}`, import.meta.url));
const IDLE_MS = 1_000;

describe('a worker that stands still (SIGSTOP) while it holds a run', () => {
  let shop: Shop;
  let child: ChildProcess | null = null;
  beforeEach(async () => {
    shop = await makeShop([
      {
        name: 'held',
        on: { created: 'Order' },
        do: [
          { step: 'create', object: 'Todo', values: { subject: "'before'", order: 'id' } },
          { step: 'action', action: 'hold' },
          { step: 'send-mail', template: 'mail/bill', to: 'customer.email', class: 'transactional' },
          { step: 'create', object: 'Todo', values: { subject: "'after'", order: 'id' } },
        ],
      },
    ]);
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await shop.drop();
  });

  it('loses it after the time-out to another worker, and does nothing of it twice when it goes on', async () => {
    let held = 0;
    shop.actions.set('hold', () => {
      held += 1;
      return Promise.resolve();
    });
    const customer = await shop.create('Customer', { name: 'Ada', email: 'ada@example.org' });
    const order = await shop.create('Order', { title: 'Lamp', customer, quantity: 1, price: '10.00' });
    const stopped = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), CHILD, shop.url, shop.clock.now(), String(IDLE_MS)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = stopped;
    let said = '';
    stopped.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const closed = once(stopped, 'close');
    const lines = createInterface(stopped.stdout)[Symbol.asyncIterator]();
    expect(await Promise.race([lines.next(), closed.then(() => said)])).to.deep.equal({ value: 'holding', done: false });

    // Waits for the row that the stopped process holds, as whoever needs it does.
    const started = performance.now();
    await rows(shop.db, sql`select id from ${platformTable(shop.db, 'rule_run')} where record_id = ${order}::uuid for update`);
    expect(performance.now() - started).to.be.lessThan(IDLE_MS + 10_000);
    expect((await shop.runs('held')).map((run) => run.state)).to.deep.equal(['ready']);
    expect(await shop.list('Todo'), 'nothing stays of the half that was done').to.have.length(0);
    await shop.worker.drain();
    const done = await shop.runs('held');
    expect(done.map((run) => [run.state, run.attempts, run.error])).to.deep.equal([['done', 1, null]]);

    stopped.kill('SIGCONT');
    expect(await lines.next()).to.deep.equal({ value: 'woken', done: false });
    expect(await closed, said).to.deep.equal([0, null]);
    expect(held).to.equal(1);
    expect(await shop.runs('held')).to.deep.equal(done);
    expect((await shop.list('Todo')).map((todo) => todo['subject'])).to.deep.equal(['before', 'after']);
    expect(await rows(shop.db, sql`select state from ${platformTable(shop.db, 'mail_delivery')}`)).to.deep.equal([{ state: 'queued' }]);
  });
});
