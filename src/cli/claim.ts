import { linkSync, mkdirSync, readFileSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who holds a claim. `started` tells a process from a later one with the same number. */
export interface Holder {
  readonly pid: number;
  readonly started: string | null;
  readonly since: string;
  readonly what: string;
}

export type Claim = { readonly kind: 'held'; readonly release: () => void } | { readonly kind: 'busy'; readonly holder: Holder };

/** This process as a holder. */
export function thisProcess(what: string): Holder {
  return { pid: process.pid, started: processStart(process.pid), since: new Date().toISOString(), what };
}

/** Start time of a process in the kernel's own ticks; null where there is no /proc. */
export function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null; // no such process, or no /proc on this system: the caller asks the kernel by signal 0
  }
}

/** True when exactly this process still runs: a number that was given again to another process does not count. */
export function isAlive(holder: Pick<Holder, 'pid' | 'started'>): boolean {
  if (holder.pid <= 0) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
  }
  const started = processStart(holder.pid);
  return started === null || holder.started === null || started === holder.started;
}

/**
 * Claims `name` in `directory` for this process, or says who has it. A claim dies with its process, however it dies.
 *
 * Node has no flock, so a claim is a numbered file made by link(2), which is atomic: whoever makes generation n+1 after
 * finding n free or dead has it. Numbers never start again (a release leaves its file behind, marked free), and one who
 * was slow and made an old number again sees the higher one and steps back: so two processes can never both hold it.
 */
export function claim(directory: string, name: string, who: Holder): Claim {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = join(directory, `.${name}-${String(who.pid)}`);
  writeFileSync(draft, JSON.stringify(who), { mode: 0o600 });
  try {
    for (;;) {
      const last = generations(directory, name).at(-1) ?? 0;
      const holder = last === 0 ? null : readHolder(fileOf(directory, name, last));
      if (holder !== null && isAlive(holder)) return { kind: 'busy', holder };
      const mine = last + 1;
      if (!tryLink(draft, fileOf(directory, name, mine))) continue;
      if ((generations(directory, name).at(-1) ?? mine) > mine) {
        rmSync(fileOf(directory, name, mine), { force: true });
        continue;
      }
      for (const older of generations(directory, name)) if (older < mine) rmSync(fileOf(directory, name, older), { force: true });
      return { kind: 'held', release: () => free(fileOf(directory, name, mine)) };
    }
  } finally {
    unlinkSync(draft);
  }
}

function free(path: string): void {
  writeFileSync(path, JSON.stringify({ pid: 0, started: null, since: new Date().toISOString(), what: 'free' }));
}

function fileOf(directory: string, name: string, generation: number): string {
  return join(directory, `${name}.${String(generation)}`);
}

function generations(directory: string, name: string): readonly number[] {
  const pattern = new RegExp(`^${name}\\.(\\d+)$`);
  return readdirSync(directory)
    .flatMap((entry) => pattern.exec(entry)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** The boundary for claim files: null when the file is gone or says nothing usable. */
export function readHolder(path: string): Holder | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  if (text === '') return null;
  const found: unknown = JSON.parse(text);
  if (typeof found !== 'object' || found === null || !('pid' in found) || typeof found.pid !== 'number') return null;
  const started = 'started' in found && typeof found.started === 'string' ? found.started : null;
  const since = 'since' in found && typeof found.since === 'string' ? found.since : 'an unknown time';
  const what = 'what' in found && typeof found.what === 'string' ? found.what : 'credenza';
  return { pid: found.pid, started, since, what };
}
