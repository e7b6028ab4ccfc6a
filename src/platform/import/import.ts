import type { Readable } from 'node:stream';
import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { systemClock, type Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Model } from '../model/types.ts';
import { actorOf } from '../record/actor.ts';
import type { RecordEngine } from '../record/types.ts';
import { goneHolders, newHolder } from './holder.ts';
import { claimJob, deleteJob, findJob, insertJob, jobHolders, moveJob, sameUnfinishedJob } from './job.sql.ts';
import { BLOCK_ROWS, closeJob, endEarly, jobPrincipal, leaseEnd, makeCheckpoint, runPhase, stageFile, Stopped, type JobDeps } from './job-work.ts';
import { bindSettings } from './mapping.ts';
import { readFindings, sumCounts } from './progress.sql.ts';
import { openRows, type FileRows } from './read-file.ts';
import type { Checkpoint } from './run-job.ts';
import { DEFAULT_SETTINGS, type ImportJob, type ImportSettings, type JobCounts, type Phase } from './types.ts';

export interface ImportRequest {
  readonly object: string;
  readonly map: string | null;
  readonly fileName: string;
  readonly content: Readable;
  readonly delimiter?: string;
  readonly dryRun?: boolean;
  /** Whether rules see what was written; imports of a whole file usually should not start any. */
  readonly rules?: 'all' | 'none';
  readonly key?: readonly string[] | null;
  readonly existing?: 'update' | 'skip';
  readonly missing?: 'create' | 'skip';
  readonly onProgress?: (rowsDone: number) => void;
  /** Told the job's id once there is one, and whether it is one that an earlier process began. */
  readonly onJob?: (id: string, isResumed: boolean) => void;
}

export interface RejectedRow {
  readonly line: number;
  readonly column: string | null;
  readonly reason: string;
  readonly cells: readonly unknown[];
}

export interface ImportResult {
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly rejected: number;
  /** Rows left out because the request says so; only there when it does. */
  readonly skipped?: number;
}

export interface Importer {
  /** Imports a file through the write pipeline; rejected rows are given to `onRejected` in the order of their lines. */
  run(
    db: Knex,
    context: CallContext,
    request: ImportRequest,
    onRejected?: (row: RejectedRow, header: readonly string[]) => Promise<void> | void,
  ): Promise<ImportResult>;
}

const PAGE = 1_000;

/** @throws AppError forbidden when the caller may not do with the object what the settings ask for */
export function checkImportRights(context: CallContext, object: string, settings: Pick<ImportSettings, 'existing' | 'missing'>): void {
  const rights = rightsFor(context, object);
  const needs = [
    { is: settings.missing === 'create', may: rights.canCreate, what: 'create' },
    { is: settings.existing === 'update', may: rights.canUpdate, what: 'change' },
  ].filter(({ is }) => is);
  if (needs.every(({ may }) => may)) return;
  throw new AppError('forbidden', `Importing ${rights.object.plural} needs the right to ${needs.map(({ what }) => what).join(' and to ')} them.`);
}

/** The rows that could not be imported, in the order of their lines. */
export async function* rejectedRows(db: Knex, jobId: string, phase: Phase): AsyncGenerator<RejectedRow> {
  for (let after = 0; ; after += PAGE) {
    const found = await readFindings(db, jobId, phase, after, PAGE);
    yield* found;
    if (found.length < PAGE) return;
  }
}

export interface ImporterDeps {
  readonly engine: RecordEngine;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly blockRows?: number;
  /** The Model in force, asking now: an import whose Model was replaced goes on by it. Without it such an import ends. */
  readonly latestModel?: () => Promise<Model>;
}

/** Imports of files in one call: read, staged by COPY, validated and written in sets, as a job that a killed process leaves resumable. */
export function makeImporter(deps: ImporterDeps): Importer {
  const own: JobDeps = { engine: deps.engine, clock: deps.clock ?? systemClock, log: deps.log ?? null, blockRows: deps.blockRows ?? BLOCK_ROWS };
  return {
    run: async (db, context, request, onRejected) => {
      const settings: ImportSettings = {
        ...DEFAULT_SETTINGS,
        map: request.map,
        key: request.key ?? null,
        existing: request.existing ?? 'update',
        missing: request.missing ?? 'create',
        rules: request.rules ?? 'none',
      };
      checkImportRights(context, request.object, settings);
      const delimiter = request.delimiter ?? (request.map === null ? undefined : context.model.imports.get(request.map)?.delimiter) ?? null;
      const file = await openRows({ fileName: request.fileName, content: request.content, delimiter });
      try {
        // A header that does not fit is said before there is a job. The members of NDJSON are known only when it was read.
        if (file.format !== 'ndjson') bindSettings(context, request.object, settings, file.header());
        return await runFile(db, { ...own, latestModel: deps.latestModel ?? null }, context, request, settings, file, onRejected);
      } finally {
        await file.close();
      }
    },
  };
}

