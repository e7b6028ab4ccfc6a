import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError } from './errors.ts';

/** A child process that does one kind of work on untrusted or heavy input, away from the process that serves people. */
export interface Child {
  /** The child's answer to this payload. Rejects with an AppError `internal` when it fails, hangs or dies. */
  ask(payload: unknown): Promise<unknown>;
  /** Ends the child, if one runs. */
  close(): void;
}

export interface ChildOptions {
  /** URL of the module that calls `answerParent`, written with the ending of the caller's own file. */
  readonly module: URL;
  /** What failed, for messages: "The document could not be rendered". */
  readonly failure: string;
  readonly timeoutMs: number;
  /** Memory of the JavaScript heap. */
  readonly memoryMb: number;
  /** How long it stays without work; a minute unless told. */
  readonly idleMs?: number;
}

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** URL of a module beside the caller's: `.ts` when run from source, `.js` when built. */
export function besideModule(callerUrl: string, name: string): URL {
  return new URL(`./${name}${callerUrl.endsWith('.ts') ? '.ts' : '.js'}`, callerUrl);
}

/** Boundary: a message of the child. */
function toAnswer(message: unknown): { readonly id: number; readonly answer: unknown; readonly problem: string | null } {
  const found = typeof message === 'object' && message !== null ? message : {};
  return {
    id: 'id' in found && typeof found.id === 'number' ? found.id : -1,
    answer: 'answer' in found ? found.answer : null,
    problem: 'problem' in found && typeof found.problem === 'string' ? found.problem : null,
  };
}

/** Makes a child that starts with the first question, leaves when idle, and is killed when it takes too long. */
export function makeChild(options: ChildOptions): Child {
  let child: ChildProcess | null = null;
  let idle: NodeJS.Timeout | null = null;
  let lastId = 0;
  const waiting = new Map<number, Waiting>();

  function end(ended: ChildProcess, reason: string): void {
    if (child !== ended) return;
    child = null;
    for (const [id, entry] of waiting) {
      waiting.delete(id);
      clearTimeout(entry.timer);
      entry.reject(new AppError('internal', `${options.failure}: ${reason}.`));
    }
  }

  function start(): ChildProcess {
    // No environment: the child needs none of our secrets.
    const execArgv = [...process.execArgv.filter((argument) => !argument.startsWith('--inspect')), `--max-old-space-size=${options.memoryMb}`];
    const started = fork(fileURLToPath(options.module), [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'], env: {}, execArgv });
    started.on('message', (message) => {
      const { id, answer, problem } = toAnswer(message);
      const entry = waiting.get(id);
      if (entry === undefined) return;
      waiting.delete(id);
      clearTimeout(entry.timer);
      if (problem === null) entry.resolve(answer);
      else entry.reject(new AppError('internal', `${options.failure}: ${problem}`));
      if (waiting.size === 0) rest(started);
    });
    started.on('exit', (code, signal) => end(started, `its process ended (${signal ?? String(code)})`));
    started.on('error', (error) => end(started, error.message));
    return started;
  }

  /** While nothing is asked, the child keeps nobody alive, and leaves after a while. */
  function rest(resting: ChildProcess): void {
    resting.unref();
    resting.channel?.unref();
    idle = setTimeout(() => {
      if (child !== resting || waiting.size > 0) return;
      child = null;
      resting.disconnect();
    }, options.idleMs ?? 60_000);
    idle.unref();
  }

  return {
    ask(payload) {
      if (idle !== null) clearTimeout(idle);
      const current = child ?? start();
      child = current;
      current.ref();
      current.channel?.ref();
      lastId += 1;
      const id = lastId;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          current.kill('SIGKILL');
          end(current, `it took longer than ${options.timeoutMs / 1000} seconds`);
        }, options.timeoutMs);
        waiting.set(id, { resolve, reject, timer });
        current.send({ id, payload }, (error) => {
          if (error !== null) end(current, error.message);
        });
      });
    },
    close() {
      if (idle !== null) clearTimeout(idle);
      const current = child;
      if (current === null) return;
      end(current, 'it was closed');
      current.disconnect();
    },
  };
}

/** The other side: answers each question of the parent, and ends with it. */
export function answerParent(answer: (payload: unknown) => Promise<unknown>): void {
  process.on('message', (message: { readonly id: number; readonly payload: unknown }) => {
    answer(message.payload).then(
      (value) => process.send?.({ id: message.id, answer: value }),
      (error: unknown) => process.send?.({ id: message.id, problem: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
