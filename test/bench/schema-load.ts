import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';
import { readConfig } from '../../src/cli/open-app.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { makeApp, type App } from '../../src/main.ts';
import { systemClock, type Clock } from '../../src/platform/clock.ts';
import { inTransaction, openDb } from '../../src/platform/db.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { FieldSchema, ObjectFile } from '../../src/platform/metadata/types.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { ident, joinSql, rows, run, sql, type Sql } from '../../src/platform/sql.ts';
import { startServer } from './child.ts';
import { stopwatch, watch, type Parts } from './schema-watch.ts';

const SCHEMA = 'schema_load';
const PER_SECOND = 100;
/** The longest that anybody may wait during a change (`quality.md`, 4); those who wait longer are named. */
const LIMIT_MS = 300;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** What one change did to those who worked meanwhile. */
interface LoadRow {
  readonly change: string;
  readonly seconds: number;
  readonly requests: number;
  readonly errors: number;
  readonly p50: number;
  readonly p99: number;
  readonly longestMs: number;
  /** The longest that the server's event loop was held up. */
  readonly heldMs: number;
  readonly lockMs: number;
  readonly seenMs: number | null;
  readonly parts: Parts | null;
}

interface Load {
  readonly rows: readonly LoadRow[];
  /** A plain ALTER that adds a column to a copy of the table of equal size, under the same requests: the median of several, in ms. */
  readonly plainAlterMs: number;
}

const text = (id: string, more: Partial<FieldSchema> = {}): FieldSchema => ({ type: 'string', 'x-id': id, ...more });

function object(properties: Readonly<Record<string, FieldSchema>>): ObjectFile {
  return { title: 'Parcel', type: 'object', 'x-object': { id: 'parce0000001', plural: 'Parcels', name: '{name}', sharing: 'public' }, properties };
}

const START = { name: text('parce0000002'), code: text('parce0000003'), label: text('parce0000004'), old: text('parce0000005') };
const ADDED = { ...START, extra: text('parce0000006') };
const { label: LABEL, ...WITHOUT_LABEL } = ADDED;
const RENAMED = { ...WITHOUT_LABEL, caption: LABEL };
const HIDDEN = { name: RENAMED.name, code: RENAMED.code, extra: RENAMED.extra, caption: RENAMED.caption };
const RETYPED = { ...HIDDEN, code: { type: 'integer', 'x-id': 'parce0000003' } as const };
const INDEXED = { ...RETYPED, name: text('parce0000002', { 'x-index': true }) };

/** The changes in order; the last one drops what was hidden, 91 days later by its own clock. */
const CHANGES: readonly (readonly [string, Readonly<Record<string, FieldSchema>>, boolean])[] = [
  ['add a field', ADDED, false],
  ['rename a field', RENAMED, false],
  ['hide a field', HIDDEN, false],
  ['change a type', RETYPED, false],
  ['add an index', INDEXED, false],
  ['drop what was hidden', INDEXED, true],
];

/** Measures every change at 100 requests a second on this many records of one object. */
async function measureSchemaLoad(serverUrl: string, records: number): Promise<Load> {
  const name = `credenza_schema_load_${String(process.pid)}`;
  const admin = openDb({ url: serverUrl, schema: 'public', poolSize: 1, statementTimeoutMs: 600_000 });
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await run(admin, sql`create database ${ident(name)}`);
  try {
    return await measureOn(url.href, records);
  } finally {
    await run(admin, sql`drop database ${ident(name)} with (force)`);
    await admin.destroy();
  }
}

function openApp(databaseUrl: string): App {
  return makeApp({ ...readConfig(process.env), databaseUrl, schema: SCHEMA, logLevel: 'warn' });
}

async function measureOn(url: string, records: number): Promise<Load> {
  const app = openApp(url);
  try {
    await app.prepare();
    await applyTo(app, START, systemClock);
    const ids = await fillTable(app, records);
    say(`${String(records)} records are there.`);
    const token = await inTransaction(app.db, async (tx) => {
      const account = { email: 'load@plan.example', name: 'Load', permissionSets: ['administrator'], password: 'a long password of the load' };
      const { user } = await addUser(tx, { clock: systemClock }, account, new Set(['administrator']), 'system:bench');
      return (await app.signIn.createToken(tx, user.id, 'load', null)).token;
    });
    const environment = {
      DATABASE_URL: url,
      DATABASE_SCHEMA: SCHEMA,
      DATABASE_POOL: '10',
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'warn',
      SMTP_LISTEN_PORT: '',
    };
    const server = await startServer('app-server', { ...environment, BENCH_WATCH_LOOP: 'yes' }, null);
    const changer = fork(fileURLToPath(import.meta.url), ['change', url], { execArgv: process.execArgv });
    try {
      const traffic = makeTraffic(server.url, token, ids, app.db, async () => (await server.usage()).heldMs);
      await traffic.during('warm-up', () => delay(5_000).then(() => null));
      const found: LoadRow[] = [];
      const note = (row: LoadRow): void => {
        found.push(row);
        say(JSON.stringify(row));
      };
      note(await traffic.during('nothing, for 10 s', () => delay(10_000).then(() => null)));
      const plainAlterMs = await alterCopy(app, traffic);
      say(`A plain ALTER on a copy takes ${plainAlterMs.toFixed(1)} ms.`);
      for (const [index, [change]] of CHANGES.entries()) note(await traffic.during(change, () => carryOut(changer, index)));
      await traffic.verify();
      return { rows: found, plainAlterMs };
    } finally {
      changer.kill();
      await server.stop();
    }
  } finally {
    await app.stop();
  }
}

