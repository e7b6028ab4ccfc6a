import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { mayDoEverything, rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { isUuid } from '../ids.ts';
import type { Log } from '../log.ts';
import { actorOf } from '../record/actor.ts';
import type { RecordEngine } from '../record/types.ts';
import { errorFile } from './error-file.ts';
import { goneHolders, newHolder } from './holder.ts';
import { checkImportRights } from './import.ts';
import {
  claimJob,
  findJob,
  insertJob,
  jobHolders,
  keepLease,
  listJobs,
  moveJob,
  rememberMapping,
  requestCancel,
  saveSettings,
  saveUploadSize,
  settleJob,
  sweepJobs,
} from './job.sql.ts';
import { BLOCK_ROWS, closeJob, endEarly, jobPrincipal, leaseEnd, makeCheckpoint, workOnJob, type ContextFor, type JobDeps } from './job-work.ts';
import { bindSettings } from './mapping.ts';
import { columnValues, previewJob, type ColumnValue, type Preview } from './preview.ts';
import { clearPhase, readFindings, sumCounts, sumUndone } from './progress.sql.ts';
import { dropStaging, keepUpload } from './staging.sql.ts';
import { DEFAULT_SETTINGS, type ImportJob, type ImportSettings, type JobCounts, type JobState, type UndoCounts } from './types.ts';

/** A job as its owner sees it. */
export interface JobView extends Omit<ImportJob, 'principal' | 'isUpload' | 'fingerprint' | 'staged'> {
  /** Rows in the file. */
  readonly rows: number;
  /** What is done of the work in hand: of a check or a run so far, or of an undo. */
  readonly progress: JobCounts | UndoCounts | null;
}

export interface ImportJobs {
  /** Largest file that is taken. */
  readonly limitBytes: number;
  /** Begins a job whose file is still to come. @throws AppError forbidden, not_found */
  begin(
    db: Knex,
    context: CallContext,
    request: { readonly object: string; readonly fileName: string; readonly settings: Partial<ImportSettings> },
  ): Promise<Upload>;
  list(db: Knex, context: CallContext): Promise<readonly JobView[]>;
  get(db: Knex, context: CallContext, id: string): Promise<JobView>;
  preview(db: Knex, context: CallContext, id: string): Promise<Preview>;
  values(
    db: Knex,
    context: CallContext,
    id: string,
    column: string,
    field: string | null,
  ): Promise<{ readonly data: readonly ColumnValue[]; readonly more: boolean }>;
  /** Sets the job up; what is left out stays as it is. */
  configure(db: Knex, context: CallContext, id: string, settings: Partial<ImportSettings>): Promise<JobView>;
  /** Tries every row and writes nothing. */
  check(db: Knex, context: CallContext, id: string): Promise<JobView>;
  start(db: Knex, context: CallContext, id: string): Promise<JobView>;
  cancel(db: Knex, context: CallContext, id: string): Promise<JobView>;
  undo(db: Knex, context: CallContext, id: string): Promise<JobView>;
  /** The rows that were rejected, as a file that can be imported again. */
  errors(db: Knex, context: CallContext, id: string): Promise<{ readonly job: ImportJob; readonly text: AsyncGenerator<string> }>;
  /** Records that an undo left alone, in whole or in part, and why; the first 500. */
  kept(db: Knex, context: CallContext, id: string): Promise<readonly { readonly recordId: string | null; readonly reason: string }[]>;
  /** For the worker: works on one job; answers 0 when none has work to do. A long job goes on beside the worker's other work. */
  run(db: Knex): Promise<number>;
  /** Stops between two blocks; the job goes on in the next process. */
  close(): Promise<void>;
}

/** The way of a file into a job. */
export interface Upload {
  readonly id: string;
  /** Keeps the next piece. */
  write(bytes: Buffer): Promise<void>;
  end(): Promise<void>;
  /** Forgets what came so far. */
  abort(): Promise<void>;
}

export interface ImportJobsDeps {
  readonly engine: RecordEngine;
  readonly clock: Clock;
  readonly log: Log;
  readonly contextFor: ContextFor;
  readonly limitBytes: number;
  readonly blockRows?: number;
  /** Told when the Model of a job was replaced, so that the next turn goes on by the one in force. */
  readonly onModelChanged?: () => void;
}

/** How long a turn of the worker waits for a job before it looks at its other work. */
const TURN_MS = 2_000;
const SWEEP_MS = 3_600_000;

/** States in which rows stay staged and nobody works on them. */
const WAITING: readonly JobState[] = ['ready', 'checked'];
const WRITTEN: readonly JobState[] = ['done', 'failed', 'cancelled'];

export function makeImportJobs(deps: ImportJobsDeps): ImportJobs {
  const own: JobDeps = { engine: deps.engine, clock: deps.clock, log: deps.log, blockRows: deps.blockRows ?? BLOCK_ROWS };
  const closing = { is: false };
  const hand: { work: Promise<void> | null; sweptAt: number } = { work: null, sweptAt: 0 };

  /** The caller's job, or any for who may do everything. */
  const owned = async (db: Knex, context: CallContext, id: string): Promise<ImportJob> => {
    const job = isUuid(id) ? await findJob(db, id) : null;
    if (job === null || (job.createdBy !== actorOf(context.principal) && !mayDoEverything(context)))
      throw new AppError('not_found', 'There is no import with this id, or it is not yours.');
    return job;
  };
  const view = async (db: Knex, job: ImportJob): Promise<JobView> => {
    const { id, state } = job;
    const progress =
      state === 'undoing'
        ? await sumUndone(db, id)
        : state === 'running' || state === 'checking'
          ? await sumCounts(db, id, state === 'running' ? 'run' : 'check')
          : null;
    return {
      id,
      state,
      object: job.object,
      fileName: job.fileName,
      format: job.format,
      settings: job.settings,
      header: job.header,
      size: job.size,
      rows: job.staged,
      progress,
      cancelRequested: job.cancelRequested,
      error: job.error,
      checked: job.checked,
      counts: job.counts,
      undone: job.undone,
      createdAt: job.createdAt,
      createdBy: job.createdBy,
      finishedAt: job.finishedAt,
    };
  };
  const again = async (db: Knex, context: CallContext, id: string): Promise<JobView> => view(db, await owned(db, context, id));
  const move = async (db: Knex, context: CallContext, job: ImportJob, from: readonly JobState[], to: JobState): Promise<void> => {
    if (!(await moveJob(db, job.id, from, to, { principal: jobPrincipal(context.principal) })))
      throw new AppError('conflict_state', `This import is ${job.state}; that is possible while it is ${from.join(' or ')}.`);
  };
  /** What must hold before rows are tried or written. */
  const ready = (context: CallContext, job: ImportJob): void => {
    checkImportRights(context, job.object, job.settings);
    if (WAITING.includes(job.state)) bindSettings(context, job.object, job.settings, job.header);
  };
  const work = async (db: Knex, holder: string, job: ImportJob): Promise<void> => {
    try {
      await workOnJob(
        db,
        own,
        job,
        deps.contextFor,
        makeCheckpoint(own, db, job.id, holder, () => closing.is),
      );
    } catch (error) {
      if (isAppError(error, 'model_changed')) deps.onModelChanged?.();
      const reported = await endEarly(db, own, job, error);
      if (reported !== null) deps.log.warn({ job: job.id, ...describeFailure(reported) }, 'An import ended early.');
    }
  };
  const sweep = async (db: Knex): Promise<void> => {
    if (deps.clock.nowMs() - hand.sweptAt < SWEEP_MS) return;
    hand.sweptAt = deps.clock.nowMs();
    await inTransaction(db, (tx) => sweepJobs(tx, deps.clock.now()));
  };

  return {
    limitBytes: deps.limitBytes,
    begin: async (db, context, request) => {
      const settings: ImportSettings = { ...DEFAULT_SETTINGS, ...request.settings };
      if (!rightsFor(context, request.object).canRead) throw new AppError('not_found', `There is no object "${request.object}", or you may not see it.`);
      checkImportRights(context, request.object, settings);
      const [id, holder] = [context.newId(), newHolder()];
      await insertJob(db, {
        id,
        object: request.object,
        fileName: request.fileName,
        format: 'csv',
        state: 'uploading',
        settings,
        isUpload: true,
        principal: jobPrincipal(context.principal),
        at: context.now,
        by: actorOf(context.principal),
        requestId: context.cause.kind === 'request' ? context.cause.requestId : null,
        lease: { holder, until: leaseEnd(deps.clock) },
      });
      return makeUpload(db, deps.clock, id, holder);
    },
    list: async (db, context) => {
      requireImporter(context);
      const jobs = await listJobs(db, mayDoEverything(context) ? null : actorOf(context.principal), 50);
      return Promise.all(jobs.map((job) => view(db, job)));
    },
    get: again,
    preview: async (db, context, id) => {
      const job = await owned(db, context, id);
      if (!WAITING.includes(job.state))
        throw new AppError('conflict_state', `This import is ${job.state}; its rows can be looked at while it is ready or checked.`);
      return previewJob(db, context, job);
    },
    values: async (db, context, id, column, field) => columnValues(db, context, await owned(db, context, id), column, field),
    configure: async (db, context, id, changes) => {
      const job = await owned(db, context, id);
      const settings: ImportSettings = { ...job.settings, ...changes };
      checkImportRights(context, job.object, settings);
      if (!WAITING.includes(job.state)) throw new AppError('conflict_state', `This import is ${job.state}; it is set up while it is ready or checked.`);
      bindSettings(context, job.object, settings, job.header);
      await inTransaction(db, async (tx) => {
        await move(tx, context, job, WAITING, 'ready');
        await clearPhase(tx, id, 'check');
        await saveSettings(tx, id, settings);
        if (job.fingerprint !== null)
          await rememberMapping(tx, { owner: actorOf(context.principal), object: job.object, fingerprint: job.fingerprint, settings, at: context.now });
      });
      return again(db, context, id);
    },
    check: async (db, context, id) => {
      const job = await owned(db, context, id);
      ready(context, job);
      await inTransaction(db, async (tx) => {
        await move(tx, context, job, WAITING, 'checking');
        await clearPhase(tx, id, 'check');
      });
      return again(db, context, id);
    },
    start: async (db, context, id) => {
      const job = await owned(db, context, id);
      ready(context, job);
      await move(db, context, job, WAITING, 'running');
      return again(db, context, id);
    },
    cancel: async (db, context, id) => {
      const job = await owned(db, context, id);
      if (!(await requestCancel(db, id))) {
        await inTransaction(db, async (tx) => {
          await move(tx, context, job, ['uploading', ...WAITING], 'cancelled');
          await dropStaging(tx, id);
          await settleJob(tx, id, 'cancelled', deps.clock.now(), {});
        });
      }
      return again(db, context, id);
    },
    undo: async (db, context, id) => {
      const job = await owned(db, context, id);
      await move(db, context, job, WRITTEN, 'undoing');
      return again(db, context, id);
    },
    errors: async (db, context, id) => {
      const job = await owned(db, context, id);
      const phase = WRITTEN.includes(job.state) || job.state === 'running' || job.state === 'undoing' || job.state === 'undone' ? 'run' : 'check';
      return { job, text: errorFile(db, job, phase) };
    },
    kept: async (db, context, id) => {
      await owned(db, context, id);
      return (await readFindings(db, id, 'undo', 0, 500)).map(({ recordId, reason }) => ({ recordId, reason }));
    },
    run: async (db) => {
      if (hand.work === null) {
        if (closing.is) return 0;
        await sweep(db);
        const gone = goneHolders(await jobHolders(db));
        const holder = newHolder();
        const job = await claimJob(db, { id: null, holder, now: deps.clock.now(), until: leaseEnd(deps.clock), gone });
        if (job === null) return 0;
        hand.work = work(db, holder, job).finally(() => {
          hand.work = null;
        });
      }
      await Promise.race([hand.work, delay(TURN_MS, undefined, { ref: false })]);
      return 1;
    },
    close: async () => {
      closing.is = true;
      await hand.work;
    },
  };
}

/** @throws AppError forbidden when there is no object of which the caller may create or change records */
export function requireImporter(context: CallContext): void {
  const may = [...context.model.objects.keys()].some((name) => {
    const { canCreate, canUpdate } = rightsFor(context, name);
    return canCreate || canUpdate;
  });
  if (!may) throw new AppError('forbidden', 'You may not import anything.');
}

function makeUpload(db: Knex, clock: Clock, id: string, holder: string): Upload {
  let [ordinal, size] = [0, 0];
  return {
    id,
    write: async (bytes) => {
      await keepUpload(db, id, ordinal, bytes);
      ordinal += 1;
      size += bytes.length;
      await keepLease(db, id, holder, leaseEnd(clock));
    },
    end: async () => {
      await saveUploadSize(db, id, size);
      await moveJob(db, id, ['uploading'], 'reading');
    },
    abort: () => closeJob(db, id, 'cancelled', clock.now(), { error: 'The upload did not come to its end.' }),
  };
}
