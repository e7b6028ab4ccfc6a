import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { besideModule } from '../../../src/platform/child.ts';

/** A web server that can be killed as by a power cut, and started again at the same address. */
export interface KillableServer {
  readonly url: string;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function run(databaseUrl: string, port: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const module = fileURLToPath(besideModule(import.meta.url, 'server-process'));
  const loader = import.meta.url.endsWith('.ts') ? ['--import=tsx'] : [];
  const child = spawn(process.execPath, [...loader, module, databaseUrl, port], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
    child.once('close', (code) => reject(new Error(`The web server ended with ${String(code)}: ${complaints}`)));
  });
  return { child, url };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

export async function startServer(databaseUrl: string): Promise<KillableServer> {
  let { child, url } = await run(databaseUrl, '0');
  const { port } = new URL(url);
  return {
    url,
    kill: () => killed(child),
    restart: async () => {
      await killed(child);
      ({ child, url } = await run(databaseUrl, port));
    },
    stop: () => killed(child),
  };
}
