import { loadavg } from 'node:os';
import { historySql } from '../../src/platform/query/history.ts';
import { rows, ident, sql } from '../../src/platform/sql.ts';
import { fillHistory, planLines, VERSIONS } from './history-fill.ts';
import { describeTimes, objectOf, percentile, say, SCHEMA, timeRequests, withLargeDatabase } from './large-database.ts';

/** The most that 95 of 100 readings of a record's history may take (`quality.md`, section 6, row 6). */
const LIMIT_MS = 50;
const READS = 1_000;

const asked = Number(process.argv[2] ?? 1_000_000);
await withLargeDatabase(
  ['administrator'],
  async (db, model) => {
    await fillHistory(db, objectOf(model, 'Network'), asked);
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
    for (const line of await planLines(large.db, historySql(SCHEMA, network.id, [String(found[0]?.['id'])]))) say(line);
    process.stdout.write(`${describeTimes(`history of one record of ${String(asked)} rows`, times)}; load average ${loadavg()[0]?.toFixed(1) ?? ''}\n`);
    say(`p95 is ${percentile(times, 0.95) <= LIMIT_MS ? 'within' : 'above'} ${String(LIMIT_MS)} ms.`);
  },
);
