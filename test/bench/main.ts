import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rows, sql, ident } from '../../src/platform/sql.ts';
import { startServer, type ServerProcess } from './child.ts';
import { measureConditions } from './conditions.ts';
import { providerValues, records, visitValues, writeCsv } from './data.ts';
import { exportNewRows, fillNames, openBenchDatabase, SCHEMA, settingsOf, vacuum, type BenchDatabase } from './database.ts';
import { measure, median, medianOf, type HttpRequest, type Measured } from './load.ts';
import { HELP, readOptions, type Options } from './options.ts';
import { EXPORT, IDLE, measureExport, measureIdle, productSettings } from './processes.ts';
import { printGrowth, printTable, type Row } from './report.ts';
import { WORKS, type Side, type Work } from './works.ts';
import { measureWorn, WORN } from './worn.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface Servers {
  readonly ours: ServerProcess;
  readonly limit: ServerProcess;
}

async function startServers(database: BenchDatabase, profile: string | null): Promise<Servers> {
  const limit = { DATABASE_URL: database.url, LIMIT_PROVIDER: JSON.stringify(database.limitColumns), LIMIT_CALLER: database.sight.userId };
  return { ours: await startServer('app-server', productSettings(database), profile), limit: await startServer('limit-server', limit, null) };
}

/** Fills both sets of tables, the product's through its import, and measures that against COPY, round by round. */
async function fill(database: BenchDatabase, servers: Servers, options: Options): Promise<Row | null> {
  const [held] = await rows(database.db, sql`select count(*)::int as count from ${ident(SCHEMA, database.table('Provider'))}`);
  if (Number(held?.['count']) >= options.records) return null;
  const rates: { ours: number[]; limit: number[]; cpu: number[]; limitCpu: number[] } = { ours: [], limit: [], cpu: [], limitCpu: [] };
  let peakMb = 0;
  for (let round = 0; round < options.rounds; round += 1) {
    const [from, to] = [round, round + 1].map((part) => Math.round((part * options.records) / options.rounds));
    const file = join(database.directory, 'providers.csv');
    await writeCsv(file, records(from ?? 0, to ?? 0, providerValues));
    await vacuum(database);
    const ours = await importTimed(servers.ours, 'Provider', file);
    peakMb = Math.max(peakMb, ours.peakMb);
    const copied = join(database.directory, 'providers.copy');
    await exportNewRows(database, 'Provider', copied);
    await vacuum(database);
    const limit = await importTimed(servers.limit, 'Provider', copied);
    if (limit.rows !== ours.rows) throw new Error(`The import wrote ${String(ours.rows)} rows, the copy ${String(limit.rows)}.`);
    rates.ours.push(ours.perSecond);
    rates.cpu.push(ours.cpuMs);
    rates.limit.push(limit.perSecond);
    rates.limitCpu.push(limit.cpuMs);
    say(`import, round ${String(round + 1)}: ${ours.perSecond.toFixed(0)} rows/s, COPY ${limit.perSecond.toFixed(0)} rows/s`);
  }
  const found = await rows(database.db, sql`select id from bench.provider order by id`);
  const ids = found.map((row) => String(row['id']));
  const visits = join(database.directory, 'visits.csv');
  await writeCsv(
    visits,
    records(0, Math.ceil(options.records * 0.3), (index) => visitValues(index, ids)),
  );
  await servers.ours.importFile('Visit', visits);
  const copied = join(database.directory, 'visits.copy');
  await exportNewRows(database, 'Visit', copied);
  await servers.limit.importFile('Visit', copied);
  await fillNames(database);
  const ours = median(rates.ours);
  const limit = median(rates.limit);
  const more = { unit: 'rows/s', cpuMs: median(rates.cpu), limitCpuMs: median(rates.limitCpu), peakMb };
  return { work: 'import of CSV', against: 'COPY', records: options.records, ours, limit, ratio: ours / limit, ...more };
}

