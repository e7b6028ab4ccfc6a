import { expect } from 'chai';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { readRowRights } from '../../../src/platform/access/row-rights.sql.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { writtenWithin } from '../../../src/platform/query/history-dates.ts';
import { historySql, readHistory } from '../../../src/platform/query/history.ts';
import { sinceSql } from '../../../src/platform/query/past.ts';
import { readRecorded } from '../../../src/platform/query/recorded.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { ident, rows, run, sql, type Sql } from '../../../src/platform/sql.ts';
import { fillHistory, partitionsOf, planLines, splitHistory, VERSIONS } from '../../bench/history-fill.ts';
import { objectOf, SCHEMA } from '../../bench/large-database.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

/** Rows of history; `test/bench/history-size.ts` measures millions. */
const DAY_MS = 86_400_000;
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
    await splitHistory(database.db, systemClock, makeLog('silent'));
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

  it('is read by the index of the record in the partitions of its own dates, and nothing else is looked at', async () => {
    const network = objectOf(context.model, 'Network');
    for (const id of ids) {
      const dates = (await readRowRights(database.db, context, 'Network', [id])).get(id)?.dates;
      expect(dates?.version).to.equal(VERSIONS);
      const within = writtenWithin(ident('at'), dates === undefined ? [] : [dates]);
      const lines = await planLines(database.db, historySql(SCHEMA, network.id, [id], within));
      const plan = lines.join('\n');
      const first = new Date(Date.parse(dates?.createdAt ?? '') - DAY_MS).getUTCFullYear();
      const last = new Date(Date.parse(dates?.updatedAt ?? '') + DAY_MS).getUTCFullYear();
      const years = Array.from({ length: last - first + 1 }, (_, index) => first + index).filter((year) => year >= 2016);
      // Before the first partition there is only the default one, which is empty.
      const expected = [...years.map((year) => `record_history_${String(year)}`), ...(first < 2016 ? ['record_history_default'] : [])];
      expect(partitionsOf(lines), plan).to.deep.equal(expected);
      expect(expected).to.have.length.within(1, 3);
      expect(partitionsOf(await planLines(database.db, historySql(SCHEMA, network.id, [id], sql`true`)))).to.have.length.greaterThan(10);
      expect(plan).to.not.match(/Seq Scan on record_history_\d/);
      expect(plan).to.match(/Index Cond: \(record_id = ANY/);
      const read = lines.flatMap((line) =>
        /Bitmap Index/.test(line) ? [] : (/(?:Scan|scan).* on record_history_.* \(actual rows=(\d+)/.exec(line)?.slice(1) ?? []),
      );
      expect(
        read.reduce((sum, count) => sum + Number(count), 0),
        plan,
      ).to.equal(VERSIONS);
      // Its rows lie on as many pages as it has versions; with the index that is all that is read.
      const pages = Number(/Buffers: shared (?:hit=(\d+))?/.exec(plan)?.[1] ?? 0) + Number(/read=(\d+)/.exec(plan)?.[1] ?? 0);
      expect(pages, plan).to.be.within(1, 3 * VERSIONS);
    }
  });

  it('is read from a moment on in the years after it, as far as the record was changed', async () => {
    const network = objectOf(context.model, 'Network');
    const [record] = await rows(
      database.db,
      sql`select record_id as id from credenza.record_history group by 1 having min(at) >= '2019-10-01' and max(at) between '2020-06-01' and '2020-12-30' limit 1`,
    );
    const id = String(record?.['id']);
    const dates = (await readRowRights(database.db, context, 'Network', [id])).get(id)?.dates;
    const within = (at: Sql): Sql => writtenWithin(at, dates === undefined ? [] : [dates]);
    const plan = (moment: string): Promise<readonly string[]> => planLines(database.db, sinceSql(context, network, [id], moment, within));
    expect(partitionsOf(await plan('2020-06-01T00:00:00.000Z'))).to.deep.equal(['record_history_2019', 'record_history_2020']);
    const [last] = await rows(database.db, sql`select at from credenza.record_history where record_id = ${id}::uuid and version = 12`);
    const moment = new Date(String(last?.['at'])).toISOString();
    const then = await readRecorded(database.db, context, 'Network', id, { recordedAt: moment, effectiveOn: null });
    expect(then['version']).to.equal(12);
  });

  it('is whole also where a clock was wrong by years, and what is left of it where its oldest partition was taken away', async () => {
    const [id = ''] = ids;
    const entries = await readHistory(database.db, context, 'Network', id);
    await run(
      database.db,
      sql`update credenza.record_history set at = at + case version when 3 then interval '3 years' else interval '-3 years' end where record_id = ${id}::uuid and version in (3, 5)`,
    );
    const skewed = await readHistory(database.db, context, 'Network', id);
    expect(skewed.map(({ version }) => version)).to.have.members(entries.map(({ version }) => version));

    const [record] = await rows(
      database.db,
      sql`select record_id as id, min(at) as first from credenza.record_history where record_id <> ${id}::uuid group by 1 having min(at) >= '2018-07-01' and max(at) < '2019-11-01' limit 1`,
    );
    const kept = await rows(
      database.db,
      sql`select version from credenza.record_history where record_id = ${record?.['id']}::uuid and at >= '2019-01-01' order by version desc`,
    );
    await run(database.db, sql`alter table credenza.record_history detach partition credenza.record_history_2018`);
    expect(kept.length).to.be.within(1, VERSIONS - 1);
    const rest = await readHistory(database.db, context, 'Network', String(record?.['id']));
    expect(rest.map(({ version }) => version)).to.deep.equal(kept.map((row) => row['version']));
  });
});
