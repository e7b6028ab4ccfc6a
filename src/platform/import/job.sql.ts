import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { keyword, platformTable, rows, run, sql, type Sql } from '../sql.ts';
import {
  DEFAULT_SETTINGS,
  type FileFormat,
  type ImportJob,
  type ImportSettings,
  type JobCounts,
  type JobPrincipal,
  type JobState,
  type UndoCounts,
} from './types.ts';

const UNFINISHED = keyword("state in ('uploading', 'reading', 'checking', 'running', 'undoing')");

const COLUMNS = keyword(
  `id, object, file_name, format, state, settings, header, fingerprint, size, staged, is_upload, principal, cancel_requested, error,
   checked, counts, undone, created_at, created_by, finished_at`,
);

/** The boundary between a row of `import_job` and the job. */
function readJob(row: Readonly<Record<string, unknown>>): ImportJob {
  return {
    id: String(row['id']),
    object: String(row['object']),
    fileName: String(row['file_name']),
    format: row['format'] as FileFormat,
    state: row['state'] as JobState,
    settings: readSettings(row['settings']),
    header: row['header'] as readonly string[],
    fingerprint: row['fingerprint'] as string | null,
    size: Number(row['size']),
    staged: Number(row['staged']),
    isUpload: row['is_upload'] === true,
    principal: row['principal'] as JobPrincipal,
    cancelRequested: row['cancel_requested'] === true,
    error: row['error'] as string | null,
    checked: row['checked'] as JobCounts | null,
    counts: hasCounts(row['counts']) ? row['counts'] : null,
    undone: row['undone'] as UndoCounts | null,
    createdAt: toRfc3339(String(row['created_at'])),
    createdBy: String(row['created_by']),
    finishedAt: row['finished_at'] === null ? null : toRfc3339(String(row['finished_at'])),
  };
}

function hasCounts(value: unknown): value is JobCounts {
  return typeof value === 'object' && value !== null && 'read' in value;
}

/** The boundary to stored settings; what they leave out is as by default. */
function readSettings(value: unknown): ImportSettings {
  return { ...DEFAULT_SETTINGS, ...(value as Partial<ImportSettings>) };
}

export interface NewJob {
  readonly id: string;
  readonly object: string;
  readonly fileName: string;
  readonly format: FileFormat;
  readonly state: JobState;
  readonly settings: ImportSettings;
  readonly isUpload: boolean;
  readonly principal: JobPrincipal;
  readonly at: Instant;
  readonly by: string;
  readonly requestId: string | null;
  /** Holds the job from the beginning, when it is worked on at once. */
  readonly lease: { readonly holder: string; readonly until: Instant } | null;
}

export async function insertJob(db: Knex, job: NewJob): Promise<void> {
  await run(
    db,
    sql`insert into ${platformTable(db, 'import_job')}
          (id, object, map, file_name, format, state, settings, is_upload, principal, created_at, created_by, request_id, holder, lease_until)
        values (${job.id}::uuid, ${job.object}, ${job.settings.map}::text, ${job.fileName}, ${job.format}, ${job.state}, ${JSON.stringify(job.settings)}::jsonb,
          ${job.isUpload}::boolean, ${JSON.stringify(job.principal)}::jsonb, ${job.at}::timestamptz, ${job.by}, ${job.requestId}::text,
          ${job.lease?.holder ?? null}::text, ${job.lease?.until ?? null}::timestamptz)`,
  );
}

/** One job, or null. */
export async function findJob(db: Knex, id: string): Promise<ImportJob | null> {
  const [found] = await rows(db, sql`select ${COLUMNS} from ${platformTable(db, 'import_job')} where id = ${id}::uuid`);
  return found === undefined ? null : readJob(found);
}

/** The newest jobs, of one caller or of everybody. */
export async function listJobs(db: Knex, by: string | null, limit: number): Promise<readonly ImportJob[]> {
  const whose = by === null ? keyword('true') : sql`created_by = ${by}`;
  const found = await rows(
    db,
    sql`select ${COLUMNS} from ${platformTable(db, 'import_job')} where ${whose} order by created_at desc, id desc limit ${limit}::integer`,
  );
  return found.map(readJob);
}

