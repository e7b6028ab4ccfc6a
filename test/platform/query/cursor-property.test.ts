import { expect } from 'chai';
import fc from 'fast-check';
import { AppError } from '../../../src/platform/errors.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { callOf, makeGardens, type Gardens } from '../record/fixtures/gardens.ts';

/** Walks through whole lists; more of them by the environment, for a long search. */
const WALKS = Number(process.env['CURSOR_WALKS'] ?? 300);
const SEED = 20_270_305;
const WALKERS = 2;
const WRITERS = 3;
/** Records of each sort: those whose sort keys stay as they are, and those that wander and go. */
const QUIET = 150;
const RESTLESS = 100;

const engine = makeRecordEngine();
const reader = makeReader();

/** Few values each, so that many records stand at one place and only the id keeps them apart; a third of them nothing. */
const keys = fc.record({
  label: fc.constantFrom('Oak', 'oak', 'Élan', 'Fir 2', 'Fir 10', null),
  kind: fc.constantFrom('tree', 'weed', null),
  height: fc.option(fc.integer({ min: -2, max: 102 }), { freq: 3 }),
  price: fc.constantFrom('0', '0.1', '2.50', '100', null),
  plantedOn: fc.constantFrom('2020-02-29', '2021-06-30', null),
});
const FIELDS = ['label', 'kind', 'height', 'price', 'plantedOn', 'tall', 'tag', 'tallness', 'createdAt', 'id'];
const walk = fc.record({
  sort: fc
    .uniqueArray(fc.record({ field: fc.constantFrom(...FIELDS), down: fc.boolean() }), { minLength: 1, maxLength: 3, selector: ({ field }) => field })
    .map((order) => order.map(({ field, down }) => `${down ? '-' : ''}${field}`)),
  limit: fc.integer({ min: 1, max: 60 }),
  filter: fc.constantFrom(undefined, undefined, 'height >= 40', "kind == 'tree' || price > 1", 'plantedOn == null'),
});
const edit = fc.record({
  kind: fc.constantFrom('touch', 'wander', 'wander', 'wander', 'trash', 'restore', 'restore', 'plant'),
  which: fc.nat(10_000),
  keys,
});

describe('cursors under concurrent writes', function () {
  this.timeout(600_000);
  let gardens: Gardens;
  before(async () => {
    gardens = await makeGardens(WALKERS + WRITERS);
  });
  after(() => gardens.drop());

  it(`neither skip nor repeat a record whose sort key stays as it is, in ${String(WALKS)} walks`, async () => {
    const { db, model } = gardens;
    const plant = (values: Readonly<Record<string, unknown>>): WriteItem => ({ kind: 'create', values: { ...values, kept: false } });
    const plants = async (count: number, seed: number): Promise<string[]> => {
      const made: string[] = [];
      for (const values of fc.sample(keys, { numRuns: count, seed })) made.push((await engine.writeOne(db, callOf(model), 'Plant', plant(values))).id);
      return made;
    };
    const quiet = await plants(QUIET, SEED);
    const restless = await plants(RESTLESS, SEED + 1);
    const isQuiet = new Set(quiet);
    // What each walk must meet: one page that holds everything, read while nobody writes.
    const walks = await Promise.all(
      fc.sample(walk, { numRuns: WALKS, seed: SEED + 2 }).map(async (asked) => {
        const query = { object: 'Plant', sort: asked.sort, fields: ['id'], ...(asked.filter === undefined ? {} : { filter: asked.filter }) };
        const all = await reader.list(db, callOf(model), { ...query, limit: 500 });
        expect(all.page.next).to.equal(null);
        return { query, limit: asked.limit, expected: all.data.flatMap(({ id }) => (isQuiet.has(id) ? [id] : [])) };
      }),
    );

    let [walked, pages, written, refused, twice] = [0, 0, 0, 0, 0];
    const write = async (seed: number): Promise<void> => {
      const edits = fc.sample(edit, { numRuns: 5_000, seed });
      for (let at = 0; walked < WALKS; at = (at + 1) % edits.length) {
        const next = edits[at];
        if (next === undefined) throw new Error('no edits');
        const [still, moving] = [quiet[next.which % QUIET] ?? '', restless[next.which % restless.length] ?? ''];
        const item: WriteItem =
          next.kind === 'touch'
            ? { kind: 'update', id: still, values: { kept: next.which % 2 === 0 } }
            : next.kind === 'wander'
              ? { kind: 'update', id: moving, values: next.keys }
              : next.kind === 'plant'
                ? plant(next.keys)
                : { kind: next.kind === 'trash' ? 'delete' : 'restore', id: moving };
        if (next.kind === 'plant' && restless.length >= 2 * RESTLESS) continue;
        try {
          const { id } = await engine.writeOne(db, callOf(model), 'Plant', item);
          if (next.kind === 'plant') restless.push(id);
          written += 1;
        } catch (error) {
          // It is in the trash by then, or not: nothing was written.
          if (!(error instanceof AppError) || error.code === 'internal') throw error;
          refused += 1;
        }
      }
    };
    const queue = [...walks];
    const walkOn = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const met: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const page = await reader.list(db, callOf(model), { ...next.query, limit: next.limit, ...(cursor === undefined ? {} : { cursor }) });
          met.push(...page.data.map(({ id }) => id));
          cursor = page.page.next;
          pages += 1;
        }
        walked += 1;
        twice += met.length - new Set(met).size;
        expect(
          met.filter((id) => isQuiet.has(id)),
          JSON.stringify({ ...next.query, limit: next.limit }),
        ).to.deep.equal(next.expected);
      }
    };
    try {
      await Promise.all([...Array.from({ length: WALKERS }, walkOn), ...Array.from({ length: WRITERS }, (_, at) => write(SEED + 3 + at))]);
    } finally {
      // Writers end with the walks, also when one of those fails.
      walked = WALKS;
    }
    const said = `${String(written)} writes meanwhile (${String(refused)} refused), ${String(twice)} times a moved record was met again`;
    process.stdout.write(`      ${String(WALKS)} walks over ${String(pages)} pages, ${said}\n`);
    expect(written, 'the lists were written to while they were walked').to.be.greaterThan(WALKS);
    expect(twice, 'what moves is met again, so that it did move between the pages').to.be.greaterThan(0);
  });
});
