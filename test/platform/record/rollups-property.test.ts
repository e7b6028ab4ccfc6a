import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { fieldsWithDeltas, foldDeltas, hasDeltas } from '../../../src/platform/record/rollups.sql.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { holds } from '../../../src/platform/sql.ts';
import { callOf, makeGardens, type Gardens } from './fixtures/gardens.ts';

const EDITS = Number(process.env['CREDENZA_ROLLUP_EDITS'] ?? 2_000);
const CONNECTIONS = 8;
const GARDENS = 12;
const REGIONS = 3;
const SEED = 20_270_301;

const engine = makeRecordEngine();
const reader = makeReader();

/** What may happen to gardens and plants; `which` picks among those that exist at that moment. */
type Edit =
  | { readonly kind: 'plant'; readonly values: Readonly<Record<string, unknown>>; readonly garden: number }
  | { readonly kind: 'plants'; readonly gardens: readonly number[]; readonly price: string }
  | { readonly kind: 'change'; readonly which: number; readonly values: Readonly<Record<string, unknown>> }
  | { readonly kind: 'move'; readonly which: number; readonly garden: number | null }
  | { readonly kind: 'trash' | 'restore'; readonly which: number }
  | { readonly kind: 'garden'; readonly which: number; readonly act: 'rename' | 'trash' | 'restore' | 'region'; readonly region: number | null };

const index = fc.nat(10_000);
const values = fc.record(
  {
    label: fc.constantFrom('Oak', 'Elm', 'Fir', null),
    kind: fc.constantFrom('weed', 'tree', null),
    height: fc.option(fc.integer({ min: -5, max: 200 })),
    price: fc.option(fc.tuple(fc.nat(500), fc.nat(99)).map(([whole, cents]) => `${String(whole)}.${String(cents).padStart(2, '0')}`)),
    kept: fc.option(fc.boolean()),
    plantedOn: fc.option(fc.constantFrom('2020-01-01', '2021-06-30', '2022-12-31', '2024-02-29')),
  },
  { requiredKeys: [] },
);
const garden = fc.nat(GARDENS - 1);
const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('plant' as const), values, garden }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('plants' as const),
      gardens: fc.array(garden, { minLength: 2, maxLength: 6 }),
      price: fc.constantFrom('1', '2.5'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('change' as const), which: index, values }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('move' as const), which: index, garden: fc.option(garden) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('trash' as const, 'restore' as const, 'restore' as const), which: index }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('garden' as const),
      which: garden,
      act: fc.oneof(
        { weight: 1, arbitrary: fc.constant('trash' as const) },
        { weight: 6, arbitrary: fc.constantFrom('restore' as const, 'region' as const, 'rename' as const) },
      ),
      region: fc.option(fc.nat(REGIONS - 1)),
    }),
  },
);

describe('roll-ups under concurrent writes', function () {
  this.timeout(600_000);
  let gardens: Gardens;
  before(async () => {
    gardens = await makeGardens(CONNECTIONS + 1);
  });
  after(() => gardens.drop());

  it(`equal a recount after ${String(EDITS)} random edits on ${String(CONNECTIONS)} connections`, async () => {
    const { db, model } = gardens;
    const call = callOf(model);
    const make = async (object: string, name: string): Promise<string> => (await engine.writeOne(db, call, object, { kind: 'create', values: { name } })).id;
    const regions: string[] = [];
    const all: string[] = [];
    for (let at = 0; at < REGIONS; at += 1) regions.push(await make('Region', `R${String(at)}`));
    for (let at = 0; at < GARDENS; at += 1) all.push(await make('Garden', `G${String(at)}`));
    const plants: string[] = [];
    const queue = fc.sample(edit, { numRuns: EDITS * 5, seed: SEED });
    const refused = new Map<string, number>();
    let done = 0;
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined && done < EDITS; next = queue.pop()) {
        try {
          plants.push(...(await carryOut(next, { gardens, regions, all, plants })));
          done += 1;
        } catch (error) {
          // A record that is in the trash by then, or a garden that is gone: nothing was written.
          if (!(error instanceof AppError) || error.code === 'internal') throw error;
          refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
        }
      }
    };
    let folded = 0;
    const fold = async (): Promise<void> => {
      while (done < EDITS && queue.length > 0) folded += await foldAll(gardens);
    };
    await Promise.all([...Array.from({ length: CONNECTIONS }, work), fold()]);
    const wrong = await differences(gardens, call);
    const said = [...refused].map(([code, count]) => `${String(count)} ${code}`).join(', ');
    process.stdout.write(
      `      ${String(done)} edits written (refused: ${said}), ${String(plants.length)} plants, ${String(folded)} folds, ${String(wrong.compared)} values compared\n`,
    );
    expect(wrong.found).to.deep.equal([]);
    expect(done).to.be.at.least(EDITS);
    expect(await holds(db, hasDeltas(db)), 'the worker looks when deltas wait').to.equal((await fieldsWithDeltas(db)).length > 0);
    await foldAll(gardens);
    expect((await differences(gardens, call)).found, 'folding changes no value').to.deep.equal([]);
    expect(await fieldsWithDeltas(db)).to.deep.equal([]);
    expect(await holds(db, hasDeltas(db))).to.equal(false);
  });
});

