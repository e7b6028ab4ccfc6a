import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { FOUND, foundIdsSql, planFilter, type SearchRoute } from '../../../src/platform/query/filter.ts';
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

  it('find the ids of rare words by the index of the entries, and walk the order for the others', async () => {
    const source = openSource(context, 'Network');
    const found = async (search: string): Promise<unknown> => {
      const asked = foundIdsSql(source, search, new Map());
      return asked === null ? 'not asked' : Object.values((await rows(database.db, asked))[0] ?? {})[0];
    };
    expect([await found('common'), await found('co'), await found('nothing')]).to.deep.equal([null, 'not asked', '{}']);
    const ids = String(await found('rare'));
    expect(ids.slice(1, -1).split(',')).to.have.lengthOf(RECORDS / 100);
    const asked = foundIdsSql(source, 'rare', new Map());
    if (asked === null) throw new Error('A long word is not asked for.');
    expect(JSON.stringify(await rows(database.db, sql`explain ${asked}`))).to.contain('search_entry_keys');

    const planOf = async (search: string, route: SearchRoute): Promise<string> => {
      const [condition] = planFilter(source, { search }, route);
      if (condition === undefined) throw new Error('A search is no condition.');
      const values = condition.values.map((value) => (value === FOUND ? ids : value));
      return JSON.stringify(
        await rows(database.db, sql`explain select id, version from ${source.from} where ${{ ...condition, values }} order by created_at, id limit 51`),
      );
    };
    // The planner knows how many they are, and so which way is the shorter one.
    expect(await planOf('rare', 'found'))
      .to.match(/rows=60 .*id = ANY/s)
      .and.not.to.contain('search_entry');
    expect(await planOf('common', 'walked'))
      .to.match(/Index Scan using \S+_created.*search_entry_pkey/s)
      .and.not.to.match(/Sort|Seq Scan/);
  });
});
