import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { historySql, readHistory } from '../../../src/platform/query/history.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { fillHistory, planLines, VERSIONS } from '../../bench/history-fill.ts';
import { objectOf, SCHEMA } from '../../bench/large-database.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

/** Rows of history; `test/bench/history-size.ts` measures millions. */
const ROWS = Number(process.env['HISTORY_ROWS'] ?? 60_000);

describe('the history of one record among many (quality.md, row 6)', function () {
  this.timeout(600_000);
  let database: TestDatabase;
  let context: CallContext;
  let ids: readonly string[];
  before(async () => {
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), systemClock, seededRandom(1), 'test');
    const network = objectOf(context.model, 'Network');
    expect(await fillHistory(database.db, network, ROWS)).to.equal(ROWS / VERSIONS);
    ids = (await rows(database.db, sql`select distinct record_id from credenza.record_history order by 1 limit 3`)).map((row) => String(row['record_id']));
  });
  after(() => database.drop());

  it('is whole, the newest version first, each beginning with what the one before it made', async () => {
    for (const id of ids) {
      const entries = await readHistory(database.db, context, 'Network', id);
      expect(entries.map(({ version }) => version)).to.deep.equal(Array.from({ length: VERSIONS }, (_, index) => VERSIONS - index));
      for (const [index, { changes }] of entries.entries()) {
        const before = entries[index + 1]?.changes[0];
        if (before !== undefined) expect(changes[0]?.from).to.equal(before.to);
      }
    }
  });

  it('is read by the index of the record, and nothing else is looked at', async () => {
    const lines = await planLines(database.db, historySql(SCHEMA, objectOf(context.model, 'Network').id, ids.slice(0, 1)));
    const plan = lines.join('\n');
    expect(plan).to.not.match(/Seq Scan/);
    expect(plan).to.match(/Index Cond: \(record_id = ANY/);
    const [read] = /actual rows=(\d+)/.exec(lines.find((line) => /Scan/.test(line) && !/Bitmap Index/.test(line)) ?? '')?.slice(1) ?? [];
    expect(Number(read), plan).to.equal(VERSIONS);
    // Its rows lie on as many pages as it has versions; with the index that is all that is read.
    const pages = Number(/Buffers: shared (?:hit=(\d+))?/.exec(plan)?.[1] ?? 0) + Number(/read=(\d+)/.exec(plan)?.[1] ?? 0);
    expect(pages, plan).to.be.within(1, 3 * VERSIONS);
  });
});