interface World {
  readonly gardens: Gardens;
  readonly regions: readonly string[];
  readonly all: readonly string[];
  readonly plants: readonly string[];
}

/** Answers the ids of plants that were made. */
async function carryOut(edit: Edit, { gardens: { db, model }, regions, all, plants }: World): Promise<readonly string[]> {
  const call = callOf(model);
  const one = async (object: string, item: WriteItem): Promise<void> => void (await engine.writeOne(db, call, object, item));
  const plant = 'which' in edit ? (plants[edit.which % Math.max(1, plants.length)] ?? '') : '';
  if ('which' in edit && edit.kind !== 'garden' && plant === '') return [];
  switch (edit.kind) {
    case 'plant':
      return [(await engine.writeOne(db, call, 'Plant', { kind: 'create', values: { ...edit.values, garden: all[edit.garden] } })).id];
    case 'plants': {
      const items = edit.gardens.map((at): WriteItem => ({ kind: 'create', values: { label: 'many', garden: all[at], price: edit.price, kept: true } }));
      const outcomes = await inTransaction(db, (tx) => engine.write(tx, call, 'Plant', items, { mode: 'each' }));
      return outcomes.flatMap((outcome) => (outcome.ok ? [outcome.id] : []));
    }
    case 'change':
      await one('Plant', { kind: 'update', id: plant, values: edit.values });
      return [];
    case 'move':
      await one('Plant', { kind: 'update', id: plant, values: { garden: edit.garden === null ? null : all[edit.garden] } });
      return [];
    case 'trash':
      await one('Plant', { kind: 'delete', id: plant });
      return [];
    case 'restore':
      await one('Plant', { kind: 'restore', id: plant });
      return [];
    case 'garden': {
      const id = all[edit.which] ?? '';
      const region = edit.region === null ? null : regions[edit.region];
      if (edit.act === 'trash') await one('Garden', { kind: 'delete', id });
      else if (edit.act === 'restore') await one('Garden', { kind: 'restore', id });
      else await one('Garden', { kind: 'update', id, values: edit.act === 'rename' ? { name: `G${String(edit.which)} again` } : { region } });
      return [];
    }
  }
}

async function foldAll({ db, model }: Gardens): Promise<number> {
  let count = 0;
  const waiting = await fieldsWithDeltas(db);
  for (const object of model.objects.values()) {
    for (const field of object.fields.values()) if (waiting.includes(field.id)) count += await inTransaction(db, (tx) => foldDeltas(tx, object, field));
  }
  return count;
}

