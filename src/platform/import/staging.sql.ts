import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { Knex } from 'knex';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { platformTable, rows, run, sql } from '../sql.ts';

/** A row as it was read: its line in the file and its cells, or why it could not be read. */
export interface StagedRow {
  readonly line: number;
  readonly cells: readonly string[];
  readonly reason: string | null;
}

export interface RowOutcome {
  readonly line: number;
  readonly outcome: 'created' | 'updated' | 'unchanged' | 'rejected';
  readonly recordId: string | null;
  readonly reason: string | null;
  readonly column: string | null;
}

function copyText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}

async function* copyLines(jobId: string, staged: AsyncIterable<StagedRow>): AsyncGenerator<string> {
  let block = '';
  for await (const row of staged) {
    const outcome = row.reason === null ? '\\N\t\\N' : `rejected\t${copyText(row.reason)}`;
    block += `${jobId}\t${String(row.line)}\t${copyText(JSON.stringify(row.cells))}\t${outcome}\n`;
    if (block.length > 65_536) {
      yield block;
      block = '';
    }
  }
  if (block !== '') yield block;
}

function isClient(value: unknown): value is pg.Client {
  return typeof value === 'object' && value !== null && 'query' in value;
}

/** Streams rows into staging by COPY, in constant memory. */
export async function stageRows(db: Knex, jobId: string, staged: AsyncIterable<StagedRow>): Promise<void> {
  const table = platformTable(db, 'import_row').text;
  await db.transaction(async (tx) => {
    const client: unknown = await tx.client.acquireConnection();
    if (!isClient(client)) throw new TypeError('The database driver gave no connection.');
    await pipeline(Readable.from(copyLines(jobId, staged)), client.query(copyFrom(`copy ${table} (job_id, line, cells, outcome, reason) from stdin`)));
  });
}

/** The next rows that are still to be written, in the order of their lines. */
export async function stagedChunk(
  db: Knex,
  jobId: string,
  afterLine: number,
  limit: number,
): Promise<readonly { readonly line: number; readonly cells: readonly string[] }[]> {
  const found = await rows(
    db,
    sql`select line, cells from ${platformTable(db, 'import_row')} where job_id = ${jobId}::uuid and line > ${afterLine}::bigint and outcome is null
        order by line limit ${limit}::integer`,
  );
  return found.map((row) => ({ line: Number(row['line']), cells: Array.isArray(row['cells']) ? row['cells'].map(String) : [] }));
}

/** Notes what became of rows. */
export async function recordOutcomes(tx: Knex.Transaction, jobId: string, outcomes: readonly RowOutcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  await run(
    tx,
    sql`update ${platformTable(tx, 'import_row')} r set outcome = v.outcome, record_id = v.record_id, reason = v.reason, column_name = v.column_name
        from unnest(${outcomes.map((row) => row.line)}::bigint[], ${outcomes.map((row) => row.outcome)}::text[], ${outcomes.map((row) => row.recordId)}::uuid[],
                    ${outcomes.map((row) => row.reason)}::text[], ${outcomes.map((row) => row.column)}::text[]) as v(line, outcome, record_id, reason, column_name)
        where r.job_id = ${jobId}::uuid and r.line = v.line`,
  );
}

export async function countOutcomes(db: Knex, jobId: string): Promise<ReadonlyMap<string, number>> {
  const found = await rows(
    db,
    sql`select coalesce(outcome, 'pending') as outcome, count(*)::integer as n from ${platformTable(db, 'import_row')} where job_id = ${jobId}::uuid group by 1`,
  );
  return new Map(found.map((row) => [String(row['outcome']), Number(row['n'])]));
}

/** Rejected rows after a line, in order: for the error file. */
export async function rejectedRows(
  db: Knex,
  jobId: string,
  afterLine: number,
  limit: number,
): Promise<readonly { readonly line: number; readonly cells: readonly string[]; readonly reason: string; readonly column: string | null }[]> {
  const found = await rows(
    db,
    sql`select line, cells, reason, column_name from ${platformTable(db, 'import_row')} where job_id = ${jobId}::uuid and outcome = 'rejected' and line > ${afterLine}::bigint
        order by line limit ${limit}::integer`,
  );
  return found.map((row) => ({
    line: Number(row['line']),
    cells: Array.isArray(row['cells']) ? row['cells'].map(String) : [],
    reason: String(row['reason']),
    column: typeof row['column_name'] === 'string' ? row['column_name'] : null,
  }));
}

export async function insertJob(
  db: Knex,
  job: { readonly id: string; readonly object: string; readonly map: string | null; readonly fileName: string; readonly at: string; readonly by: string },
): Promise<void> {
  await run(
    db,
    sql`insert into ${platformTable(db, 'import_job')} (id, object, map, file_name, state, created_at, created_by)
        values (${job.id}::uuid, ${job.object}, ${job.map}, ${job.fileName}, 'running', ${job.at}::timestamptz, ${job.by})`,
  );
}

export async function finishJob(db: Knex, id: string, state: 'done' | 'failed' | 'dry-run', counts: unknown, at: string): Promise<void> {
  await run(
    db,
    sql`update ${platformTable(db, 'import_job')} set state = ${state}, counts = ${JSON.stringify(counts)}::jsonb, finished_at = ${at}::timestamptz where id = ${id}::uuid`,
  );
}

/** Drops the staged cells of a finished job; its counts stay. */
export async function dropStaging(db: Knex, id: string): Promise<void> {
  await run(db, sql`delete from ${platformTable(db, 'import_row')} where job_id = ${id}::uuid`);
}
