import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { startServer, type ServerProcess } from './child.ts';
import { SCHEMA, type BenchDatabase } from './database.ts';
import { median } from './load.ts';
import type { Options } from './options.ts';
import type { Row } from './report.ts';

export const EXPORT = 'export as CSV';
export const IDLE = 'CPU when idle';
/** A process that has just started still has to settle. */
const SETTLE_MS = 5_000;
const LEAST_IDLE_S = 10;

/** The settings with which the product runs as a process of its own. */
export function productSettings(database: BenchDatabase): Readonly<Record<string, string>> {
  const place = { DATABASE_URL: database.url, DATABASE_SCHEMA: SCHEMA, DATABASE_POOL: '10', PORT: '0', HOST: '127.0.0.1' };
  return { ...place, LOG_LEVEL: 'warn', SMTP_LISTEN_PORT: '' };
}

/** All providers as CSV over HTTP, as somebody with the right to export gets them, beside `COPY ... TO` of the same table, round by round. */
export async function measureExport(database: BenchDatabase, ours: ServerProcess, { records, rounds }: Options, say: (line: string) => void): Promise<Row> {
  const rates: { ours: number[]; limit: number[]; cpu: number[] } = { ours: [], limit: [], cpu: [] };
  for (let round = 0; round < rounds; round += 1) {
    const before = await ours.usage();
    const exported = await exportOut(database, ours);
    const after = await ours.usage();
    const copied = await copyOut(database);
    if (exported.rows !== copied.rows) throw new Error(`The export wrote ${String(exported.rows)} rows, the copy ${String(copied.rows)}.`);
    rates.ours.push(exported.rows / exported.seconds);
    rates.limit.push(copied.rows / copied.seconds);
    rates.cpu.push((after.cpuMs - before.cpuMs) / exported.rows);
    say(
      `${EXPORT}, round ${String(round + 1)}: ${(exported.rows / exported.seconds).toFixed(0)} rows/s, COPY ${(copied.rows / copied.seconds).toFixed(0)} rows/s`,
    );
  }
  const [perSecond, limit] = [median(rates.ours), median(rates.limit)];
  const figures = { ours: perSecond, limit, ratio: perSecond / limit, unit: 'rows/s', cpuMs: median(rates.cpu), limitCpuMs: 0 };
  return { work: EXPORT, against: 'COPY TO', records, ...figures, peakMb: (await ours.usage()).peakMb };
}

async function exportOut(database: BenchDatabase, ours: ServerProcess): Promise<{ readonly rows: number; readonly seconds: number }> {
  const start = performance.now();
  const response = await fetch(`${ours.url}/api/v1/exports/Provider?format=csv`, { headers: { authorization: `Bearer ${database.token}` } });
  if (!response.ok || response.body === null) throw new Error(`The export answers ${String(response.status)}: ${await response.text()}`);
  const lines = await countLines(response.body);
  // The first line names the columns; no value of the benchmark holds a line break.
  return { rows: lines - 1, seconds: (performance.now() - start) / 1000 };
}

const LINE_FEED = 10;

async function countLines(body: AsyncIterable<Uint8Array>): Promise<number> {
  let lines = 0;
  for await (const block of body) for (let at = block.indexOf(LINE_FEED); at >= 0; at = block.indexOf(LINE_FEED, at + 1)) lines += 1;
  return lines;
}

async function copyOut(database: BenchDatabase): Promise<{ readonly rows: number; readonly seconds: number }> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const start = performance.now();
    const source = client.query(copyTo('copy bench.provider to stdout (format csv)'));
    for await (const block of source) if (!Buffer.isBuffer(block)) throw new TypeError('COPY sends bytes.');
    return { rows: source.rowCount, seconds: (performance.now() - start) / 1000 };
  } finally {
    await client.end();
  }
}

/** What a server with its worker takes of one core while nobody asks it for anything. */
export async function measureIdle(database: BenchDatabase, options: Options): Promise<Row> {
  const server = await startServer('app-server', { ...productSettings(database), BENCH_WORKER: 'yes' }, null);
  try {
    await delay(SETTLE_MS);
    const before = await server.usage();
    const start = performance.now();
    await delay(Math.max(LEAST_IDLE_S, options.seconds) * 1000);
    const after = await server.usage();
    const share = (100 * (after.cpuMs - before.cpuMs)) / (performance.now() - start);
    const none = { limit: 0, ratio: 0, cpuMs: 0, limitCpuMs: 0 };
    return { work: IDLE, against: 'goal', records: options.records, ours: share, ...none, unit: '%', rssMb: after.rssMb };
  } finally {
    await server.stop();
  }
}