async function importTimed(server: ServerProcess, object: string, file: string) {
  const before = await server.usage();
  const { rows: written, seconds } = await server.importFile(object, file);
  const after = await server.usage();
  return { rows: written, perSecond: written / seconds, cpuMs: (after.cpuMs - before.cpuMs) / written, peakMb: after.peakMb };
}

/** The first answer of both servers must be the same records: only then is the work the same. */
async function compare(servers: Servers, work: Work, ours: readonly HttpRequest[], limit: readonly HttpRequest[]): Promise<void> {
  const answers = await Promise.all([keysOf(servers.ours, ours[0]), keysOf(servers.limit, limit[0])]);
  if (answers[0] !== answers[1]) throw new Error(`"${work.name}" is not the same work on both sides: ${answers.join(' and ')}`);
}

async function keysOf(server: ServerProcess, request: HttpRequest | undefined): Promise<string> {
  const headers = { authorization: String(request?.headers?.['authorization'] ?? ''), 'content-type': 'application/json' };
  const body = request?.body === undefined ? {} : { body: String(request.body) };
  const response = await fetch(`${server.url}${request?.path ?? ''}`, { method: request?.method ?? 'GET', headers, ...body });
  if (!response.ok) throw new Error(`${String(request?.path)} answers ${String(response.status)}: ${await response.text()}`);
  const answer: unknown = await response.json();
  const data: unknown = typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : null;
  const list: readonly unknown[] = Array.isArray(data) ? data : [data];
  return list.map(keyOf).sort().join(',');
}

/** NPI, number, count or name: records that a run before this one wrote have other ids on either side. */
function keyOf(entry: unknown): string {
  if (typeof entry !== 'object' || entry === null) return '?';
  if ('npi' in entry) return String(entry.npi);
  if ('number' in entry) return String(entry.number);
  if ('count' in entry) return String(entry.count);
  return 'name' in entry ? String(entry.name) : '?';
}

async function runWork(database: BenchDatabase, servers: Servers, work: Work, options: Options): Promise<readonly Row[]> {
  const sides: readonly Side[] = ['ours', ...work.limits];
  const serverOf = (side: Side): ServerProcess => (side === 'ours' || side === 'first' ? servers.ours : servers.limit);
  const requestsOf = (side: Side): Promise<readonly HttpRequest[]> => work.requests(database, side, serverOf(side).url);
  if (!work.once && work.limits.includes('limit')) await compare(servers, work, await requestsOf('ours'), await requestsOf('limit'));
  // As long as a measurement: the compiler of the JavaScript engine has done its work by then.
  for (const side of sides) await measure(serverOf(side), await requestsOf(side), options.seconds, work.once);
  const measured = new Map<Side, Measured[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    const turn = round % sides.length;
    for (const side of [...sides.slice(turn), ...sides.slice(0, turn)]) {
      const requests = await requestsOf(side);
      await vacuum(database);
      const one = await measure(serverOf(side), requests, options.seconds, work.once);
      measured.get(side)?.push(one);
      say(`${work.name}, round ${String(round + 1)}, ${side}: ${one.perSecond.toFixed(0)}/s, CPU ${one.cpuMs.toFixed(2)} ms`);
    }
  }
  const ours = medianOf(measured.get('ours') ?? []);
  return work.limits.map((side) => {
    const limit = medianOf(measured.get(side) ?? []);
    return {
      work: work.name,
      against: AGAINST[side],
      records: options.records,
      ours: ours.perSecond,
      limit: limit.perSecond,
      ratio: ours.perSecond / limit.perSecond,
      unit: 'requests/s',
      cpuMs: ours.cpuMs,
      limitCpuMs: limit.cpuMs,
      statements: ours.statements,
      p50Ms: ours.p50Ms,
      p99Ms: ours.p99Ms,
      limitP50Ms: limit.p50Ms,
      rssMb: ours.rssMb,
    };
  });
}

