import type { Knex } from 'knex';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { Finding, JobCounts, Phase, UndoCounts } from './types.ts';

/** What became of one block of rows. */
export interface ChunkResult {
  readonly counts: Omit<JobCounts, 'read'>;
  readonly createdIds: readonly string[];
  readonly updated: readonly { readonly id: string; readonly version: number }[];
}

/**
 * Takes a block for this transaction: true when nobody has done it. A second process that does the same block waits here until
 * the first one commits, and then gets false; so a block is written once, whoever holds the job.
 */
export async function takeChunk(tx: Knex.Transaction, jobId: string, phase: Phase, ordinal: number, rowCount: number): Promise<boolean> {
  const taken = await rows(
    tx,
    sql`insert into ${platformTable(tx, 'import_chunk')} (job_id, phase, ordinal, row_count) values (${jobId}::uuid, ${phase}, ${ordinal}::integer, ${rowCount}::integer)
        on conflict do nothing returning 1`,
  );
  return taken.length === 1;
}

/** Notes what became of a block that this transaction took. */
export async function noteChunk(tx: Knex.Transaction, jobId: string, phase: Phase, ordinal: number, result: ChunkResult): Promise<void> {
  const { created, updated, unchanged, skipped, rejected } = result.counts;
  await run(
    tx,
    sql`update ${platformTable(tx, 'import_chunk')} set created = ${created}::integer, updated = ${updated}::integer, unchanged = ${unchanged}::integer,
          skipped = ${skipped}::integer, rejected = ${rejected}::integer, created_ids = ${[...result.createdIds]}::uuid[],
          updated_ids = ${result.updated.map(({ id }) => id)}::uuid[], updated_versions = ${result.updated.map(({ version }) => version)}::integer[]
        where job_id = ${jobId}::uuid and phase = ${phase} and ordinal = ${ordinal}::integer`,
  );
}

/** Ordinals of the blocks that are done. */
export async function doneChunks(db: Knex, jobId: string, phase: Phase): Promise<ReadonlySet<number>> {
  const found = await rows(db, sql`select ordinal from ${platformTable(db, 'import_chunk')} where job_id = ${jobId}::uuid and phase = ${phase}`);
  return new Set(found.map((row) => Number(row['ordinal'])));
}

/** Sums over the blocks that are done. */
export async function sumCounts(db: Knex, jobId: string, phase: Phase): Promise<JobCounts> {
  const [found] = await rows(
    db,
    sql`select coalesce(sum(row_count), 0)::integer as read, coalesce(sum(created), 0)::integer as created, coalesce(sum(updated), 0)::integer as updated,
          coalesce(sum(unchanged), 0)::integer as unchanged, coalesce(sum(skipped), 0)::integer as skipped, coalesce(sum(rejected), 0)::integer as rejected
        from ${platformTable(db, 'import_chunk')} where job_id = ${jobId}::uuid and phase = ${phase}`,
  );
  const count = (name: string): number => Number(found?.[name] ?? 0);
  return {
    read: count('read'),
    created: count('created'),
    updated: count('updated'),
    unchanged: count('unchanged'),
    skipped: count('skipped'),
    rejected: count('rejected'),
  };
}

/** Forgets what a phase found, before it begins anew. */
export async function clearPhase(tx: Knex.Transaction, jobId: string, phase: Phase): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'import_chunk')} where job_id = ${jobId}::uuid and phase = ${phase}`);
  await run(tx, sql`delete from ${platformTable(tx, 'import_finding')} where job_id = ${jobId}::uuid and phase = ${phase}`);
}

/** Keeps findings. Cells are kept only with a row that was rejected, for the error file. */
export async function keepFindings(db: Knex, jobId: string, phase: Phase | 'undo', findings: readonly Finding[]): Promise<void> {
  if (findings.length === 0) return;
  await run(
    db,
    sql`insert into ${platformTable(db, 'import_finding')} (job_id, phase, line, column_name, reason, cells, record_id)
        select ${jobId}::uuid, ${phase}, v.* from unnest(${findings.map(({ line }) => line)}::bigint[], ${findings.map(({ column }) => column)}::text[],
          ${findings.map(({ reason }) => reason)}::text[], ${findings.map(({ cells }) => (cells.length === 0 ? null : JSON.stringify(cells)))}::text[],
          ${findings.map(({ recordId }) => recordId)}::uuid[]) as v`,
  );
}

/** Findings in the order of their lines, a page at a time: `after` findings are left out. */
export async function readFindings(db: Knex, jobId: string, phase: Phase | 'undo', after: number, limit: number): Promise<readonly Finding[]> {
  const found = await rows(
    db,
    sql`select line, column_name, reason, cells, record_id from ${platformTable(db, 'import_finding')} where job_id = ${jobId}::uuid and phase = ${phase}
        order by line, record_id offset ${after}::bigint limit ${limit}::integer`,
  );
  return found.map((row) => {
    const cells: unknown = typeof row['cells'] === 'string' ? JSON.parse(row['cells']) : [];
    return {
      line: Number(row['line']),
      column: typeof row['column_name'] === 'string' ? row['column_name'] : null,
      reason: String(row['reason']),
      cells: Array.isArray(cells) ? cells : [],
      recordId: typeof row['record_id'] === 'string' ? row['record_id'] : null,
    };
  });
}

/** What a block wrote, for its undo. */
export interface WrittenChunk {
  readonly ordinal: number;
  readonly createdIds: readonly string[];
  readonly updated: readonly { readonly id: string; readonly version: number }[];
}

/** The last block that is not undone yet, held for this transaction; null when none is left. */
export async function lastWrittenChunk(tx: Knex.Transaction, jobId: string): Promise<WrittenChunk | null> {
  const [found] = await rows(
    tx,
    sql`select ordinal, created_ids, updated_ids, updated_versions from ${platformTable(tx, 'import_chunk')}
        where job_id = ${jobId}::uuid and phase = 'run' and removed is null order by ordinal desc limit 1 for update`,
  );
  if (found === undefined) return null;
  const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);
  const versions = texts(found['updated_versions']);
  return {
    ordinal: Number(found['ordinal']),
    createdIds: texts(found['created_ids']),
    updated: texts(found['updated_ids']).map((id, index) => ({ id, version: Number(versions[index]) })),
  };
}

/** Notes that a block is undone. */
export async function noteUndone(tx: Knex.Transaction, jobId: string, ordinal: number, counts: UndoCounts): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'import_chunk')} set removed = ${counts.removed}::integer, restored = ${counts.restored}::integer, kept = ${counts.kept}::integer
        where job_id = ${jobId}::uuid and phase = 'run' and ordinal = ${ordinal}::integer`,
  );
}

/** Sums over the blocks that are undone. */
export async function sumUndone(db: Knex, jobId: string): Promise<UndoCounts> {
  const [found] = await rows(
    db,
    sql`select coalesce(sum(removed), 0)::integer as removed, coalesce(sum(restored), 0)::integer as restored, coalesce(sum(kept), 0)::integer as kept
        from ${platformTable(db, 'import_chunk')} where job_id = ${jobId}::uuid and phase = 'run'`,
  );
  return { removed: Number(found?.['removed'] ?? 0), restored: Number(found?.['restored'] ?? 0), kept: Number(found?.['kept'] ?? 0) };
}