/** What staging found out. */
export async function noteStaged(
  db: Knex,
  id: string,
  staged: { readonly header: readonly string[]; readonly fingerprint: string; readonly rows: number; readonly sha256: string; readonly format: FileFormat },
): Promise<void> {
  await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set header = ${JSON.stringify(staged.header)}::jsonb, fingerprint = ${staged.fingerprint},
          staged = ${staged.rows}::integer, sha256 = ${staged.sha256}, format = ${staged.format} where id = ${id}::uuid`,
  );
}

/**
 * Changes the state when it is one of `from`; true when it was. Gives the job free, unless it is kept, and takes back a request
 * to cancel. From then on the job acts for `principal`, where one is given.
 */
export async function moveJob(
  db: Knex,
  id: string,
  from: readonly JobState[],
  to: JobState,
  more: { readonly isKept?: boolean; readonly principal?: JobPrincipal } = {},
): Promise<boolean> {
  const free = more.isKept === true ? keyword('') : keyword(', holder = null, lease_until = null');
  const principal = more.principal === undefined ? keyword('') : sql`, principal = ${JSON.stringify(more.principal)}::jsonb`;
  const moved = await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set state = ${to}, cancel_requested = false, error = null${free}${principal}
        where id = ${id}::uuid and state = any(${[...from]}::text[])`,
  );
  return moved === 1;
}

export async function saveSettings(db: Knex, id: string, settings: ImportSettings): Promise<void> {
  await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set settings = ${JSON.stringify(settings)}::jsonb, map = ${settings.map}::text where id = ${id}::uuid`,
  );
}

export async function saveUploadSize(db: Knex, id: string, size: number): Promise<void> {
  await run(db, sql`update ${platformTable(db, 'import_job')} set size = ${size}::bigint where id = ${id}::uuid`);
}

/** The end of a piece of work: its state and what it counted. Nobody holds the job afterwards. */
export async function settleJob(
  db: Knex,
  id: string,
  state: JobState,
  at: Instant,
  more: { readonly checked?: JobCounts; readonly counts?: JobCounts; readonly undone?: UndoCounts; readonly error?: string },
): Promise<void> {
  const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
  await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set state = ${state}, holder = null, lease_until = null, cancel_requested = false,
          error = ${more.error ?? null}::text, checked = coalesce(${json(more.checked)}::jsonb, checked), counts = coalesce(${json(more.counts)}::jsonb, counts),
          undone = coalesce(${json(more.undone)}::jsonb, undone),
          finished_at = case when ${state} in ('ready', 'checked') then null else ${at}::timestamptz end
        where id = ${id}::uuid`,
  );
}