const SEARCH = 'search of a rare term';

const AGAINST = { limit: 'bare route', logged: 'route with history and event', first: 'its own first page' } as const;

function print(found: readonly Row[], options: Options, settings: string): void {
  if (options.json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else printTable(found, settings);
}

const SIZES = [10_000, 100_000, 1_000_000];

/** Runs the benchmark as the command line says. */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options === null) {
    process.stdout.write(HELP);
    return;
  }
  const isWanted = (name: string): boolean => options.only === null || name.includes(options.only);
  const conditions = measureConditions(options.seconds, options.rounds, isWanted);
  if (options.only?.startsWith('condition') === true) {
    print(conditions, options, 'not asked');
    return;
  }
  const all: Row[] = [];
  const sizes = options.growth ? SIZES : [options.records];
  for (const records of sizes) {
    const { found, settings } = await runSize({ ...options, records });
    const shown = records === sizes[0] ? [...conditions, ...found] : found;
    all.push(...found);
    // One JSON text in the end, but tables as they come: a run of hours that breaks off has said what it found.
    if (!options.growth || !options.json) print(shown, options, settings);
  }
  if (options.growth && options.json) print([...conditions, ...all], options, '');
  else if (options.growth) printGrowth(all);
}

/** Measures all works that are wanted at one size. */
async function runSize(options: Options): Promise<{ readonly found: readonly Row[]; readonly settings: string }> {
  const isWanted = (name: string): boolean => options.only === null || name.includes(options.only);
  say(`Making the database for ${String(options.records)} records ...`);
  const from = performance.now();
  const database = await openBenchDatabase(options.database, options.keep);
  try {
    const found: Row[] = [];
    // First: what is written later leaves the worker something to do.
    if (isWanted(IDLE)) found.push(await measureIdle(database, options));
    const filling = await startServers(database, null);
    try {
      const row = await fill(database, filling, options);
      if (row !== null) found.push(row, ...goalRow('memory of an import', row, row.peakMb, 'MB'));
    } finally {
      await filling.ours.stop();
      await filling.limit.stop();
    }
    const filled = performance.now();
    await database.indexSearch();
    say(`search entries made in ${((performance.now() - filled) / 1000).toFixed(0)} s`);
    await database.fillSight();
    await vacuum(database);
    say(`ready after ${((performance.now() - from) / 1000).toFixed(0)} s`);
    const servers = await startServers(database, options.profile);
    try {
      // First: the highest memory of the process is then the export's.
      if (isWanted(EXPORT)) found.push(await measureExport(database, servers.ours, options, say));
      for (const work of WORKS.filter(({ name }) => isWanted(name))) {
        const measured = await runWork(database, servers, work, options);
        found.push(...measured);
        if (work.name === 'list') found.push(...goalRow('memory under the list load', measured[0], measured[0]?.rssMb, 'MB'));
        if (work.name === SEARCH) {
          found.push(...goalRow(`${SEARCH}, p50`, measured[0], measured[0]?.p50Ms, 'ms'), ...goalRow(`${SEARCH}, p99`, measured[0], measured[0]?.p99Ms, 'ms'));
        }
      }
      if (options.only === null || options.only === WORN) found.push(...(await measureWorn(database, servers.ours, options)));
    } finally {
      await servers.ours.stop();
      await servers.limit.stop();
    }
    const named = found.filter((row) => isWanted(row.work));
    return { found: named, settings: await settingsOf(database) };
  } finally {
    await database.close();
  }
}

/** Something that another row found too, judged by itself. */
function goalRow(work: string, row: Row | undefined, ours: number | undefined, unit: 'MB' | 'ms'): readonly Row[] {
  if (row === undefined || ours === undefined) return [];
  return [{ work, against: 'goal', records: row.records, ours, limit: 0, ratio: 0, unit, cpuMs: 0, limitCpuMs: 0 }];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2));
