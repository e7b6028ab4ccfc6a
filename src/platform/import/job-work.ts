import { Readable } from 'node:stream';
import type { Knex } from 'knex';
import type { CallContext, Principal } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { databaseTrouble, inTransaction, sqlState } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import type { Log } from '../log.ts';
import type { RecordEngine } from '../record/types.ts';
import { fingerprintOf } from './columns.ts';
import { keepLease, noteStaged, releaseJob, settleJob } from './job.sql.ts';
import { bindSettings } from './mapping.ts';
import { clearPhase, sumCounts } from './progress.sql.ts';
import type { FileRows } from './read-file.ts';
import { openRows } from './read-file.ts';
import { workOff, type Checkpoint } from './run-job.ts';
import { dropStaging, stageRows, uploadedBytes } from './staging.sql.ts';
import type { ImportJob, JobPrincipal, Phase } from './types.ts';
import { undoBlocks } from './undo.ts';

/** Rows of one transaction: small enough that nothing waits on it, large enough that search entries come later. */
export const BLOCK_ROWS = 1_000;

/** How long a process may be silent before another one takes its job. */
const LEASE_MS = 60_000;

export interface JobDeps {
  readonly engine: RecordEngine;
  readonly clock: Clock;
  readonly log: Log | null;
  readonly blockRows: number;
}

/** A call as the one a job acts for, at this moment. */
export type ContextFor = (principal: JobPrincipal, jobId: string) => Promise<CallContext>;

/** Who a caller is to a job that outlives the call. @throws AppError forbidden for callers that start no jobs */
export function jobPrincipal(principal: Principal): JobPrincipal {
  if (principal.kind === 'user') return { kind: 'user', id: principal.userId };
  if (principal.kind === 'system') return { kind: 'system', name: principal.name };
  throw new AppError('forbidden', 'Only staff may import.');
}

/** The end of a lease that begins now. */
export function leaseEnd(clock: Clock): string {
  return new Date(clock.nowMs() + LEASE_MS).toISOString();
}

/** Stops between two blocks when the job is cancelled, was taken by another process, or this one ends. */
export class Stopped extends Error {
  readonly why: 'cancelled' | 'lost' | 'closing' | 'abandoned';
  constructor(why: 'cancelled' | 'lost' | 'closing' | 'abandoned') {
    super(`The job stopped: ${why}.`);
    this.name = 'Stopped';
    this.why = why;
  }
}

/** Looks before each block whether the job is still ours and wanted, and prolongs the lease. */
export function makeCheckpoint(deps: JobDeps, db: Knex, jobId: string, holder: string, isClosing: () => boolean): Checkpoint {
  return async () => {
    const { isHeld, isCancelled } = await keepLease(db, jobId, holder, leaseEnd(deps.clock));
    if (!isHeld) throw new Stopped('lost');
    if (isCancelled) throw new Stopped('cancelled');
    if (isClosing()) throw new Stopped('closing');
  };
}

/** Puts the rows of a file into staging and notes what the file is. */
export async function stageFile(
  db: Knex,
  deps: JobDeps,
  jobId: string,
  file: FileRows,
): Promise<{ readonly rows: number; readonly header: readonly string[] }> {
  const staged = await stageRows(db, jobId, file.rows, deps.blockRows);
  const header = file.header();
  await noteStaged(db, jobId, { header, fingerprint: fingerprintOf(header), rows: staged, sha256: file.sha256(), format: file.format });
  fault('import.after_staging');
  return { rows: staged, header };
}

/** Does all blocks of a phase that are not done yet. */
export async function runPhase(db: Knex, deps: JobDeps, job: ImportJob, phase: Phase, context: CallContext, checkpoint: Checkpoint): Promise<void> {
  const mapper = bindSettings(context, job.object, job.settings, job.header);
  const { id: jobId, object, settings } = job;
  await workOff(db, { jobId, phase, engine: deps.engine, context, object, settings, mapper }, checkpoint);
}

async function readUpload(db: Knex, deps: JobDeps, job: ImportJob, context: CallContext): Promise<void> {
  if (!job.isUpload) throw new AppError('conflict_state', 'The process that read the file ended before it had read all of it. Import it again.');
  const content = Readable.from(uploadedBytes(db, job.id), { objectMode: false });
  const delimiter = job.settings.map === null ? null : (context.model.imports.get(job.settings.map)?.delimiter ?? null);
  const file = await openRows({ fileName: job.fileName, content, delimiter });
  try {
    await stageFile(db, deps, job.id, file);
  } finally {
    await file.close();
  }
}

