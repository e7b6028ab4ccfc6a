import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { AppError } from '../platform/errors.ts';
import { claim, isAlive, processStart, readHolder, thisProcess } from './claim.ts';
import { chooseLauncher, type Launcher } from './postgres-launcher.ts';

export interface EmbeddedOptions {
  readonly directory: string;
  /** `server` holds the directory for itself; a `command` works beside a server, or starts one for as long as it needs it. */
  readonly role: 'server' | 'command';
  /** False only where the data may be lost (tests): no fsync. */
  readonly durable: boolean;
  /** What is being done, for people. */
  readonly say: (line: string) => void;
  readonly how?: Launcher['how'];
}

export interface EmbeddedPostgres {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Where the data lies: below the directory, but for an account that cannot go there. */
  readonly data: string;
  /** True when the server already ran. */
  readonly joined: boolean;
  /** Leaves the server; the last process that uses it stops it and waits for its end. */
  stop(): Promise<void>;
}

const USER = 'credenza';
const READY_ATTEMPTS = 600;
const STEP_MS = 50;

/**
 * Starts the PostgreSQL of a data directory, or joins the one that runs there (also one whose starter was killed).
 * @throws AppError data_directory_busy (a server holds it), config_invalid (cannot run here), external_unavailable (does not start)
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const server = options.role === 'server' ? claimServer(options.directory) : null;
  try {
    const launcher = chooseLauncher({ directory: options.directory, ...(options.how === undefined ? {} : { how: options.how }) });
    const found = await withGuard(options.directory, async () => {
      register(options.directory);
      const running = await findRunning(launcher.data);
      return running === null ? { ...(await startServer(launcher, options)), joined: false } : { ...running, joined: true };
    });
    if (options.role === 'server' || !found.joined) writeState(options, found); // a command beside a server leaves the server's file alone
    const url = urlOf(found.port, found.password);
    return { url, port: found.port, pid: found.pid, data: launcher.data, joined: found.joined, stop: () => leave(options.directory, found.pid, server) };
  } catch (error) {
    rmSync(userFile(options.directory), { force: true });
    server?.();
    throw error;
  }
}

/** Stops the server of a directory if nobody uses it any more, as after a kill. True when nobody does, so that the directory is free. */
export async function releaseIfUnused(directory: string): Promise<boolean> {
  return withGuard(directory, async () => {
    if (liveUsers(directory).length > 0) return false;
    const pid = postmaster(chooseLauncher({ directory }).data)?.pid;
    if (pid !== undefined) await stopServer(pid);
    return true;
  });
}

function claimServer(directory: string): () => void {
  const result = claim(join(directory, 'run'), 'server', thisProcess('credenza server'));
  if (result.kind === 'held') return result.release;
  const { pid, since } = result.holder;
  throw new AppError(
    'data_directory_busy',
    `Process ${String(pid)} (since ${since}) uses the data directory ${directory}; stop it or set CREDENZA_DATA to another directory.`,
  );
}

/** Starting and stopping the server is done by one process at a time; a killed one lets go. */
async function withGuard<T>(directory: string, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < 2 * READY_ATTEMPTS; attempt += 1) {
    const result = claim(join(directory, 'run'), 'guard', thisProcess('starting or stopping the database'));
    if (result.kind === 'held') {
      try {
        return await work();
      } finally {
        result.release();
      }
    }
    await delay(STEP_MS);
  }
  throw new AppError(
    'data_directory_busy',
    `Another process has been starting or stopping the database in ${directory} for a minute; look at ${directory}/postgres.log.`,
  );
}

const userFile = (directory: string): string => join(directory, 'run', `user-${String(process.pid)}`);

function register(directory: string): void {
  writeFileSync(userFile(directory), JSON.stringify(thisProcess('user')), { mode: 0o600 });
}

function liveUsers(directory: string): readonly number[] {
  const run = join(directory, 'run');
  return readdirSync(run)
    .filter((entry) => entry.startsWith('user-'))
    .flatMap((entry) => {
      const holder = readHolder(join(run, entry));
      if (holder !== null && isAlive(holder)) return [holder.pid];
      rmSync(join(run, entry), { force: true });
      return [];
    });
}

async function leave(directory: string, pid: number, server: (() => void) | null): Promise<void> {
  await withGuard(directory, async () => {
    rmSync(userFile(directory), { force: true });
    if (liveUsers(directory).length > 0) return;
    await stopServer(pid);
    rmSync(join(directory, 'postgres.json'), { force: true });
  });
  server?.();
}

/** A fast shutdown: open transactions are rolled back, everything committed is on disk. */
async function stopServer(pid: number): Promise<void> {
  const target = { pid, started: processStart(pid) };
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAlive(target)) return;
    process.kill(pid, signal);
    for (let attempt = 0; attempt < READY_ATTEMPTS && isAlive(target); attempt += 1) await delay(STEP_MS);
  }
  if (isAlive(target)) throw new AppError('external_unavailable', `The embedded PostgreSQL (process ${String(pid)}) does not stop.`);
}

interface Running {
  readonly pid: number;
  readonly port: number;
  readonly password: string;
}

