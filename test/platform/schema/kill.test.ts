import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { reportDrift } from '../../../src/platform/schema/drift.ts';
import { ident, platformTable, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { after, before } from './fixtures/killed-change.ts';
import { liveTables } from './live-tables.ts';
import { makeWorld, triggersLeft, type World } from './world.ts';

const isSource = import.meta.url.endsWith('.ts');
const CHILD = fileURLToPath(new URL(`./fixtures/kill-child.${isSource ? 'ts' : 'js'}`, import.meta.url));
const RECORDS = 250;

function runChild(args: readonly string[]): Promise<{ readonly signal: string | null; readonly code: number | null; readonly said: string }> {
  const child = spawn(process.execPath, [...(isSource ? ['--import=tsx'] : []), CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, said }));
  });
}

/** A world before the change, with records. */
async function filledWorld(): Promise<World> {
  const world = await makeWorld();
  await world.store.apply(before(), 'test');
  const { db } = world.database;
  const bed = await world.insert('Bed', { name: 'South' });
  const plant = (await world.store.load()).objects.get('Plant');
  const column = (name: string) => ident(plant?.fields.get(name)?.column ?? '');
  const sorted = (name: string) => ident(plant?.fields.get(name)?.sortColumn ?? '');
  await run(
    db,
    sql`insert into ${ident(schemaOf(db), plant?.table ?? '')} (id, created_at, created_by, updated_at, updated_by, ${column('label')}, ${sorted('label')}, ${column('number')}, ${sorted('number')}, ${column('bed')}, ${column('note')})
        select gen_random_uuid(), now(), 'test', now(), 'test', 'plant ' || n, 'plant ' || n, n::text, n::text, ${bed}::uuid, 'note ' || n from generate_series(1, ${RECORDS}) as n`,
  );
  return world;
}

describe('a schema change that is killed', () => {
  it('goes on at every point when it is applied again, and ends where one that was not killed ends', async () => {
    const twin = await makeWorld();
    let expected: readonly string[];
    try {
      await twin.store.apply(before(), 'test');
      await twin.store.apply(after(), 'test');
      expected = await liveTables(twin.database.db, await twin.store.load());
    } finally {
      await twin.drop();
    }
    const kills: string[] = [];
    for (const point of ['schema.after_step', 'schema.fill_batch', 'schema.before_version', 'schema.after_version']) {
      for (let visit = 1; ; visit += 1) {
        const world = await filledWorld();
        try {
          const { db } = world.database;
          const { signal, code, said } = await runChild([world.database.url, `${point}:${String(visit)}`]);
          if (signal === null) {
            expect(code, said).to.equal(0);
            break;
          }
          expect(signal, said).to.equal('SIGKILL');
          kills.push(`${point}:${String(visit)}`);
          // The lease of a killed process ends by time; here the time is over at once.
          await run(db, sql`update ${platformTable(db, 'lease')} set expires_at = clock_timestamp() - interval '1 second'`);
          await world.store.apply(after(), 'test');
          expect(
            (await world.store.plan(after())).steps.map((step) => step.description),
            kills.at(-1),
          ).to.deep.equal([]);
          expect(await liveTables(db, await world.store.load()), kills.at(-1)).to.deep.equal(expected);
          expect((await reportDrift(db)).drift, kills.at(-1)).to.deep.equal([]);
          const counts = [...(await world.values('Plant', 'number'))].map(Number).sort((left, right) => left - right);
          expect(counts, kills.at(-1)).to.deep.equal(Array.from({ length: RECORDS }, (_, index) => index + 1));
          expect(new Set(await world.values('Plant', 'title')).size).to.equal(RECORDS);
          expect((await world.values('Plant', 'bed')).filter((value) => typeof value === 'object' && value !== null)).to.have.length(RECORDS);
          expect(await triggersLeft(db)).to.deep.equal([]);
        } finally {
          await world.drop();
        }
      }
    }
    expect(kills.length).to.be.greaterThan(20);
    process.stdout.write(`      killed and gone on with at ${String(kills.length)} points\n`);
  }).timeout(900_000);
});
