import { expect } from 'chai';
import type { FieldSchema, PermissionFile } from '../../../src/platform/metadata/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { callOf, makeGardens, type Gardens } from '../record/fixtures/gardens.ts';
import { objectFile, setOf } from '../schema/builders.ts';

const engine = makeRecordEngine();
const reader = makeReader();
const FIELDS = 900;
const note = (index: number): string => `note${String(index)}`;
const notes = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => note(index));

const plants = (name: string, where: string, fields: readonly string[]): PermissionFile => ({
  name,
  label: name,
  audience: 'staff',
  objects: { Plant: { read: { where }, fields: ['name', 'garden', ...fields] }, Garden: { read: true } },
});
/** Who holds both sees some fields in some rows only; who holds one sees some rows only. */
const PERMISSIONS = [plants('some', `${note(FIELDS - 1)} == 'open'`, notes(FIELDS)), plants('few', `${note(0)} == 'here'`, notes(10))];

describe('an object of 900 texts that is seen in part', function () {
  this.timeout(60_000);
  let gardens: Gardens;
  let garden = '';
  before(async () => {
    const inGarden: FieldSchema = { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants' } };
    const texts = Object.fromEntries(notes(FIELDS).map((name) => [name, { type: 'string' } as const]));
    const permissions = new Map(PERMISSIONS.map((entry) => [entry.name, entry]));
    gardens = await makeGardens(
      10,
      setOf(
        { Garden: objectFile('Garden', { name: { type: 'string' } }), Plant: objectFile('Plant', { name: { type: 'string' }, garden: inGarden, ...texts }) },
        { permissions },
      ),
    );
    const call = callOf(gardens.model);
    const make = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> =>
      (await engine.writeOne(gardens.db, call, object, { kind: 'create', values })).id;
    garden = await make('Garden', { name: 'North' });
    await make('Plant', { name: 'Ash', garden, [note(0)]: 'there', [note(500)]: 'a', [note(FIELDS - 1)]: 'open' });
    await make('Plant', { name: 'Elm', garden, [note(0)]: 'here', [note(500)]: 'e', [note(FIELDS - 1)]: 'closed' });
    await make('Plant', { name: 'Oak', garden, [note(0)]: 'there', [note(500)]: 'o', [note(FIELDS - 1)]: 'closed' });
  });
  after(() => gardens.drop());

  it('answers each row with what may be seen in it', async () => {
    const call = callOf(gardens.model, ['some', 'few']);
    const { data } = await reader.list(gardens.db, call, { object: 'Plant', sort: ['name'] });
    expect(data.map((record) => [record['name'], record[note(0)], record[note(500)], record[note(FIELDS - 1)]])).to.deep.equal([
      ['Ash', 'there', 'a', 'open'],
      ['Elm', 'here', null, null],
    ]);
    const filtered = await reader.list(gardens.db, call, { object: 'Plant', filter: `${note(500)} == 'e' || ${note(500)} == 'a'` });
    expect(
      filtered.data.map((record) => record['name']),
      'a hidden value is not found',
    ).to.deep.equal(['Ash']);
    const [elm] = (await reader.list(gardens.db, call, { object: 'Plant', filter: `${note(0)} == 'here'` })).data;
    expect(await reader.get(gardens.db, call, 'Plant', elm?.id ?? '')).to.include({ name: 'Elm', [note(0)]: 'here', [note(500)]: null });
  });

  it('is counted from elsewhere as far as it may be seen', async () => {
    for (const [sets, count] of [
      [['some'], 1],
      [['few'], 1],
      [['some', 'few'], 2],
    ] as const) {
      const call = callOf(gardens.model, sets);
      const found = async (filter: string): Promise<number> => (await reader.list(gardens.db, call, { object: 'Garden', filter })).data.length;
      expect(await found(`plants.count() == ${String(count)}`), sets.join()).to.equal(1);
      expect(await found(`plants.exists(p, p.${note(0)} == 'there')`), sets.join()).to.equal(sets[0] === 'some' ? 1 : 0);
    }
  });
});