/** The server that runs on this data, by its own pid file; one that does not answer is stopped. */
async function findRunning(data: string): Promise<Running | null> {
  const found = postmaster(data);
  if (found === null) return null;
  const running = { ...found, password: readFileSync(join(data, 'credenza.password'), 'utf8') };
  if (await answers(running)) return running;
  await stopServer(found.pid);
  return null;
}

function postmaster(data: string): { readonly pid: number; readonly port: number } | null {
  const path = join(data, 'postmaster.pid');
  if (!existsSync(path)) return null;
  const lines = readFileSync(path, 'utf8').split('\n');
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive({ pid, started: null }) || !isPostgres(pid)) return null;
  return { pid, port };
}

/** A pid file may be older than the last reboot: its number may be anybody's now. */
function isPostgres(pid: number): boolean {
  const path = `/proc/${String(pid)}/cmdline`;
  return !existsSync(path) || readFileSync(path, 'utf8').includes('postgres');
}

/** Connects as the product will, and makes the product's database when it is missing. */
async function answers(running: Running): Promise<boolean> {
  const client = new pg.Client({ connectionString: urlOf(running.port, running.password, 'postgres'), connectionTimeoutMillis: 3_000 });
  try {
    await client.connect();
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [USER]);
    if (rowCount === 0) await client.query(`create database ${USER}`);
    await client.end();
    return true;
  } catch {
    return false; // not up yet, or shutting down: the caller asks again or stops it
  }
}

function urlOf(port: number, password: string, database = USER): string {
  return `postgres://${USER}:${password}@127.0.0.1:${String(port)}/${database}`;
}

async function startServer(launcher: Launcher, options: EmbeddedOptions): Promise<Running> {
  if (!existsSync(join(launcher.data, 'PG_VERSION'))) await initialise(launcher, options);
  const password = readFileSync(join(launcher.data, 'credenza.password'), 'utf8');
  const logPath = join(options.directory, 'postgres.log');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: '',
      max_connections: '200',
      timezone: 'UTC',
      ...(options.durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
    };
    const from = existsSync(logPath) ? readFileSync(logPath).length : 0;
    const outcome = await untilReady(launcher, settings, logPath, { port, password });
    if (outcome !== null) return outcome;
    const complaint = lastComplaint(readFileSync(logPath).subarray(from).toString('utf8'));
    if (attempt >= 3 || !complaint.includes('in use'))
      throw new AppError('external_unavailable', `The embedded PostgreSQL does not start: ${complaint} (see ${logPath})`);
  }
}

async function untilReady(
  launcher: Launcher,
  settings: Readonly<Record<string, string>>,
  logPath: string,
  address: { readonly port: number; readonly password: string },
): Promise<Running | null> {
  const log = openSync(logPath, 'a', 0o600);
  const child = launcher.start('postgres', ['-D', launcher.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], log);
  closeSync(log);
  let ended = false;
  child.once('exit', () => (ended = true));
  child.once('error', () => (ended = true));
  child.unref();
  const running = { pid: child.pid ?? 0, ...address };
  for (let attempt = 0; attempt < READY_ATTEMPTS && !ended; attempt += 1) {
    if (await answers(running)) return running;
    await delay(STEP_MS);
  }
  if (!ended && child.pid !== undefined) await stopServer(child.pid);
  return null;
}

/** Makes the data in a folder beside and moves it into place: a killed start leaves nothing half done. */
async function initialise(launcher: Launcher, options: EmbeddedOptions): Promise<void> {
  options.say(`Making a PostgreSQL database in ${launcher.data} (once)`);
  const fresh = `${launcher.data}.new-${randomBytes(3).toString('hex')}`;
  const password = randomBytes(24).toString('base64url');
  const passwordFile = `${fresh}.password`;
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  for (const path of [fresh, passwordFile]) launcher.own(path);
  const logPath = join(options.directory, 'initdb.log');
  try {
    const log = openSync(logPath, 'w', 0o600);
    const args = [
      '-D',
      fresh,
      '-U',
      USER,
      '-A',
      'scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
    ];
    const child = launcher.start('initdb', options.durable ? args : [...args, '--no-sync'], log);
    closeSync(log);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('exit', resolve);
      child.once('error', reject);
    });
    if (code !== 0)
      throw new AppError('external_unavailable', `The embedded PostgreSQL cannot be set up: ${lastComplaint(readFileSync(logPath, 'utf8'))} (see ${logPath})`);
    writeFileSync(join(fresh, 'credenza.password'), password, { mode: 0o600 });
    renameSync(fresh, launcher.data);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** The last line in which a PostgreSQL program says what is wrong. */
function lastComplaint(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const found = lines.findLast((line) => /FATAL|PANIC|error:|could not|cannot/.test(line)) ?? lines.at(-1) ?? 'it says nothing';
  return found.trim();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('No port'))));
    });
  });
}

function writeState(options: EmbeddedOptions, running: Running): void {
  const path = join(options.directory, 'postgres.json');
  const draft = `${path}.${String(process.pid)}`;
  writeFileSync(draft, JSON.stringify({ port: running.port, pid: running.pid, holder: process.pid, user: USER, password: running.password, database: USER }), {
    mode: 0o600,
  });
  renameSync(draft, path);
}
