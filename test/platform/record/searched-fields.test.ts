import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { FieldSchema } from '../../../src/platform/metadata/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { indexBacklog } from '../../../src/platform/record/search-backlog.sql.ts';
import { platformTable, rows, sql } from '../../../src/platform/sql.ts';
import { objectFile, setOf } from '../schema/builders.ts';
import { makeWorld, renamedField, type World } from '../schema/world.ts';

const gardens = (name: Partial<FieldSchema>, note: Partial<FieldSchema>) =>
  setOf({
    Garden: objectFile('Garden', {
      name: { type: 'string', 'x-id': 'gardenname01', ...name },
      note: { type: 'string', 'x-id': 'gardennote01', ...note },
    }),
  });
const SEARCHED = { 'x-search': true } as const;
const NOTE = 'Have the search entries of Garden made anew';

describe('search entries of an object whose searched fields change', () => {
  let world: World;
  const engine = makeRecordEngine();
  const reader = makeReader();
  const context = async () => systemCall(await world.store.load(), systemClock, randomBytes, 'test');
  const found = async (text: string): Promise<readonly string[]> =>
    (await reader.search(world.database.db, await context(), text, { objects: ['Garden'] })).map(({ name }) => name).sort();
  const steps = async (set: ReturnType<typeof gardens>) => (await world.store.apply(set, 'test')).steps.map(({ description }) => description);
  /** What the worker does, to its end: how many batches. */
  const work = async (): Promise<number> => {
    for (let batches = 0; ; batches += 1) if ((await indexBacklog(world.database.db, await world.store.load())) === 0) return batches;
  };

  before(async () => {
    world = await makeWorld();
  });
  after(() => world.drop());

  it('are made anew for all of its records, by the Model in force, and not when a field is only renamed', async () => {
    const { db } = world.database;
    expect(await steps(gardens(SEARCHED, {}))).not.to.include(NOTE);
    expect(await steps(gardens({}, SEARCHED)), 'of a table without records').not.to.include(NOTE);
    await steps(gardens(SEARCHED, {}));
    const old = await world.store.load();
    const note = (index: number): string => `tended by ${['Ada', 'Berta'][index % 2] ?? ''}`;
    const items = Array.from({ length: 5 }, (_, index) => ({ kind: 'create' as const, values: { name: `Plot ${String(index)}`, note: note(index) } }));
    const call = await context();
    await db.transaction((tx) => engine.write(tx, call, 'Garden', items));
    const [first] = (await reader.list(db, call, { object: 'Garden', sort: ['name'] })).data;
    await engine.writeOne(db, call, 'Garden', { kind: 'delete', id: String(first?.id) });

    expect(await steps(gardens(SEARCHED, SEARCHED))).to.include(NOTE);
    expect(await found('berta')).to.deep.equal([]);
    expect(await indexBacklog(db, old), 'by a Model that was replaced').to.equal(0);
    expect(await work()).to.equal(2);
    expect(await found('berta')).to.deep.equal(['Plot 1', 'Plot 3']);
    expect(await found('plot'), 'without the one in the trash').to.have.length(4);

    expect(await steps(renamedField(gardens(SEARCHED, SEARCHED), 'Garden', 'note', 'remark'))).not.to.include(NOTE);
    expect(await work()).to.equal(0);

    expect(await steps(gardens(SEARCHED, {}))).to.include(NOTE);
    await work();
    expect(await found('berta')).to.deep.equal([]);
    expect(await found('plot')).to.have.length(4);

    await steps(gardens({}, {}));
    await work();
    expect(await rows(db, sql`select 1 from ${platformTable(db, 'search_entry')}`)).to.deep.equal([]);
  });
});
