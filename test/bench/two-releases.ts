import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/cli/open-app.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { makeApp, type App } from '../../src/main.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { inTransaction, openDb } from '../../src/platform/db.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { FieldSchema, ObjectFile } from '../../src/platform/metadata/types.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { ident, platformTable, rows, run, sql } from '../../src/platform/sql.ts';

const SCHEMA = 'two_releases';
/** Requests a second to each of the two servers. */
const PER_SECOND = 25;
const RECORDS = 200;
/** How long the second server is kept from saying that it took up a new version; after ten seconds it would no longer count. */
const HELD_MS = 5_000;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const text = (id: string): FieldSchema => ({ type: 'string', 'x-id': id });
const object = (properties: Readonly<Record<string, FieldSchema>>): ObjectFile => ({
  title: 'Parcel',
  type: 'object',
  'x-object': { id: 'parce0000001', plural: 'Parcels', name: '{name}', sharing: 'public' },
  properties: { name: text('parce0000002'), ...properties },
});
const CODE = text('parce0000003');
const NOTE = text('parce0000004');
/** Changes back and forth, in a circle; who writes `code` as text of digits is right by all of them. */
const ROUND: readonly (readonly [string, ObjectFile])[] = [
  ['a field is added', object({ code: CODE, note: NOTE, extra: text('parce0000005') })],
  ['a field is renamed', object({ code: CODE, remark: NOTE, extra: text('parce0000005') })],
  ['text becomes a whole number', object({ code: { type: 'integer', 'x-id': 'parce0000003' }, remark: NOTE, extra: text('parce0000005') })],
  ['a field is hidden', object({ code: { type: 'integer', 'x-id': 'parce0000003' }, remark: NOTE })],
  ['a whole number becomes text', object({ code: CODE, remark: NOTE })],
  ['the name comes back', object({ code: CODE, note: NOTE })],
];

interface Count {
  requests: number;
  errors: number;
  longestMs: number;
}

interface Server {
  readonly name: string;
  readonly url: string;
  readonly child: ChildProcess;
}

/** Starts a server of a release: this one, or that of another checkout. */
function startRelease(name: string, olderRoot: string | null, environment: Readonly<Record<string, string>>): Promise<Server> {
  const own = fileURLToPath(new URL(`./app-server.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url));
  const path = olderRoot === null ? own : join(olderRoot, 'test', 'bench', 'app-server.ts');
  const child = fork(path, [], { cwd: olderRoot ?? process.cwd(), execArgv: process.execArgv, env: { ...process.env, ...environment } });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The server of ${name} ended with code ${String(code)}.`)));
    child.once('message', (message: unknown) => {
      const url: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, 'url') : null;
      if (typeof url === 'string') resolve({ name, url, child });
      else reject(new Error(`The server of ${name} said ${JSON.stringify(message)}.`));
    });
  });
}

function stop({ child }: Server): Promise<void> {
  return new Promise((resolve) => {
    child.removeAllListeners('exit');
    child.once('exit', () => resolve());
    child.send({ do: 'stop' });
  });
}

/** Reads, lists, updates and creates at a fixed rate until it is told to stop; each server has records of its own to update. */
function traffic(server: Server, token: string, ids: readonly string[]): { readonly count: Count; readonly stop: () => Promise<void> } {
  const count: Count = { requests: 0, errors: 0, longestMs: 0 };
  const base = `${server.url}/api/v1/records/Parcel`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const versions = new Map<string, number>();
  const busy = new Set<string>();
  const send = async (step: number): Promise<void> => {
    const id = ids[step % ids.length] ?? '';
    const kind = step % 10;
    const body = JSON.stringify({ name: `parcel ${String(step)}`, code: String(step) });
    let answer: Response;
    if (kind < 4) answer = await fetch(`${base}/${id}`, { headers });
    else if (kind < 6) answer = await fetch(`${base}?limit=20&sort=name`, { headers });
    else if (kind < 8 && !busy.has(id)) {
      busy.add(id);
      const version = versions.get(id) ?? 1;
      answer = await fetch(`${base}/${id}`, { method: 'PATCH', headers: { ...headers, 'if-match': `"v${String(version)}"` }, body });
      if (answer.ok) versions.set(id, Number(/\d+/.exec(answer.headers.get('etag') ?? '')?.[0] ?? version));
      busy.delete(id);
    } else answer = await fetch(base, { method: 'POST', headers, body });
    const said = await answer.text();
    if (answer.ok) return;
    count.errors += 1;
    say(`${server.name}: ${String(answer.status)} ${said.slice(0, 300)}`);
  };
  const sent = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const from = performance.now();
    count.requests += 1;
    const one = send(count.requests)
      .catch((error: unknown) => {
        count.errors += 1;
        say(`${server.name}: ${String(error)}`);
      })
      .finally(() => {
        count.longestMs = Math.max(count.longestMs, Math.round(performance.now() - from));
        sent.delete(one);
      });
    sent.add(one);
  }, 1000 / PER_SECOND);
  return {
    count,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(sent);
    },
  };
}

