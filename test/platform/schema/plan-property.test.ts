import { expect } from 'chai';
import fc from 'fast-check';
import { SQLSTATE, sqlState } from '../../../src/platform/db.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { toStored } from '../../../src/platform/metadata/store-form.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { reportDrift } from '../../../src/platform/schema/drift.ts';
import { liveTables } from './live-tables.ts';
import { randomSet, valueFor } from './random-sets.ts';
import { makeWorld, type World } from './world.ts';

/** Pairs of sets: the same twenty every time; more and others by the environment, for a long search. */
const CASES = process.env['PLAN_CASES'];
const RUNS = Number(CASES ?? 20);
const SEED = CASES === undefined ? { seed: 20_270_304 } : {};

/** Puts a few records into every object: values that fit, some empty; required fields are filled. */
async function fill(world: World, set: MetadataSet, draws: readonly number[]): Promise<void> {
  for (const [object, file] of set.objects) {
    for (const [index, draw] of draws.entries()) {
      const values = Object.entries(file.properties).flatMap(([name, field], place) => {
        if (field['x-formula'] !== undefined) return [];
        const isRequired = file.required?.includes(name) === true;
        const value = valueFor(field, isRequired ? 10 * (index + 1) + 1 : (draw + place) * 10 + index);
        return [[name, value] as const];
      });
      // A required reference cannot be filled without records to point at; such an object stays empty.
      if (values.some(([name, value]) => value === null && file.required?.includes(name) === true)) continue;
      const record = new Map(values);
      if (String(record.get('ends')) < String(record.get('begins'))) record.set('ends', null);
      try {
        await world.insert(object, Object.fromEntries(record));
      } catch (error) {
        // A fact that overlaps another one is left out.
        if (sqlState(error) !== SQLSTATE.exclusionViolation) throw error;
      }
    }
  }
}

/** Every stored value of every field of a set, by the field's id. */
async function allValues(world: World, set: MetadataSet): Promise<ReadonlyMap<string, readonly unknown[]>> {
  const found = new Map<string, readonly unknown[]>();
  for (const [object, file] of set.objects)
    for (const [name, field] of Object.entries(file.properties))
      if (field['x-formula'] === undefined) found.set(field['x-id'] ?? '', await world.values(object, name));
  return found;
}

describe('plans of random pairs of sets', () => {
  it('lead from one to the other and back: the catalogue, the data, and then nothing to do', async () => {
    let applied = 0;
    let refused = 0;
    let filled = 0;
    await fc.assert(
      fc.asyncProperty(randomSet, randomSet, fc.array(fc.nat(9), { maxLength: 2 }), async (a, b, draws) => {
        const world = await makeWorld({ poolSize: 3 });
        const twin = await makeWorld({ poolSize: 2 });
        try {
          const { db } = world.database;
          const { store } = world;
          const first = await store.apply(a, 'test');
          await fill(world, a, draws);
          const before = { tables: await liveTables(db, await store.load()), values: await allValues(world, a) };
          try {
            const { steps } = await store.apply(b, 'test');
            filled += steps.filter((step) => step.fill?.phase === 'copy').length;
          } catch (error) {
            // What the data does not allow changes nothing at all.
            if (!isAppError(error, 'schema_refused')) throw error;
            refused += 1;
            expect((await store.load()).version).to.equal(first.version);
            expect((await store.plan(a)).steps.map((step) => step.description)).to.deep.equal([]);
            expect(await liveTables(db, await store.load())).to.deep.equal(before.tables);
            return;
          }
          applied += 1;
          expect((await store.plan(b)).steps.map((step) => step.description)).to.deep.equal([]);
          await twin.store.apply(b, 'test');
          expect(await liveTables(db, await store.load())).to.deep.equal(await liveTables(twin.database.db, await twin.store.load()));
          expect((await reportDrift(db)).drift).to.deep.equal([]);
          const after = await allValues(world, b);
          for (const [id, values] of after) {
            const was = before.values.get(id);
            if (was !== undefined)
              expect(
                values.map((value) => value !== null),
                id,
              ).to.deep.equal(was.map((value) => value !== null));
          }
          await store.apply({ kind: 'return', version: first.version }, 'test');
          expect(await liveTables(db, await store.load())).to.deep.equal(before.tables);
          expect(await allValues(world, a)).to.deep.equal(before.values);
          expect(toStored((await store.recorded()).set)).to.deep.equal(toStored((await store.recorded(first.version)).set));
          expect((await store.plan({ kind: 'return', version: first.version })).steps).to.deep.equal([]);
          expect((await reportDrift(db)).drift).to.deep.equal([]);
        } finally {
          await world.drop();
          await twin.drop();
        }
      }),
      { numRuns: RUNS, ...SEED, interruptAfterTimeLimit: 3_000_000 },
    );
    expect(applied).to.be.greaterThan(RUNS / 3);
    process.stdout.write(
      `      ${String(RUNS)} pairs of sets: ${String(applied)} applied and taken back (${String(filled)} changes of type with data), ${String(refused)} refused by their data\n`,
    );
  }).timeout(3_600_000);
});
