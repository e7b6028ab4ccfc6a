import { expect } from 'chai';
import { createReadStream } from 'node:fs';
import { EXTENSIONS } from '../../src/extensions.ts';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { seededRandom } from '../../src/platform/ids.ts';
import { makeImporter } from '../../src/platform/import/import.ts';
import { makeReader } from '../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { makeShippedDatabase } from '../support/database.ts';
import { pendingWithout, sharedFile } from '../support/shared-data.ts';

describe('the NPPES sample of Massachusetts and Rhode Island', () => {
  it('every row becomes a lead or is rejected with a reason; a second import writes nothing', async function () {
    const path = sharedFile('nppes', 'nppes_practitioners_MA_RI_20181204.csv');
    if (path === null) {
      pendingWithout(this, 'data/nppes');
      return;
    }
    const database = await makeShippedDatabase();
    try {
      const model = await makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS }).current();
      const context = systemCall(model, systemClock, seededRandom(1), 'test');
      const importer = makeImporter({ engine: makeRecordEngine() });
      const once = () => importer.run(database.db, context, { object: 'Lead', map: 'nppes', fileName: 'nppes.csv', content: createReadStream(path) });
      const first = await once();
      expect(first.read).to.equal(1074);
      expect(first.created + first.rejected).to.equal(first.read);
      expect(first.rejected).to.equal(0);
      const second = await once();
      expect(second).to.deep.equal({ read: 1074, created: 0, updated: 0, unchanged: first.created, rejected: 0 });
      const reader = makeReader();
      const count = async (filter: string) =>
        (await reader.aggregate(database.db, context, { object: 'Lead', filter, measures: [{ as: 'n', op: 'count' }] })).data[0]?.['n'];
      expect(await count("npiStatus == 'active' && reactivatedOn != null")).to.equal(await count('reactivatedOn != null'));
      expect(await count('taxonomyCode == null')).to.equal(0);
      expect(await count('practiceZip != null && size(practiceZip) != 5')).to.equal(0);
    } finally {
      await database.drop();
    }
  });

  it('the counties of the leads come from the ZIP codes', async function () {
    const [zips, leads] = [sharedFile('geo', 'geonames_us_zip.tsv'), sharedFile('nppes', 'nppes_practitioners_MA_RI_20181204.csv')];
    if (zips === null || leads === null) {
      pendingWithout(this, 'data/geo or data/nppes');
      return;
    }
    const database = await makeShippedDatabase();
    try {
      const model = await makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS }).current();
      const context = systemCall(model, systemClock, seededRandom(1), 'test');
      const importer = makeImporter({ engine: makeRecordEngine() });
      const rejected: string[] = [];
      const read = await importer.run(
        database.db,
        context,
        { object: 'ZipCode', map: 'zip-points', fileName: 'zip.tsv', content: createReadStream(zips) },
        (row) => {
          rejected.push(row.reason);
        },
      );
      expect(read.created).to.be.greaterThan(41_000);
      expect(read.created + read.rejected).to.equal(read.read);
      expect(rejected.filter((reason) => !reason.startsWith('The row repeats line'))).to.deep.equal([]);
      await importer.run(database.db, context, { object: 'Lead', map: 'nppes', fileName: 'nppes.csv', content: createReadStream(leads) });
      const count = async (filter: string) =>
        Number((await makeReader().aggregate(database.db, context, { object: 'Lead', filter, measures: [{ as: 'n', op: 'count' }] })).data[0]?.['n']);
      const local = "practiceState in ['MA', 'RI']";
      expect((await count(`${local} && county != null`)) / (await count(local))).to.be.greaterThan(0.95);
      expect(await count("practiceCity == 'WORCESTER' && practiceState == 'MA' && county == 'Worcester'")).to.be.greaterThan(10);
    } finally {
      await database.drop();
    }
  });
});
