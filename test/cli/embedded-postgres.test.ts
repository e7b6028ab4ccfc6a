import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import pg from 'pg';
import { startEmbedded, releaseIfUnused, type EmbeddedPostgres } from '../../src/cli/embedded-postgres.ts';
import { processStart } from '../../src/cli/claim.ts';
import { isAppError } from '../../src/platform/errors.ts';

const silent = (): void => undefined;

async function ask(url: string, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ answer: unknown }>(text);
    return rows[0]?.answer;
  } finally {
    await client.end();
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (condition()) return;
    await delay(50);
  }
  expect.fail(`never: ${what}`);
}

/** Another process that starts the same server and then waits. */
function otherProcess(directory: string, role: 'server' | 'command'): { readonly child: ChildProcess; readonly said: Promise<string> } {
  const here = fileURLToPath(import.meta.url);
  const extension = here.endsWith('.ts') ? 'ts' : 'js';
  const module = new URL(`../../src/cli/embedded-postgres.${extension}`, import.meta.url).href;
  const program = `import(${JSON.stringify(module)}).then(async ({ startEmbedded }) => {
    const server = await startEmbedded({ directory: ${JSON.stringify(directory)}, role: '${role}', durable: false, say() {} });
    console.log(server.url);
    process.on('SIGTERM', () => server.stop().then(() => process.exit(0)));
    setInterval(() => {}, 1000);
  }).catch((error) => { console.log(error.code + ': ' + error.message); process.exit(1); });`;
  const loader = extension === 'ts' ? ['--import', 'tsx'] : [];
  const child = spawn(process.execPath, [...loader, '--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = new Promise<string>((resolve) => child.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim())));
  return { child, said };
}

describe('the embedded PostgreSQL', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'credenza-embedded-'));
  });
  afterEach(async () => {
    await releaseIfUnused(directory);
    rmSync(directory, { recursive: true, force: true });
  });

  const start = (role: 'server' | 'command' = 'server'): Promise<EmbeddedPostgres> => startEmbedded({ directory, role, durable: false, say: silent });

  it('starts below a directory of mode 0700, stops without a trace of a process, and keeps its data', async () => {
    const first = await start();
    expect(first.joined).to.equal(false);
    await ask(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    expect(processStart(first.pid)).to.equal(null);
    const second = await start();
    expect(await ask(second.url, 'select answer from kept')).to.equal(42);
    await second.stop();
    expect(existsSync(join(directory, 'postgres.json'))).to.equal(false);
  });

  it('refuses a wrong password and listens on the loopback only', async () => {
    const server = await start();
    try {
      expect(await ask(server.url, "select current_setting('listen_addresses') as answer")).to.equal('127.0.0.1');
      expect(await ask(server.url, "select current_setting('unix_socket_directories') as answer")).to.equal('');
      const wrong = new URL(server.url);
      wrong.password = 'wrong';
      let refused: unknown;
      await ask(wrong.href, 'select 1 as answer').catch((error: unknown) => (refused = error));
      expect(String(refused)).to.match(/password authentication failed/);
    } finally {
      await server.stop();
    }
  });

  it('tells a second server who holds the directory, and lets a command join', async () => {
    const server = await start();
    const second = otherProcess(directory, 'server');
    expect(await second.said).to.match(new RegExp(`^data_directory_busy: Process ${String(process.pid)} \\(since .*; stop it or set CREDENZA_DATA`));
    const command = otherProcess(directory, 'command');
    expect(await command.said).to.equal(server.url);
    command.child.kill('SIGTERM');
    await until(() => (command.child.exitCode ?? command.child.signalCode) !== null, 'the command ends');
    expect(await ask(server.url, 'select 7 as answer')).to.equal(7);
    await server.stop();
  });

  it('lets exactly one of two simultaneous starts win', async () => {
    const both = [otherProcess(directory, 'server'), otherProcess(directory, 'server')];
    const said = await Promise.all(both.map((entry) => entry.said));
    expect(said.filter((line) => line.startsWith('postgres://'))).to.have.length(1);
    expect(said.filter((line) => line.startsWith('data_directory_busy'))).to.have.length(1);
    for (const { child } of both) child.kill('SIGTERM');
    await until(() => both.every(({ child }) => (child.exitCode ?? child.signalCode) !== null), 'both end');
  });

  it('starts again after kill -9, on the server that was left running', async () => {
    const killed = otherProcess(directory, 'server');
    const url = await killed.said;
    await ask(url, 'create table kept as select 1 as answer');
    killed.child.kill('SIGKILL');
    await until(() => killed.child.signalCode !== null, 'it is dead');
    const next = await start();
    expect(next.joined).to.equal(true);
    expect(await ask(next.url, 'select answer from kept')).to.equal(1);
    await next.stop();
    expect(processStart(next.pid)).to.equal(null);
  });

  it('starts again after kill -9 of everything', async () => {
    const killed = otherProcess(directory, 'server');
    const url = await killed.said;
    await ask(url, 'create table kept as select 1 as answer');
    const state: unknown = JSON.parse(readFileSync(join(directory, 'postgres.json'), 'utf8'));
    const pid = typeof state === 'object' && state !== null && 'pid' in state ? Number(state.pid) : 0;
    killed.child.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await until(() => processStart(pid) === null && killed.child.signalCode !== null, 'all dead');
    const next = await start();
    expect(next.joined).to.equal(false);
    expect(await ask(next.url, 'select answer from kept')).to.equal(1);
    await next.stop();
  });

  it('stays up for a command that began beside a server which stopped', async () => {
    const server = await start();
    const command = otherProcess(directory, 'command');
    const url = await command.said;
    await server.stop();
    expect(await ask(url, 'select 3 as answer')).to.equal(3);
    command.child.kill('SIGTERM');
    await until(() => (command.child.exitCode ?? command.child.signalCode) !== null, 'the command ends');
    await until(() => processStart(server.pid) === null, 'the last one stops the server');
  });

  it('runs under an account where user namespaces are missing', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const server = await startEmbedded({ directory, role: 'server', durable: false, say: silent, how: 'account' });
    try {
      expect(await ask(server.url, 'select 5 as answer')).to.equal(5);
    } finally {
      await server.stop();
      rmSync(dirname(server.data), { recursive: true, force: true });
    }
  });

  it('says in one line what is wrong when the data is damaged', async () => {
    const server = await start();
    await server.stop();
    rmSync(join(directory, 'postgres', 'global', 'pg_control'));
    let failure: unknown;
    await start().catch((error: unknown) => (failure = error));
    expect(isAppError(failure, 'external_unavailable'), String(failure)).to.equal(true);
    expect(String(failure))
      .to.match(/does not start: .*pg_control/)
      .and.not.match(/\n/);
  });
});
