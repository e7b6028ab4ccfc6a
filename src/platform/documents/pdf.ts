import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError } from '../errors.ts';

/** Turns a document, given as JSON, into PDF bytes. */
export interface PdfRenderer {
  render(json: string): Promise<Uint8Array>;
  /** Ends the child process, if one runs. */
  close(): void;
}

interface Waiting {
  readonly resolve: (pdf: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const TIMEOUT_MS = 30_000;
const IDLE_MS = 60_000;

/** Path of the child beside this file: `.ts` from source, `.js` when built. */
function childPath(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './render-child.ts' : './render-child.js', import.meta.url));
}

/** Boundary: a message of the child. */
function toAnswer(message: unknown): { readonly id: number; readonly pdf: Uint8Array | null; readonly problem: string } {
  const found = typeof message === 'object' && message !== null ? message : {};
  return {
    id: 'id' in found && typeof found.id === 'number' ? found.id : -1,
    pdf: 'pdf' in found && found.pdf instanceof Uint8Array ? found.pdf : null,
    problem: 'problem' in found && typeof found.problem === 'string' ? found.problem : 'no reason given',
  };
}

/** A renderer whose child process starts with the first document, ends after a minute without work, and is killed when it hangs. */
export function makePdfRenderer(): PdfRenderer {
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
      entry.reject(new AppError('internal', `The document could not be rendered: ${reason}.`));
    }
  }

  function start(): ChildProcess {
    // No environment: the child needs none of our secrets.
    const started = fork(childPath(), [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: {} });
    started.on('message', (message) => {
      const answer = toAnswer(message);
      const entry = waiting.get(answer.id);
      if (entry === undefined) return;
      waiting.delete(answer.id);
      clearTimeout(entry.timer);
      if (answer.pdf === null) entry.reject(new AppError('internal', `The document could not be rendered: ${answer.problem}`));
      else entry.resolve(answer.pdf);
      if (waiting.size === 0) rest(started);
    });
    started.on('exit', (code, signal) => end(started, `the renderer ended (${signal ?? String(code)})`));
    started.on('error', (error) => end(started, error.message));
    return started;
  }

  /** While nothing is asked, the child keeps nobody alive, and leaves after a while. */
  function rest(resting: ChildProcess): void {
    resting.unref();
    resting.channel?.unref();
    idle = setTimeout(() => {
      if (child === resting && waiting.size === 0) {
        child = null;
        resting.disconnect();
      }
    }, IDLE_MS);
    idle.unref();
  }

  return {
    render(json) {
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
          end(current, `it took longer than ${TIMEOUT_MS / 1000} seconds`);
        }, TIMEOUT_MS);
        waiting.set(id, { resolve, reject, timer });
        current.send({ id, json }, (error) => {
          if (error !== null) end(current, error.message);
        });
      });
    },
    close() {
      if (idle !== null) clearTimeout(idle);
      const current = child;
      if (current === null) return;
      end(current, 'the renderer was closed');
      current.disconnect();
    },
  };
}