/** Asks whoever works on the job to stop; true when somebody may be working on it. */
export async function requestCancel(db: Knex, id: string): Promise<boolean> {
  const asked = await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set cancel_requested = true
        where id = ${id}::uuid and state in ('reading', 'checking', 'running', 'undoing')`,
  );
  return asked === 1;
}

/** Prolongs the lease; answers whether the holder still has the job and whether it is asked to stop. */
export async function keepLease(db: Knex, id: string, holder: string, until: Instant): Promise<{ readonly isHeld: boolean; readonly isCancelled: boolean }> {
  const [found] = await rows(
    db,
    sql`update ${platformTable(db, 'import_job')} set lease_until = ${until}::timestamptz where id = ${id}::uuid and holder = ${holder} returning cancel_requested`,
  );
  return { isHeld: found !== undefined, isCancelled: found?.['cancel_requested'] === true };
}

/** Gives the job back as it stands, for whoever takes it next. */
export async function releaseJob(db: Knex, id: string): Promise<void> {
  await run(db, sql`update ${platformTable(db, 'import_job')} set holder = null, lease_until = null where id = ${id}::uuid`);
}

/**
 * Takes the oldest job that has work to do and that nobody holds (any more), whole or one by id.
 * @param gone holders whose process is known to have ended: their leases count as over
 */
export async function claimJob(
  db: Knex,
  wanted: { readonly id: string | null; readonly holder: string; readonly now: Instant; readonly until: Instant; readonly gone: readonly string[] },
): Promise<ImportJob | null> {
  const table = platformTable(db, 'import_job');
  const which = wanted.id === null ? keyword('true') : sql`id = ${wanted.id}::uuid`;
  const [found] = await rows(
    db,
    sql`update ${table} set holder = ${wanted.holder}, lease_until = ${wanted.until}::timestamptz
        where id = (select id from ${table} where ${UNFINISHED} and ${which}
                      and (state <> 'uploading' or holder is not null)
                      and (holder is null or lease_until <= ${wanted.now}::timestamptz or holder = any(${[...wanted.gone]}::text[]))
                    order by created_at, id limit 1 for update skip locked)
        returning ${COLUMNS}`,
  );
  return found === undefined ? null : readJob(found);
}

/** Holds when some job has work to do, also while another process does it. */
export function isJobOpen(db: Knex): Sql {
  return sql`exists (select from ${platformTable(db, 'import_job')} where ${UNFINISHED})`;
}

/** Who holds unfinished jobs now. */
export async function jobHolders(db: Knex): Promise<readonly string[]> {
  const found = await rows(db, sql`select distinct holder from ${platformTable(db, 'import_job')} where ${UNFINISHED} and holder is not null`);
  return found.map((row) => String(row['holder']));
}

/** The oldest unfinished job with the same file for the same object by the same caller, other than this one. */
export async function sameUnfinishedJob(
  db: Knex,
  job: { readonly id: string; readonly by: string },
): Promise<{ readonly id: string; readonly staged: number } | null> {
  const table = platformTable(db, 'import_job');
  const [found] = await rows(
    db,
    sql`select o.id, o.staged from ${table} o join ${table} j on j.id = ${job.id}::uuid and o.sha256 = j.sha256 and o.object = j.object and o.settings = j.settings
        where o.id <> j.id and not o.is_upload and o.state in ('reading', 'running') and o.created_by = ${job.by} order by o.created_at, o.id limit 1`,
  );
  return found === undefined ? null : { id: String(found['id']), staged: Number(found['staged']) };
}

/** Forgets a job wholly. */
export async function deleteJob(db: Knex, id: string): Promise<void> {
  for (const name of ['import_block', 'import_upload', 'import_chunk', 'import_finding'])
    await run(db, sql`delete from ${platformTable(db, name)} where job_id = ${id}::uuid`);
  await run(db, sql`delete from ${platformTable(db, 'import_job')} where id = ${id}::uuid`);
}

/** Remembers how a header was mapped. */
export async function rememberMapping(
  db: Knex,
  mapping: { readonly owner: string; readonly object: string; readonly fingerprint: string; readonly settings: ImportSettings; readonly at: Instant },
): Promise<void> {
  await run(
    db,
    sql`insert into ${platformTable(db, 'import_mapping')} as m (owner, object, fingerprint, settings, used_at)
        values (${mapping.owner}, ${mapping.object}, ${mapping.fingerprint}, ${JSON.stringify(mapping.settings)}::jsonb, ${mapping.at}::timestamptz)
        on conflict (owner, object, fingerprint) do update set settings = excluded.settings, used_at = excluded.used_at`,
  );
}

/** How this caller mapped such a header last, or null. */
export async function rememberedMapping(db: Knex, owner: string, object: string, fingerprint: string): Promise<ImportSettings | null> {
  const [found] = await rows(
    db,
    sql`select settings from ${platformTable(db, 'import_mapping')} where owner = ${owner} and object = ${object} and fingerprint = ${fingerprint}`,
  );
  return found === undefined ? null : readSettings(found['settings']);
}

/** Days that staged rows wait for a decision, and that what an import did is kept for its error file and its undo. */
const WAITING_DAYS = 7;
const KEPT_DAYS = 90;

/** Gives up jobs that nobody decided about, and forgets what old ones did. Their counts stay. */
export async function sweepJobs(tx: Knex.Transaction, now: Instant): Promise<void> {
  const job = platformTable(tx, 'import_job');
  const stale = await rows(
    tx,
    sql`update ${job} set state = 'cancelled', finished_at = ${now}::timestamptz
        where state in ('ready', 'checked') and created_at < ${now}::timestamptz - make_interval(days => ${WAITING_DAYS}::integer) returning id`,
  );
  const old = await rows(
    tx,
    sql`select distinct j.id from ${job} j where j.finished_at < ${now}::timestamptz - make_interval(days => ${KEPT_DAYS}::integer)
          and (exists (select from ${platformTable(tx, 'import_chunk')} c where c.job_id = j.id) or exists (select from ${platformTable(tx, 'import_finding')} f where f.job_id = j.id))`,
  );
  const drop = async (name: string, ids: readonly unknown[]): Promise<void> => {
    if (ids.length > 0) await run(tx, sql`delete from ${platformTable(tx, name)} where job_id = any(${ids.map(String)}::uuid[])`);
  };
  for (const name of ['import_block', 'import_upload'])
    await drop(
      name,
      stale.map((row) => row['id']),
    );
  for (const name of ['import_chunk', 'import_finding'])
    await drop(
      name,
      old.map((row) => row['id']),
    );
}
