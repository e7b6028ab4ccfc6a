import { expect } from 'chai';
import { claimRuns } from '../../../src/platform/automation/runs.sql.ts';
import type { RuleAction } from '../../../src/platform/automation/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { openTestPool } from '../../support/database.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const RULES: readonly RuleFile[] = [
  { name: 'tell', on: { updated: 'Order', fields: ['note'] }, do: [{ step: 'action', action: 'tell', input: { old: "coalesce(old.note, 'none')" } }] },
  { name: 'count', on: { updated: 'Order', fields: ['note'] }, do: [{ step: 'create', object: 'Todo', values: { subject: "'Counted'", order: 'id' } }] },
];

describe('the order of runs', () => {
  let shop: Shop;
  /** What the outside was told: record and note before. */
  let told: string[] = [];
  /** The one thing that the outside refuses to be told. */
  let refused: string | null = null;
  beforeEach(async () => {
    shop = await makeShop(RULES);
    told = [];
    refused = null;
    shop.actions.set('tell', (_tx, _context, input, record) => {
      const what = `${String(record?.row['title'])} ${String(input['old'])}`;
      if (what === refused) return Promise.reject(new AppError('external_unavailable', 'Closed.'));
      told.push(what);
      return Promise.resolve();
    });
  });
  afterEach(() => shop.drop());

  const write = async (id: string, ...notes: readonly string[]): Promise<void> => {
    for (const note of notes) await shop.write('Order', { kind: 'update', id, values: { note } });
  };
  const after = (minutes: number): void => shop.clock.advanceTo(new Date(shop.clock.nowMs() + minutes * 60_000).toISOString());

  it('of a rule is that of the events of its record, also when the first one has to be tried again', async () => {
    const id = await shop.create('Order', { title: 'A' });
    const other = await shop.create('Order', { title: 'B' });
    refused = 'A none';
    await write(id, '1', '2');
    await shop.worker.drain();
    await write(id, '3');
    await write(other, '1');
    await shop.worker.drain();
    expect(told, 'another record does not wait').to.deep.equal(['B none']);
    expect((await shop.runs('tell')).map((run) => [run.state, run.attempts]).reverse()).to.deep.equal([
      ['ready', 1],
      ['ready', 0],
      ['ready', 0],
      ['done', 1],
    ]);
    expect(
      (await shop.runs('count')).map((run) => run.state),
      'another rule of the record does not wait',
    ).to.deep.equal(Array(4).fill('done'));
    refused = null;
    after(1);
    await shop.worker.drain();
    expect(told).to.deep.equal(['B none', 'A none', 'A 1', 'A 2']);
  });

  it('holds with two workers, and with runs that come back together', async () => {
    const id = await shop.create('Order', { title: 'A' });
    const pool = openTestPool(shop.url);
    try {
      const second = shop.second(pool);
      refused = 'A none';
      await write(id, '1', '2', '3');
      await Promise.all([shop.worker.drain(), second.drain()]);
      for (const minutes of [1, 5]) {
        after(minutes);
        await Promise.all([shop.worker.drain(), second.drain()]);
      }
      await write(id, '4');
      refused = null;
      after(30);
      await Promise.all([shop.worker.drain(), second.drain()]);
      await shop.worker.drain();
      expect(told).to.deep.equal(['A none', 'A 1', 'A 2', 'A 3']);
    } finally {
      await pool.destroy();
    }
  });

  it('goes on past a run that has failed for good; replayed, it holds up the later ones until it is done', async () => {
    const id = await shop.create('Order', { title: 'A' });
    refused = 'A none';
    await write(id, '1');
    for (const minutes of [0, 1, 5, 30, 120]) {
      after(minutes);
      await shop.worker.drain();
    }
    const [failed] = await shop.runs('tell');
    expect(failed?.state).to.equal('failed');
    refused = null;
    await write(id, '2');
    await shop.worker.drain();
    expect(told).to.deep.equal(['A 1']);
    refused = 'A none';
    await shop.automation.replayRun(shop.db, failed?.id ?? '');
    await shop.worker.drain();
    await write(id, '3');
    await shop.worker.drain();
    expect(told).to.deep.equal(['A 1']);
    refused = null;
    after(1);
    await shop.worker.drain();
    expect(told).to.deep.equal(['A 1', 'A none', 'A 2']);
  });

  it('lets others go on while one does what takes long', async () => {
    const pool = openTestPool(shop.url);
    try {
      const free: string[] = [];
      const long: RuleAction = async (_tx, _context, _input, record) => {
        const others = await inTransaction(pool, (tx) => claimRuns(tx, shop.clock.now(), 50, []));
        free.push(`${String(record?.row['title'])}: ${others.map(({ rule }) => rule).join()}`);
      };
      shop.actions.set('tell', Object.assign(long, { takesLong: true as const }));
      const first = await shop.create('Order', { title: 'A' });
      const second = await shop.create('Order', { title: 'B' });
      await write(second, '1');
      await write(first, '1');
      await shop.worker.drain();
      expect(free, 'while B is told, another worker may tell A').to.deep.equal(['B: tell', 'A: ']);
      expect((await shop.runs('count')).map((run) => run.state)).to.deep.equal(['done', 'done']);
    } finally {
      await pool.destroy();
    }
  });
});
