import { loadavg } from 'node:os';
import { systemClock } from '../../src/platform/clock.ts';
import { makeLog } from '../../src/platform/log.ts';
import { historySql } from '../../src/platform/query/history.ts';
import { writtenWithin } from '../../src/platform/query/history-dates.ts';
import { rows, ident, sql, type Sql } from '../../src/platform/sql.ts';
import { fillHistory, partitionsOf, planLines, splitHistory, VERSIONS } from './history-fill.ts';
import { describeTimes, objectOf, percentile, say, SCHEMA, timeRequests, withLargeDatabase } from './large-database.ts';

/** The most that 95 of 100 readings of a record's history may take (`quality.md`, section 6, row 6). */
const LIMIT_MS = 50;
const READS = 1_000;

const asked = Number(process.argv[2] ?? 1_000_000);
await withLargeDatabase(
  ['administrator'],
  async (db, model) => {
    await fillHistory(db, objectOf(model, 'Network'), asked);
    const from = performance.now();
    const { steps, longestMs } = await splitHistory(db, systemClock, makeLog('warn'));
    const seconds = ((performance.now() - from) / 1000).toFixed(0);
    say(`split by year in ${seconds} s, ${String(steps)} steps, the longest ${(longestMs / 1000).toFixed(1)} s`);
  },
  async (large) => {
    const network = objectOf(large.model, 'Network');
    const found = await rows(large.db, sql`select id from ${ident(SCHEMA, network.table)} order by md5(id::text) limit ${READS + 50}`);
    const paths = found.map((row) => `/api/v1/records/Network/${String(row['id'])}/history`);
    const [first] = paths;
    const answer = await fetch(`${large.url}${first ?? ''}`, { headers: { authorization: `Bearer ${large.token}` } });
    const entries = (await answer.text()).split('"version":').length - 1;
    if (entries !== VERSIONS) throw new Error(`A record has ${String(entries)} versions, not ${String(VERSIONS)}.`);
    await timeRequests(large, paths.slice(READS));
    const times = await timeRequests(large, paths.slice(0, READS));
    const [one] = found;
    const [record] = await rows(large.db, sql`select version, created_at, updated_at from ${ident(SCHEMA, network.table)} where id = ${one?.['id']}::uuid`);
    const [createdAt, updatedAt] = [String(record?.['created_at']), String(record?.['updated_at'])].map((text) => new Date(text).toISOString());
    const dates = { version: Number(record?.['version']), createdAt: createdAt ?? '', updatedAt: updatedAt ?? '' };
    const plan = (within: Sql): Promise<readonly string[]> => planLines(large.db, historySql(SCHEMA, network.id, [String(one?.['id'])], within));
    const bounded = await plan(writtenWithin(ident('at'), [dates]));
    for (const line of bounded) say(line);
    const all = partitionsOf(await plan(sql`true`));
    process.stdout.write(`partitions touched: ${String(partitionsOf(bounded).length)} of ${String(all.length)} (${partitionsOf(bounded).join(', ')})\n`);
    process.stdout.write(`${describeTimes(`history of one record of ${String(asked)} rows`, times)}; load average ${loadavg()[0]?.toFixed(1) ?? ''}\n`);
    say(`p95 is ${percentile(times, 0.95) <= LIMIT_MS ? 'within' : 'above'} ${String(LIMIT_MS)} ms.`);
  },
);
