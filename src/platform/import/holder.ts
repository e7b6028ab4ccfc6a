import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

/** Who holds a job: this machine, this process, and a mark of its own, for a number of a process is used again. */
export function newHolder(): string {
  return `${hostname()}:${String(process.pid)}:${randomUUID()}`;
}

/** Holders that were processes of this machine and run no more: their jobs need not wait for the lease to end. */
export function goneHolders(holders: readonly string[]): readonly string[] {
  return holders.filter((holder) => {
    const [host, pid] = holder.split(':');
    return host === hostname() && pid !== String(process.pid) && !isRunning(Number(pid));
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