/** What a job that somebody holds has to do now, to its end. */
export async function workOnJob(db: Knex, deps: JobDeps, job: ImportJob, contextFor: ContextFor, checkpoint: Checkpoint): Promise<void> {
  const context = await contextFor(job.principal, job.id);
  switch (job.state) {
    case 'uploading':
      throw new AppError('conflict_state', 'The upload ended before the whole file was there. Send it again.');
    case 'reading':
      await readUpload(db, deps, job, context);
      await checkpoint(0);
      await settleJob(db, job.id, 'ready', deps.clock.now(), {});
      return;
    case 'checking':
      // The command line's own check has nobody left to tell.
      if (!job.isUpload) throw new Stopped('abandoned');
      await runPhase(db, deps, job, 'check', context, checkpoint);
      await settleJob(db, job.id, 'checked', deps.clock.now(), { checked: await sumCounts(db, job.id, 'check') });
      return;
    case 'running':
      await runPhase(db, deps, job, 'run', context, checkpoint);
      await finishRun(db, deps, job, 'done');
      return;
    case 'undoing': {
      const undone = await undoBlocks(db, deps.engine, context, job, checkpoint);
      await settleJob(db, job.id, 'undone', deps.clock.now(), { undone });
      return;
    }
    default:
      throw new AppError('internal', `A job that is ${job.state} has nothing to do.`);
  }
}

/** Ends a job for good: its state and its staged rows go together, so that no job is left that has work and no rows. */
export function closeJob(db: Knex, id: string, state: ImportJob['state'], at: string, more: Parameters<typeof settleJob>[4]): Promise<void> {
  return inTransaction(db, async (tx) => {
    await dropStaging(tx, id);
    await settleJob(tx, id, state, at, more);
  });
}

async function finishRun(db: Knex, deps: JobDeps, job: ImportJob, state: 'done' | 'cancelled'): Promise<void> {
  await closeJob(db, job.id, state, deps.clock.now(), { counts: await sumCounts(db, job.id, 'run') });
}

/**
 * What a job that did not come to its end becomes: as it was when it was cancelled before it wrote anything, `cancelled` when it
 * did, `failed` with the reason. A failure to note this is logged and hides nothing: the lease ends, and the next process takes the job.
 * @returns the error to report, or null when the job was stopped on purpose
 */
export async function endEarly(db: Knex, deps: JobDeps, job: ImportJob, error: unknown): Promise<Error | null> {
  try {
    if (error instanceof Stopped) await stop(db, deps, job, error.why);
    // Its blocks were planned by a Model that was replaced: it is free at once, to be gone on with by the one in force.
    else if (isAppError(error, 'model_changed')) await releaseJob(db, job.id);
    // A database that went away or is busy is nobody's mistake: whoever takes the job when its lease ends goes on.
    else if (!isPassing(error)) await fail(db, deps, job, describeFailure(error).message);
  } catch (second) {
    deps.log?.error({ job: job.id, ...describeFailure(second) }, 'The end of an import could not be noted; it is taken up again when its lease ends.');
  }
  if (error instanceof Stopped) return null;
  return error instanceof Error ? error : new AppError('internal', 'An import failed.', { cause: error });
}

const PASSING_STATES = /^(?:08|40|53|55|57)/;

function isPassing(error: unknown): boolean {
  return !isAppError(error) && (databaseTrouble(error) !== null || PASSING_STATES.test(sqlState(error) ?? ''));
}

async function stop(db: Knex, deps: JobDeps, job: ImportJob, why: Stopped['why']): Promise<void> {
  if (why === 'lost') return;
  if (why === 'closing') return releaseJob(db, job.id);
  if (job.state === 'running') return finishRun(db, deps, job, 'cancelled');
  if (job.state === 'checking' && job.isUpload) {
    await inTransaction(db, (tx) => clearPhase(tx, job.id, 'check'));
    return settleJob(db, job.id, 'ready', deps.clock.now(), {});
  }
  // An undo that is stopped goes on when it is asked for again.
  if (job.state === 'undoing') return settleJob(db, job.id, 'done', deps.clock.now(), {});
  return closeJob(db, job.id, 'cancelled', deps.clock.now(), {});
}

async function fail(db: Knex, deps: JobDeps, job: ImportJob, error: string): Promise<void> {
  const now = deps.clock.now();
  if (job.state === 'checking') return settleJob(db, job.id, 'ready', now, { error });
  if (job.state === 'undoing') return settleJob(db, job.id, 'done', now, { error });
  // Rows that were written stand in the counts, and can be undone.
  return closeJob(db, job.id, 'failed', now, { counts: await sumCounts(db, job.id, 'run'), error });
}