/** Roll-ups as they are read against the same, counted here from the records. */
async function differences({ db, model }: Gardens, call: CallContext): Promise<{ readonly compared: number; readonly found: readonly string[] }> {
  const every = async (object: string, trash: boolean): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const read: Readonly<Record<string, unknown>>[] = [];
    let cursor: string | null = null;
    do {
      const page = await reader.list(db, call, { object, sort: ['id'], limit: 500, trash, ...(cursor === null ? {} : { cursor }) });
      read.push(...page.data);
      cursor = page.page.next;
    } while (cursor !== null);
    return read;
  };
  const plants = await every('Plant', false);
  const live = await every('Garden', false);
  const gardens = [...live, ...(await every('Garden', true))];
  const found: string[] = [];
  let compared = 0;
  const same = (what: string, is: unknown, should: unknown): void => {
    compared += 1;
    if (JSON.stringify(is) !== JSON.stringify(should)) found.push(`${what} is ${JSON.stringify(is)}, counted ${JSON.stringify(should)}`);
  };
  for (const garden of gardens) {
    const own = plants.filter((plant) => plant['garden'] === garden['id']);
    for (const [name, should] of Object.entries(counted(own))) same(`${String(garden['name'])}.${name}`, garden[name], should);
  }
  for (const region of await every('Region', false)) {
    const own = live.filter((garden) => garden['region'] === region['id']);
    const total = String(own.reduce((sum, garden) => sum + Number(garden['plantCount']), 0));
    same(`${String(region['name'])}.plants`, region['plants'], total);
    same(`${String(region['name'])}.hotPlants`, region['hotPlants'], total);
  }
  const tall = plants.filter((plant) => plant['tall'] !== (plant['height'] === null ? false : Number(plant['height']) >= 100));
  compared += plants.length;
  expect(model.objects.size).to.equal(5);
  return { compared, found: [...found, ...tall.map((plant) => `${String(plant['id'])}.tall`)] };
}

type Plant = Readonly<Record<string, unknown>>;

/** The roll-ups of a garden by the plainest arithmetic: whole cents in bigint. */
function counted(plants: readonly Plant[]): Readonly<Record<string, unknown>> {
  const kept = plants.filter((plant) => plant['kept'] === true);
  const prices = plants.flatMap((plant) => (plant['price'] === null ? [] : [cents(plant['price'])]));
  const heights = (of: readonly Plant[]): readonly number[] => of.flatMap((plant) => (plant['height'] === null ? [] : [Number(plant['height'])]));
  const days = plants.flatMap((plant) => (plant['plantedOn'] === null ? [] : [String(plant['plantedOn'])])).sort();
  const low = heights(plants);
  const high = heights(plants.filter((plant) => Number(plant['height'] ?? -1) >= 100));
  const order = (plant: Plant): string => `${plant['plantedOn'] === null ? '0' : `1${String(plant['plantedOn'])}`} ${String(plant['id'])}`;
  const last = [...kept].sort((a, b) => (order(a) < order(b) ? -1 : 1)).at(-1);
  const total = (of: readonly bigint[]): bigint => of.reduce((sum, one) => sum + one, 0n);
  const worth = total(kept.flatMap((plant) => (plant['price'] === null ? [] : [cents(plant['price'])])));
  const volume = total(
    plants.flatMap((plant) => (plant['price'] === null || plant['height'] === null ? [] : [BigInt(Number(plant['height'])) * cents(plant['price'])])),
  );
  return {
    plantCount: plants.length,
    keptCount: kept.filter((plant) => plant['kind'] !== 'weed').length,
    worth: text(worth),
    volume: text(volume),
    lowest: low.length === 0 ? null : Math.min(...low),
    highest: high.length === 0 ? null : Math.max(...high),
    firstPlanted: days[0] ?? null,
    meanPrice: prices.length === 0 ? null : mean(total(prices), BigInt(prices.length)),
    lastLabel: last?.['label'] ?? null,
    hotCount: kept.length,
    hotWorth: text(total(prices)),
  };
}

function cents(value: unknown): bigint {
  const [whole = '0', part = ''] = String(value).split('.');
  const size = BigInt(whole.replace('-', '')) * 100n + BigInt(part.padEnd(2, '0'));
  return whole.startsWith('-') ? -size : size;
}

/** Hundredths, or with more places, as the shortest decimal text. */
function text(value: bigint, places = 2): string {
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, '0');
  const part = digits.slice(-places).replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -places)}${part === '' ? '' : `.${part}`}`;
}

/** A quotient of cents to twelve places, half to even. */
function mean(sum: bigint, count: bigint): string {
  const scaled = sum * 10n ** 10n;
  const whole = scaled / count;
  const rest = (scaled % count) * 2n;
  const up = rest > count || (rest === count && whole % 2n === 1n);
  return text(up ? whole + 1n : whole, 12);
}