async function runFile(
  db: Knex,
  deps: JobDeps & { readonly latestModel: (() => Promise<Model>) | null },
  context: CallContext,
  request: ImportRequest,
  settings: ImportSettings,
  file: FileRows,
  onRejected: ((row: RejectedRow, header: readonly string[]) => Promise<void> | void) | undefined,
): Promise<ImportResult> {
  const holder = newHolder();
  const phase: Phase = request.dryRun === true ? 'check' : 'run';
  const begun = await beginJob(db, deps, context, request, settings, file.format, holder);
  let job = begun;
  try {
    await stageFile(db, deps, begun.id, file);
    const older = phase === 'run' ? await takeOlder(db, deps, begun, holder) : null;
    job = await restate(db, older ?? begun, phase === 'run' ? 'running' : 'checking');
    request.onJob?.(job.id, older !== null);
    const call: CallContext = { ...context, cause: { kind: 'import', job: job.id } };
    const checkpoint = telling(
      makeCheckpoint(deps, db, job.id, holder, () => false),
      db,
      job.id,
      phase,
      request.onProgress,
    );
    await runToEnd(deps.latestModel, call, (now) => runPhase(db, deps, job, phase, now, checkpoint));
    const counts = await sumCounts(db, job.id, phase);
    if (onRejected !== undefined) for await (const row of rejectedRows(db, job.id, phase)) await onRejected(row, job.header);
    await closeJob(db, job.id, phase === 'run' ? 'done' : 'dry-run', deps.clock.now(), phase === 'run' ? { counts } : { checked: counts });
    return resultOf(counts, settings);
  } catch (error) {
    const reported = await endEarly(db, deps, job, error);
    throw (
      reported ??
      new AppError(
        'conflict_state',
        error instanceof Stopped && error.why === 'cancelled' ? 'The import was cancelled.' : 'Another process went on with this import.',
      )
    );
  }
}

/** Does the blocks that are left; by the Model in force when the one they were planned by was replaced. */
async function runToEnd(latestModel: (() => Promise<Model>) | null, first: CallContext, run: (context: CallContext) => Promise<void>): Promise<void> {
  for (let context = first; ;) {
    try {
      await run(context);
      return;
    } catch (error) {
      if (latestModel === null || !isAppError(error, 'model_changed')) throw error;
      const model = await latestModel();
      if (model.version <= context.model.version) throw error;
      context = { ...context, model };
    }
  }
}

function resultOf(counts: JobCounts, settings: ImportSettings): ImportResult {
  const { read, created, updated, unchanged, rejected, skipped } = counts;
  const result = { read, created, updated, unchanged, rejected };
  return settings.existing === 'skip' || settings.missing === 'skip' ? { ...result, skipped } : result;
}

async function beginJob(
  db: Knex,
  deps: JobDeps,
  context: CallContext,
  request: ImportRequest,
  settings: ImportSettings,
  format: FileRows['format'],
  holder: string,
): Promise<ImportJob> {
  const id = context.newId();
  await insertJob(db, {
    id,
    object: request.object,
    fileName: request.fileName,
    format,
    state: 'reading',
    settings,
    isUpload: false,
    principal: jobPrincipal(context.principal),
    at: context.now,
    by: actorOf(context.principal),
    requestId: context.cause.kind === 'request' ? context.cause.requestId : null,
    lease: { holder, until: leaseEnd(deps.clock) },
  });
  return known(db, id);
}

async function known(db: Knex, id: string): Promise<ImportJob> {
  const job = await findJob(db, id);
  if (job === null) throw new AppError('internal', 'An import lost its job.');
  return job;
}

/** Moves a job that this process holds on to what it does now. */
async function restate(db: Knex, { id }: ImportJob, state: 'running' | 'checking'): Promise<ImportJob> {
  await moveJob(db, id, ['reading', 'running'], state, { isKept: true });
  return known(db, id);
}

/**
 * The same file, for the same object and with the same settings, that an earlier process of this caller began and did not
 * finish: it is gone on with, so that nothing is written twice, and the new job is forgotten.
 * @throws AppError conflict_state while the other process is at work
 */
async function takeOlder(db: Knex, deps: JobDeps, begun: ImportJob, holder: string): Promise<ImportJob | null> {
  const found = await sameUnfinishedJob(db, { id: begun.id, by: begun.createdBy });
  if (found === null) return null;
  const gone = goneHolders(await jobHolders(db));
  const job = await claimJob(db, { id: found.id, holder, now: deps.clock.now(), until: leaseEnd(deps.clock), gone });
  await inTransaction(db, (tx) => deleteJob(tx, begun.id));
  if (job === null)
    throw new AppError(
      'conflict_state',
      `This file is being imported already, by job ${found.id}. Wait for it, or cancel it with: credenza import cancel ${found.id}`,
    );
  return job;
}

/** Says, at most once a second, how many rows are done. */
function telling(checkpoint: Checkpoint, db: Knex, jobId: string, phase: Phase, tell: ((rowsDone: number) => void) | undefined): Checkpoint {
  if (tell === undefined) return checkpoint;
  let said = performance.now();
  return async (done) => {
    if (performance.now() - said > 1_000) {
      said = performance.now();
      tell((await sumCounts(db, jobId, phase)).read);
    }
    return checkpoint(done);
  };
}
