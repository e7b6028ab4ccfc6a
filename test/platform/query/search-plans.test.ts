import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { findsFewSql, planFilter } from '../../../src/platform/query/filter.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { openSource } from '../../../src/platform/query/source.ts';
import type { ReadQuery } from '../../../src/platform/query/types.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { fillObject, objectOf } from '../../bench/large-database.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

const RECORDS = 6_000;

describe('lists of what words are found in', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let context: CallContext;
  before(async () => {
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), systemClock, seededRandom(1), 'test');
    const name = sql`'Common ' || n || case when n % 100 = 0 then ' rare' else '' end`;
    await fillObject(database.db, objectOf(context.model, 'Network'), RECORDS, { name, type: sql`'hmo'::text`, lineOfBusiness: sql`'commercial'::text` });
  });
  after(() => database.drop());

  async function walk(query: Omit<ReadQuery, 'object'>): Promise<readonly string[]> {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await makeReader().list(database.db, context, {
        object: 'Network',
        fields: ['name'],
        limit: 500,
        ...query,
        ...(cursor === undefined ? {} : { cursor }),
      });
      found.push(...page.data.map((record) => record.id));
      cursor = page.page.next ?? undefined;
    } while (cursor !== undefined);
    return found;
  }

  it('are whole and in order, page by page, whether the words are rare or in every record', async () => {
    const all = await walk({ sort: ['-createdAt', 'name'] });
    expect(new Set(all).size).to.equal(RECORDS);
    expect(await walk({ sort: ['-createdAt', 'name'], search: 'common' })).to.deep.equal(all);
    const rare = await walk({ sort: ['-createdAt', 'name'], search: 'common rare' });
    expect(rare).to.deep.equal(await walk({ sort: ['-createdAt', 'name'], filter: "name.contains('rare')" }));
    expect(rare.length).to.equal(RECORDS / 100);
  });

  it('take rare words first, by the index of the entries, and walk the order for the others', async () => {
    const source = openSource(context, 'Network');
    const isFew = async (search: string): Promise<unknown> => {
      const asked = findsFewSql(source, search);
      return asked === null ? null : Object.values((await rows(database.db, asked))[0] ?? {})[0];
    };
    expect([await isFew('rare'), await isFew('common'), await isFew('co')]).to.deep.equal([true, false, null]);
    const planOf = async (findsFew: boolean): Promise<string> => {
      const [condition] = planFilter(source, { search: 'rare' }, findsFew);
      if (condition === undefined) throw new Error('A search is no condition.');
      return JSON.stringify(await rows(database.db, sql`explain select id from ${source.from} where ${condition} order by created_at limit 51`));
    };
    expect(await planOf(true)).to.match(/InitPlan.*search_entry_keys.*Index Cond: \(id = ANY/s);
  });
});
