import type { ServerProcess } from './child.ts';
import { vacuum, type BenchDatabase } from './database.ts';
import { measure } from './load.ts';
import type { Options } from './options.ts';
import type { Row } from './report.ts';
import { WORKS, type Work } from './works.ts';

export const WORN = 'after a minute of writes';
const WRITES_S = 60;
const READS = ['list', 'count with a filter', 'search of a rare term'];

/**
 * What reads lose by writes that nothing was tidied up after: some works measured right after VACUUM ANALYZE, then a minute of creates and
 * updates in turns, then the same works again. PostgreSQL's own autovacuum runs as it is set for the tables.
 */
export async function measureWorn(database: BenchDatabase, ours: ServerProcess, options: Options): Promise<readonly Row[]> {
  const works = WORKS.filter(({ name }) => READS.includes(name));
  await vacuum(database);
  const fresh = await measureAll(database, ours, works, options);
  await writeFor(database, ours, WRITES_S);
  const worn = await measureAll(database, ours, works, options);
  return works.flatMap(({ name }, index) => {
    const [before, after] = [fresh[index], worn[index]];
    if (before === undefined || after === undefined) return [];
    const { perSecond, ...rest } = after;
    const figures = { ours: perSecond, limit: before.perSecond, ratio: perSecond / before.perSecond, limitCpuMs: before.cpuMs };
    return [{ ...rest, ...figures, work: `${name} ${WORN}`, against: 'the same before', records: options.records, unit: 'requests/s' }];
  });
}

async function measureAll(database: BenchDatabase, ours: ServerProcess, works: readonly Work[], options: Options) {
  const found = [];
  for (const work of works) {
    const requests = await work.requests(database, 'ours', ours.url);
    await measure(ours, requests, options.seconds, false);
    found.push(await measure(ours, requests, options.seconds, false));
  }
  return found;
}

async function writeFor(database: BenchDatabase, ours: ServerProcess, seconds: number): Promise<void> {
  const writes = WORKS.filter(({ once }) => once);
  const from = performance.now();
  while (performance.now() - from < seconds * 1000) {
    for (const work of writes) await measure(ours, await work.requests(database, 'ours', ours.url), 0, true);
  }
}