async function applyTo(app: App, properties: Readonly<Record<string, FieldSchema>>, clock: Clock, allowDestructive = false): Promise<Parts> {
  const shipped = loadMetadata(metadataDirectories([]));
  const watch = stopwatch();
  const store = makeModelStore({ db: app.db, clock, extensions: EXTENSIONS, faults: watch.pass });
  await store.apply({ ...shipped, objects: new Map([...shipped.objects, ['Parcel', object(properties)]]) }, 'bench', { allowDestructive });
  return watch.parts();
}

/** Adds a column to a copy of the table as by hand, some times; answers the median in milliseconds. */
async function alterCopy(app: App, traffic: ReturnType<typeof makeTraffic>): Promise<number> {
  const table = (await app.store.load()).objects.get('Parcel')?.table ?? '';
  const copy = ident(SCHEMA, 'parcel_copy');
  await app.db.transaction(async (tx) => {
    await run(tx, sql`select set_config('statement_timeout', '0', true)`);
    await run(tx, sql`create table ${copy} as select * from ${ident(SCHEMA, table)}`);
  });
  const times: number[] = [];
  await traffic.during('plain ALTER', async () => {
    for (let turn = 0; turn < 7; turn += 1) {
      const start = performance.now();
      await run(app.db, sql`alter table ${copy} add column ${ident(`extra_${String(turn)}`)} text collate "C"`);
      times.push(performance.now() - start);
      await delay(200);
    }
    return null;
  });
  await run(app.db, sql`drop table ${copy}`);
  return times.sort((left, right) => left - right)[3] ?? 0;
}

/** Fills the table of the object by one statement; answers some of the ids. */
async function fillTable({ db, store }: App, records: number): Promise<readonly string[]> {
  const parcel = (await store.load()).objects.get('Parcel');
  if (parcel === undefined) throw new Error('The object is not there.');
  const columns: Sql[] = [];
  const values: Sql[] = [];
  for (const [name, value] of Object.entries({ name: sql`'parcel ' || n`, code: sql`n::text`, label: sql`'label ' || n`, old: sql`'old ' || n` })) {
    const field = parcel.fields.get(name);
    for (const column of [field?.column, field?.sortColumn]) {
      if (typeof column !== 'string') continue;
      columns.push(ident(column));
      values.push(value);
    }
  }
  const table = ident(SCHEMA, parcel.table);
  await db.transaction(async (tx) => {
    await run(tx, sql`select set_config('statement_timeout', '0', true)`);
    await run(
      tx,
      sql`insert into ${table} (id, created_at, created_by, updated_at, updated_by, ${joinSql(columns)})
          select gen_random_uuid(), now(), 'bench', now(), 'bench', ${joinSql(values)} from generate_series(1, ${records}) as n`,
    );
  });
  await run(db, sql`set statement_timeout = 0`);
  await run(db, sql`vacuum (analyze) ${table}`);
  return (await rows(db, sql`select id from ${table} order by id limit 2000`)).map((row) => String(row['id']));
}

/** Has the other process carry out a change: neither the server nor whoever measures waits for its work. */
function carryOut(changer: ChildProcess, index: number): Promise<Parts> {
  return new Promise((resolve, reject) => {
    changer.once('message', (message: unknown) => {
      if (typeof message !== 'object' || message === null) return reject(new Error(String(message)));
      const part = (name: string): number => Number(Reflect.get(message, name));
      return resolve({ plan: part('plan'), steps: part('steps'), ready: part('ready'), switch: part('switch') });
    });
    changer.send(index);
  });
}

