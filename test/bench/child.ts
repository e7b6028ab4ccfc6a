import { fork, type ChildProcess } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** What a measured process says of itself: totals since it started. */
export interface Usage {
  readonly cpuMs: number;
  readonly statements: number;
  readonly rssMb: number;
  readonly peakMb: number;
  /** The longest that the event loop was held up since this was asked before; 0 where BENCH_WATCH_LOOP is not set to `yes`. */
  readonly heldMs: number;
}

export interface ServerProcess {
  readonly url: string;
  usage(): Promise<Usage>;
  /** Imports a CSV file by column names; answers the rows written and the seconds taken. */
  importFile(object: string, file: string): Promise<{ readonly rows: number; readonly seconds: number }>;
  stop(): Promise<void>;
}

type Request = { readonly do: 'usage' } | { readonly do: 'import'; readonly object: string; readonly file: string } | { readonly do: 'stop' };
type Reply = Readonly<Record<string, unknown>>;

/** The boundary for messages between the processes. */
function asRecord(message: unknown): Reply {
  if (typeof message !== 'object' || message === null) throw new TypeError(`Not a message of the benchmark: ${String(message)}`);
  return { ...message };
}

function numberIn(reply: Reply, name: string): number {
  const value = reply[name];
  if (typeof value !== 'number') throw new TypeError(`The measured process answered without "${name}": ${JSON.stringify(reply)}`);
  return value;
}

/** Starts one of the measured servers as a process of its own, in production mode. */
export async function startServer(
  program: 'app-server' | 'limit-server',
  settings: Readonly<Record<string, string>>,
  profileDirectory: string | null,
): Promise<ServerProcess> {
  const path = fileURLToPath(new URL(`./${program}.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url));
  const profiling = profileDirectory === null ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDirectory];
  const child = fork(path, [], { execArgv: [...process.execArgv, ...profiling], env: { ...process.env, ...settings, NODE_ENV: 'production' } });
  const ready = await nextMessage(child);
  const ask = async (request: Request): Promise<Reply> => {
    const answer = nextMessage(child);
    child.send(request);
    return answer;
  };
  return {
    url: String(ready['url']),
    async usage() {
      const reply = await ask({ do: 'usage' });
      const [cpuMs, statements] = [numberIn(reply, 'cpuMs'), numberIn(reply, 'statements')];
      return { cpuMs, statements, rssMb: numberIn(reply, 'rssMb'), peakMb: numberIn(reply, 'peakMb'), heldMs: numberIn(reply, 'heldMs') };
    },
    async importFile(object, file) {
      const reply = await ask({ do: 'import', object, file });
      return { rows: numberIn(reply, 'rows'), seconds: numberIn(reply, 'seconds') };
    },
    async stop() {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.send({ do: 'stop' });
      await ended;
    },
  };
}

function nextMessage(child: ChildProcess): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      child.off('exit', onExit);
      const reply = asRecord(message);
      if (typeof reply['error'] === 'string') reject(new Error(reply['error']));
      else resolve(reply);
    };
    const onExit = (code: number | null): void => {
      child.off('message', onMessage);
      reject(new Error(`A measured process ended with code ${String(code)}.`));
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}

/** In the measured process: what it can be asked for. */
export interface Served {
  readonly url: string;
  readonly importFile: (object: string, file: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

/** How often the event loop is looked at. */
const LOOP_MS = 5;

/** Runs a measured server in this process until its parent ends it. */
export async function serve(start: () => Promise<Served>): Promise<void> {
  const statements = countStatements();
  // Looking itself takes time of the processor: it is done for whoever asks what it says.
  const held = process.env['BENCH_WATCH_LOOP'] === 'yes' ? monitorEventLoopDelay({ resolution: LOOP_MS }) : null;
  held?.enable();
  const served = await start();
  const say = (reply: Reply): void => void process.send?.(reply);
  const answer = async (request: Reply): Promise<Reply> => {
    if (request['do'] === 'usage') {
      const { user, system } = process.cpuUsage();
      const peakMb = process.resourceUsage().maxRSS / 1024;
      const heldMs = held === null ? 0 : Math.max(0, held.max / 1e6 - LOOP_MS);
      held?.reset();
      return { cpuMs: (user + system) / 1000, statements: statements.count, rssMb: process.memoryUsage.rss() / 1_048_576, peakMb, heldMs };
    }
    const from = performance.now();
    const rows = await served.importFile(String(request['object']), String(request['file']));
    return { rows, seconds: (performance.now() - from) / 1000 };
  };
  process.on('message', (message: unknown) => {
    const request = asRecord(message);
    if (request['do'] === 'stop') {
      process.disconnect();
      return;
    }
    answer(request).then(say, (error: unknown) => say({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  });
  // Also when the benchmark was killed: a measured server does not outlive it.
  process.once('disconnect', () => void served.stop());
  say({ url: served.url });
}

/** Counts what goes to PostgreSQL, by whichever library: all of them end in the driver's client. */
function countStatements(): { count: number } {
  const counted = { count: 0 };
  const query: unknown = Reflect.get(pg.Client.prototype, 'query');
  if (typeof query !== 'function') throw new TypeError('The PostgreSQL driver has no query method.');
  Reflect.set(pg.Client.prototype, 'query', function counting(this: unknown, ...args: unknown[]): unknown {
    counted.count += 1;
    return Reflect.apply(query, this, args);
  });
  return counted;
}
