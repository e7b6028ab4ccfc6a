import { expect } from 'chai';
import type { FieldSchema } from '../../../src/platform/metadata/types.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { objectFile, setOf } from '../schema/builders.ts';
import { ANNA, BERT, createTables, id, insert, smallModel, staffSet, user } from './support.ts';

const text: FieldSchema = { type: 'string', maxLength: 80 };
const OWN = { where: 'ownerId == user' };

/** Some fields of both objects are given in some of the visible rows only, so that both are masked. */
const SETS = [
  staffSet('own', { Firm: { read: OWN }, Site: { read: OWN } }),
  staffSet('names', {
    Firm: { read: { where: "name != 'Shut'" }, fields: ['name'] },
    Site: { read: { where: "name != 'Shut'" }, fields: ['name', 'firm', 'firmName'] },
  }),
];

describe('formulas of two masked objects that look at one another', () => {
  const set = setOf({
    Firm: objectFile('Firm', { name: text, size: { type: 'integer' }, named: { type: 'integer', 'x-formula': "sites.count(s, s.firmName == 'Open')" } }),
    Site: objectFile('Site', {
      name: text,
      firm: { type: 'string', format: 'uuid', 'x-ref': { to: 'Firm', as: 'sites' } },
      firmName: { ...text, 'x-formula': 'firm.name' },
      firmSize: { type: 'integer', 'x-formula': 'firm.size' },
    }),
  });
  const model = smallModel(SETS, completeIds({ ...set, permissions: new Map(SETS.map((file) => [file.name, file])) }));
  let database: TestDatabase;

  before(async () => {
    database = await makeTestDatabase();
    const { db } = database;
    await createTables(db, model);
    await insert(db, model, 'Firm', { id: id(1), name: 'Open', size: 3, ownerId: ANNA });
    await insert(db, model, 'Firm', { id: id(2), name: 'Wide', size: 4, ownerId: BERT });
    await insert(db, model, 'Firm', { id: id(3), name: 'Shut', size: 5, ownerId: BERT });
    for (const [number, firm, ownerId] of [
      [11, 1, ANNA],
      [12, 2, ANNA],
      [13, 3, ANNA],
      [14, 1, BERT],
    ] as const)
      await insert(db, model, 'Site', { id: id(number), name: `Site ${String(number)}`, firm: id(firm), ownerId });
  });
  after(() => database.drop());

  it('are computed from what may be read at each of them', async () => {
    const ctx = user(model, ['own', 'names']);
    const sites = await listRecords(database.db, ctx, { object: 'Site', fields: ['firmName', 'firmSize'] });
    expect(sites.data.map(({ firmName, firmSize }) => [firmName, firmSize])).to.deep.equal([
      ['Open', 3],
      ['Wide', null],
      [null, null],
      ['Open', null],
    ]);
    const firms = await listRecords(database.db, ctx, { object: 'Firm', fields: ['name', 'named'] });
    expect(firms.data.map(({ name, named }) => [name, named])).to.deep.equal([
      ['Open', 2],
      ['Wide', null],
    ]);
  });

  it('can be filtered by, from the one and from the other', async () => {
    const ctx = user(model, ['own', 'names']);
    const ids = async (object: string, filter: string): Promise<readonly string[]> =>
      (await listRecords(database.db, ctx, { object, filter })).data.map((record) => record.id);
    expect(await ids('Site', 'firm.named == 2')).to.deep.equal([id(11), id(14)]);
    expect(await ids('Firm', 'sites.exists(s, s.firmSize == 3)')).to.deep.equal([id(1)]);
    expect(await ids('Firm', 'sites.exists(s, s.firmSize == 4)')).to.deep.equal([]);
  });
});
