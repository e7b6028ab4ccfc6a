import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { planFilter } from '../../../src/platform/query/filter.ts';
import { pageSql } from '../../../src/platform/query/page.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { planSegments, planSort, type Position } from '../../../src/platform/query/sort.ts';
import { openSource, selectFields } from '../../../src/platform/query/source.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { fillObject, objectOf } from '../../bench/large-database.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

const RECORDS = 20_000;
const FAMILIES = ['Adams', 'Baker', 'Bakos', 'Clark', 'Davis', 'Evans', 'Frank', 'Ghosh', 'Hills', 'Irwin'];

describe('pages in the order of a view', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let context: CallContext;
  before(async () => {
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), systemClock, seededRandom(1), 'test');
    await fillObject(database.db, objectOf(context.model, 'Provider'), RECORDS, {
      npi: sql`(1000000000 + n)::text`,
      name: sql`(${FAMILIES}::text[])[1 + n % ${FAMILIES.length}::int] || ' ' || n`,
      entityType: sql`'individual'::text`,
      type: sql`'pcp'::text`,
      status: sql`'active'::text`,
    });
  });
  after(() => database.drop());

  /** The plan of the first stretch of a page, as PostgreSQL chooses it for these values. */
  async function planOf(object: string, sort: readonly string[], filter: string | undefined, after: Position | null): Promise<string> {
    const source = openSource(context, object);
    const keys = planSort(source, sort);
    const [segment] = planSegments(keys, after);
    if (segment === undefined) throw new Error('A list has no order.');
    const conditions = [...planFilter(source, { filter }), ...segment.where];
    const statement = pageSql(source, selectFields(source, ['name']).fields, keys, conditions, segment.orderBy, 51);
    return JSON.stringify(await rows(database.db, sql`explain ${statement}`));
  }

  async function namesOf(filter: string): Promise<readonly unknown[]> {
    const { data } = await makeReader().list(database.db, context, { object: 'Provider', fields: ['name'], sort: ['name'], filter, limit: 500 });
    return data.map((record) => record['name']);
  }

  it('are read along the index that the view gives its object, first page and later ones, up and down', async () => {
    const index = `${objectOf(context.model, 'Provider').table}_${objectOf(context.model, 'Provider').fields.get('name')?.column ?? ''}_o`;
    for (const sort of ['name', '-name'])
      for (const after of [null, ['clark 000000000003', '00000000-0000-4000-8000-000000000000']]) {
        const plan = await planOf('Provider', [sort], undefined, after);
        expect(plan, `${sort} ${String(after)}`).to.contain(index);
        expect(plan, `${sort} ${String(after)}`).not.to.match(/Sort|Seq Scan/);
      }
  });

  it('that begin with a text are one stretch of that index, whether it holds many or few', async () => {
    for (const [start, end] of [
      ['Bak', 'bal'],
      ['Irwin', 'irwio'],
    ] as const) {
      const plan = await planOf('Provider', ['name'], `name.startsWith('${start}')`, null);
      expect(plan, start).to.contain('_o on ').and.to.contain(`>= '${start.toLowerCase()}'::text`).and.to.contain(`< '${end}'::text`);
      expect(plan, start).not.to.match(/Sort|Seq Scan|Bitmap/);
    }
  });

  it('that begin with a text are the same as by every record, in large and small letters and past digits', async () => {
    const all = await namesOf("name.startsWith('Bak') && !(name == '')");
    expect(all.length).to.equal(500);
    expect(await namesOf("name.startsWith('bak')")).to.deep.equal([]);
    const one = await namesOf("name.startsWith('Baker 1999')");
    const byHand = Array.from({ length: RECORDS }, (_, at) => at + 1).filter((n) => n % 10 === 1 && String(n).startsWith('1999'));
    expect(one).to.deep.equal(byHand.map((n) => `Baker ${String(n)}`));
    expect(await namesOf("!name.startsWith('Baker 1') && name.startsWith('Baker 2')")).to.have.lengthOf.above(100);
  });
});