/** The process that changes the metadata. */
function serveChanges(url: string): void {
  const app = openApp(url);
  const later = (): number => systemClock.nowMs() + 91 * 86_400_000;
  const inFuture: Clock = { nowMs: later, now: () => new Date(later()).toISOString() };
  process.on('message', (index: unknown) => {
    const [, properties, isLater] = CHANGES[Number(index)] ?? ['', START, false];
    applyTo(app, properties, isLater ? inFuture : systemClock, isLater).then(
      (parts) => process.send?.(parts),
      (error: unknown) => process.send?.(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  });
  process.once('disconnect', () => void app.stop());
}

/** How long requests go on after a change, so that its being noticed is measured with it. */
const AFTER_MS = 2_500;

interface Sent {
  readonly isGood: boolean;
  readonly kind: 'read' | 'update' | 'create';
}

/** Reads, updates and creates at a fixed rate, whether or not earlier ones were answered; times count from when a request was due. */
function makeTraffic(url: string, token: string, ids: readonly string[], db: Knex, heldMs: () => Promise<number>) {
  const versions = new Map<string, number>();
  const codes = new Map<string, number>();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const base = `${url}/api/v1/records/Parcel`;
  let turn = 0;
  const write = async (method: 'PATCH' | 'POST', id: string, code: number): Promise<Response> => {
    const body = JSON.stringify({ name: `parcel ${String(code)}`, code: String(code) });
    if (method === 'POST') return fetch(base, { method, headers, body });
    const version = versions.get(id) ?? 1;
    const answer = await fetch(`${base}/${id}`, { method, headers: { ...headers, 'if-match': `"v${String(version)}"` }, body });
    if (answer.ok) {
      versions.set(id, version + 1);
      codes.set(id, code);
    }
    return answer;
  };
  const send = async (): Promise<Sent> => {
    const step = (turn += 1);
    const id = ids[step % ids.length] ?? '';
    const kind = step % 10;
    const answer = await (kind < 6 ? fetch(`${base}/${id}`, { headers }) : write(kind < 8 ? 'PATCH' : 'POST', id, step));
    const text = await answer.text();
    if (!answer.ok) say(`${String(answer.status)}: ${text.slice(0, 300)}`);
    return { isGood: answer.ok, kind: kind < 6 ? 'read' : kind < 8 ? 'update' : 'create' };
  };
  return {
    async during(change: string, work: () => Promise<Parts | null>): Promise<LoadRow> {
      const times: number[] = [];
      const slow: string[] = [];
      const sent: Promise<void>[] = [];
      let errors = 0;
      const start = performance.now();
      const timer = setInterval(() => {
        const now = performance.now();
        for (let due = start + (sent.length * 1000) / PER_SECOND; due <= now; due += 1000 / PER_SECOND)
          sent.push(
            send().then(
              ({ isGood, kind }) => {
                const took = performance.now() - due;
                times.push(took);
                if (took > LIMIT_MS) slow.push(`${kind} ${((due - start) / 1000).toFixed(2)} s + ${took.toFixed(0)} ms`);
                if (!isGood) errors += 1;
              },
              (error: unknown) => {
                say(String(error));
                errors += 1;
              },
            ),
          );
      }, 2);
      let seconds = 0;
      let parts: Parts | null = null;
      await heldMs();
      const watching = watch(db);
      try {
        parts = await work();
        seconds = (performance.now() - start) / 1000;
        await delay(AFTER_MS);
      } finally {
        clearInterval(timer);
      }
      await Promise.all(sent);
      const watched = await watching.stop();
      const held = Math.round(await heldMs());
      if (slow.length > 0) say(`${change}: ${String(slow.length)} waited longer than ${String(LIMIT_MS)} ms: ${slow.slice(0, 40).join(', ')}`);
      times.sort((left, right) => left - right);
      const at = (share: number): number => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0);
      const took = { seconds: Math.round(seconds * 10) / 10, requests: sent.length, errors };
      return { change, ...took, p50: at(0.5), p99: at(0.99), longestMs: at(1), heldMs: held, ...watched, parts };
    },
    /** Every record that was updated holds what was written last. @throws Error otherwise */
    async verify(): Promise<void> {
      for (const [id, code] of codes) {
        const answer = await fetch(`${base}/${id}`, { headers });
        const text = await answer.text();
        if (!text.includes(`"code":${String(code)},`) && !text.includes(`"code":${String(code)}}`))
          throw new Error(`A write was lost: ${String(code)} is not in ${text}`);
      }
      say(`${String(codes.size)} updated records hold what was written last.`);
    },
  };
}

if (process.argv[2] === 'change') serveChanges(process.argv[3] ?? '');
else {
  const serverUrl = process.env['TEST_DATABASE_URL'];
  if (serverUrl === undefined) throw new Error('Set TEST_DATABASE_URL.');
  const found = await measureSchemaLoad(serverUrl, Number(process.argv[2] ?? 20_000));
  process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
}
