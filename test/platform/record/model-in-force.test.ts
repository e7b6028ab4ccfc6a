import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { onModelInForce } from '../../../src/platform/schema/processes.sql.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { objectFile, setOf } from '../schema/builders.ts';
import { changed, makeWorld, refusal, withField, type World } from '../schema/world.ts';

const base = () =>
  setOf({
    Shed: objectFile('Shed', { name: { type: 'string', 'x-id': 'shedname0001' } }),
    Garden: objectFile('Garden', {
      name: { type: 'string', 'x-id': 'gardenname01', 'x-search': true },
      shed: { type: 'string', format: 'uuid', 'x-id': 'gardenshed01', 'x-ref': { to: 'Shed' } },
    }),
  });
const wider = () => withField(base(), 'Garden', 'area', { type: 'integer', 'x-id': 'gardenarea01' });

describe('record engine: a write by a Model that was replaced', () => {
  let world: World;
  let old: CallContext;
  let told = 0;
  const engine = makeRecordEngine({ onModelChanged: () => (told += 1) });
  const contextNow = async (): Promise<CallContext> => systemCall(await world.store.load(), systemClock, randomBytes, 'test');

  before(async () => {
    world = await makeWorld();
    await world.store.apply(base(), 'test');
    old = await contextNow();
  });
  after(() => world.drop());

  /** Rows of everything that a write leaves. */
  const traces = async (): Promise<readonly unknown[]> => {
    const { db } = world.database;
    const counts = ['record_history', 'audit_entry', 'event', 'search_entry'].map((name) =>
      rows(db, sql`select count(*) as n from ${platformTable(db, name)}`),
    );
    return [...(await Promise.all(counts)).flat(), await world.values('Garden', 'name'), await world.values('Garden', 'version')];
  };

  it('writes nothing and says so, by one statement or in a transaction, single or in batches, and does not blame an item', async () => {
    const { db } = world.database;
    const shed = await engine.writeOne(db, old, 'Shed', { kind: 'create', values: { name: 'North' } });
    const garden = await engine.writeOne(db, old, 'Garden', { kind: 'create', values: { name: 'Rosary' } });
    const other = await engine.writeOne(db, old, 'Garden', { kind: 'create', values: { name: 'Orchard', shed: shed.id } });
    await engine.writeOne(db, old, 'Garden', { kind: 'delete', id: other.id });
    await world.store.apply(wider(), 'test');
    const before = await traces();
    told = 0;
    const items: Readonly<Record<string, WriteItem>> = {
      'create by one statement': { kind: 'create', values: { name: 'Meadow' } },
      'update by one statement': { kind: 'update', id: garden.id, values: { name: 'Meadow' } },
      'create with a reference': { kind: 'create', values: { name: 'Meadow', shed: shed.id } },
      'update with a reference': { kind: 'update', id: garden.id, values: { shed: shed.id } },
      delete: { kind: 'delete', id: garden.id },
      restore: { kind: 'restore', id: other.id },
    };
    for (const [name, item] of Object.entries(items)) {
      expect((await refusal(engine.writeOne(db, old, 'Garden', item))).code, name).to.equal('model_changed');
      for (const mode of ['atomic', 'each'] as const)
        expect((await refusal(inTransaction(db, (tx) => engine.write(tx, old, 'Garden', [item], { mode })))).code, `${name}, ${mode}`).to.equal(
          'model_changed',
        );
    }
    const many = Array.from({ length: 60 }, (_, index): WriteItem => ({ kind: 'create', values: { name: `Bed ${String(index)}` } }));
    expect((await refusal(inTransaction(db, (tx) => engine.write(tx, old, 'Garden', many, { mode: 'each', events: 'chunk' })))).code).to.equal('model_changed');
    expect(await traces()).to.deep.equal(before);
    expect(told).to.equal(19);
    const now = await contextNow();
    for (const [name, item] of Object.entries(items)) if (name !== 'delete') await engine.writeOne(db, now, 'Garden', item);
  });

  it('a stale version is still told from a replaced Model', async () => {
    const { db } = world.database;
    const now = await contextNow();
    const { id } = await engine.writeOne(db, now, 'Garden', { kind: 'create', values: { name: 'Hedge' } });
    const error = await refusal(engine.writeOne(db, now, 'Garden', { kind: 'update', id, version: 7, values: { name: 'Wall' } }));
    expect(error.code).to.equal('conflict_version');
  });

  it('a transaction that wrote before the change and goes on after it leaves nothing', async () => {
    const { db } = world.database;
    const context = await contextNow();
    const before = await traces();
    const error = await refusal(
      inTransaction(db, async (tx) => {
        await engine.write(tx, context, 'Garden', [{ kind: 'create', values: { name: 'First' } }]);
        // Nothing of the table changes, so that the change does not wait for this transaction.
        await world.store.apply(
          changed(wider(), 'Garden', (file) => ({ ...file, description: 'What is planted.' })),
          'test',
        );
        await engine.write(tx, context, 'Garden', [{ kind: 'create', values: { name: 'Second' } }]);
      }),
    );
    expect(error.code).to.equal('model_changed');
    expect(await traces()).to.deep.equal(before);
  });

  it('work is done anew by a store that asks at once, and given up when the Model is replaced again and again', async () => {
    const pool = openTestPool(world.database.url, { poolSize: 2 });
    const store = makeModelStore({ db: pool, clock: systemClock, extensions: {} });
    const asking = makeRecordEngine({ onModelChanged: () => store.expire() });
    try {
      const { version } = await store.current();
      const asked: number[] = [];
      const write = (before: () => Promise<unknown>) =>
        onModelInForce(async () => {
          const model = await store.current();
          asked.push(model.version);
          await before();
          return asking.writeOne(pool, systemCall(model, systemClock, randomBytes, 'test'), 'Garden', { kind: 'create', values: { name: 'Moor' } });
        });
      const next = () =>
        run(
          pool,
          sql`insert into ${platformTable(pool, 'metadata_version')} select (jsonb_populate_record(v, jsonb_build_object('version', v.version + 1))).* from ${platformTable(pool, 'metadata_version')} v order by v.version desc limit 1`,
        );
      let changes = 0;
      await write(async () => (changes += 1) === 1 && next());
      expect(asked).to.deep.equal([version, version + 1]);
      expect((await refusal(write(next))).code).to.equal('model_changed');
      expect(asked).to.deep.equal([version, version + 1, version + 1, version + 2, version + 3]);
    } finally {
      await pool.destroy();
    }
  });
});