async function apply(app: App, file: ObjectFile): Promise<number> {
  const shipped = loadMetadata(metadataDirectories([]));
  const store = makeModelStore({ db: app.db, clock: systemClock, extensions: EXTENSIONS });
  return (await store.apply({ ...shipped, objects: new Map([...shipped.objects, ['Parcel', file]]) }, 'bench')).version;
}

/** Keeps one process from saying that it lives and follows, as a busy or cut-off one would, while a change is carried out. */
async function holdWhile(app: App, id: string, change: () => Promise<unknown>): Promise<void> {
  const holding = inTransaction(app.db, async (tx) => {
    await rows(tx, sql`select from ${platformTable(tx, 'process')} where id = ${id} for update`);
    await delay(HELD_MS);
  });
  await Promise.all([holding, change()]);
}

async function measure(url: string, seconds: number, olderRoot: string | null): Promise<void> {
  const environment = {
    DATABASE_URL: url,
    DATABASE_SCHEMA: SCHEMA,
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
    SMTP_LISTEN_PORT: '',
    NODE_ENV: 'production',
  };
  const app = makeApp({ ...readConfig({ ...process.env, ...environment }), databaseUrl: url, schema: SCHEMA, logLevel: 'warn' });
  const servers: Server[] = [];
  try {
    await app.prepare();
    await apply(app, ROUND.at(-1)?.[1] ?? object({}));
    const token = await inTransaction(app.db, async (tx) => {
      const account = { email: 'load@plan.example', name: 'Load', permissionSets: ['administrator'], password: 'a long password of the load' };
      const { user } = await addUser(tx, { clock: systemClock }, account, new Set(['administrator']), 'system:bench');
      return (await app.signIn.createToken(tx, user.id, 'load', null)).token;
    });
    servers.push(await startRelease('new', null, environment));
    const processes = async (): Promise<readonly string[]> =>
      (await rows(app.db, sql`select id from ${platformTable(app.db, 'process')}`)).map((row) => String(row['id']));
    const awaitProcess = async (known: readonly string[]): Promise<string> => {
      for (;;) {
        const found = (await processes()).find((id) => !known.includes(id));
        if (found !== undefined) return found;
        await delay(100);
      }
    };
    const first = await awaitProcess([]);
    servers.push(await startRelease('old', olderRoot, environment));
    const second = await awaitProcess([first]);
    await app.store.load();
    const context = await app.contextFor({ kind: 'system', name: 'bench' }, { kind: 'command', name: 'bench' });
    const made = await inTransaction(app.db, (tx) =>
      app.engine.write(
        tx,
        context,
        'Parcel',
        Array.from({ length: RECORDS }, (_, index) => ({ kind: 'create', values: { name: `parcel ${String(index)}`, code: String(index) } }) as const),
      ),
    );
    const ids = made.flatMap((outcome) => (outcome.ok ? [outcome.id] : []));
    const half = ids.length / 2;
    const running = servers.map((server, index) => ({ server, ...traffic(server, token, ids.slice(index * half, (index + 1) * half)) }));
    const end = performance.now() + seconds * 1000;
    let changes = 0;
    for (; performance.now() < end; changes += 1) {
      const [name, file] = ROUND[changes % ROUND.length] ?? ['', object({})];
      const from = performance.now();
      await holdWhile(app, second, () => apply(app, file));
      say(
        `${name}: ${((performance.now() - from) / 1000).toFixed(1)} s; ${running.map(({ server, count }) => `${server.name} ${String(count.requests)} requests, ${String(count.errors)} errors`).join('; ')}`,
      );
    }
    for (const one of running) await one.stop();
    const total = {
      seconds,
      release: olderRoot === null ? 'the same' : 'another',
      changes,
      servers: running.map(({ server, count }) => ({ server: server.name, ...count })),
    };
    process.stdout.write(`${JSON.stringify(total, null, 2)}\n`);
    if (running.some(({ count }) => count.errors > 0)) process.exitCode = 1;
  } finally {
    for (const server of servers) await stop(server);
    await app.stop();
  }
}

const serverUrl = process.env['TEST_DATABASE_URL'];
if (serverUrl === undefined) throw new Error('Set TEST_DATABASE_URL.');
const name = `credenza_two_releases_${String(process.pid)}`;
const admin = openDb({ url: serverUrl, schema: 'public', poolSize: 1, statementTimeoutMs: 60_000 });
const url = new URL(serverUrl);
url.pathname = `/${name}`;
await run(admin, sql`create database ${ident(name)}`);
try {
  await measure(url.href, Number(process.env['TWO_RELEASES_SECONDS'] ?? 30), process.env['OLDER_RELEASE'] ?? null);
} finally {
  await run(admin, sql`drop database ${ident(name)} with (force)`);
  await admin.destroy();
}
