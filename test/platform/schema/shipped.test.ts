import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { checkMetadata } from '../../../src/platform/model/check.ts';
import { readCatalogue } from '../../../src/platform/schema/catalogue.sql.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { packageRoot } from '../../../src/platform/root.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

describe('shipped metadata', () => {
  let database: TestDatabase;

  before(async () => {
    database = await makeTestDatabase();
  });

  after(() => database.drop());

  it('has no findings', () => {
    expect(checkMetadata(loadMetadata([packageRoot()]), EXTENSIONS)).to.deep.equal([]);
  });

  it('becomes tables on an empty database, each column of the Model among them, and is then nothing to do', async () => {
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    const set = loadMetadata([packageRoot()]);
    const result = await store.apply(set, 'test');
    expect(result.version).to.equal(1);
    const model = await store.current();
    expect([...set.objects.keys()].every((name) => model.objects.has(name))).to.equal(true);
    const live = await readCatalogue(database.db, []);
    const missing = [...model.objects.values()].flatMap((object) =>
      [...object.fields.values()].flatMap((field) =>
        [field.column, field.sortColumn, field.objectColumn]
          .filter((column) => column !== null && live.tables.get(object.table)?.has(column) !== true)
          .map((column) => `${object.name}.${String(column)}`),
      ),
    );
    expect(missing).to.deep.equal([]);
    expect([...live.indexes.values(), ...live.constraints.values()].every((entry) => entry.isValid)).to.equal(true);
    expect((await store.plan(set)).steps).to.deep.equal([]);
    expect(await store.apply(set, 'test')).to.deep.include({ steps: [], version: 1 });
  });
});
