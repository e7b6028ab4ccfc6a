import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { Knex } from 'knex';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { Block, StagedRow } from './types.ts';

/** A block ends at this much text, so that rows of many columns do not fill the memory. */
const BLOCK_CHARACTERS = 1_500_000;

function copyText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}

interface Count {
  rows: number;
}

async function* copyLines(jobId: string, staged: AsyncIterable<StagedRow>, blockRows: number, count: Count): AsyncGenerator<string> {
  let [ordinal, size, first] = [0, 0, 0];
  let body: string[] = [];
  const block = (): string => `${jobId}\t${String(ordinal)}\t${String(first)}\t${String(body.length)}\t[${body.join(',')}]\n`;
  for await (const row of staged) {
    const text = copyText(JSON.stringify(row.reason === null ? [row.line, row.cells] : [row.line, row.cells, row.reason]));
    if (body.length > 0 && (body.length >= blockRows || size + text.length > BLOCK_CHARACTERS)) {
      yield block();
      ordinal += 1;
      size = 0;
      body = [];
    }
    if (body.length === 0) first = row.line;
    body.push(text);
    size += text.length;
    count.rows += 1;
  }
  if (body.length > 0) yield block();
}

function isClient(value: unknown): value is pg.Client {
  return typeof value === 'object' && value !== null && 'query' in value;
}

/**
 * Streams rows into staging by COPY, in constant memory: several hundred rows make one block, for a row of its own each costs as
 * much as writing its record's history. Answers how many rows there are. What fails leaves nothing.
 */
export async function stageRows(db: Knex, jobId: string, staged: AsyncIterable<StagedRow>, blockRows: number): Promise<number> {
  const table = platformTable(db, 'import_block').text;
  const count: Count = { rows: 0 };
  await db.transaction(async (tx) => {
    // One COPY takes as long as the file does.
    await run(tx, sql`set local statement_timeout to 0`);
    await run(tx, sql`delete from ${platformTable(tx, 'import_block')} where job_id = ${jobId}::uuid`);
    const client: unknown = await tx.client.acquireConnection();
    if (!isClient(client)) throw new TypeError('The database driver gave no connection.');
    const target = client.query(copyFrom(`copy ${table} (job_id, ordinal, first_line, row_count, body) from stdin`));
    await pipeline(Readable.from(copyLines(jobId, staged, blockRows, count)), target);
  });
  return count.rows;
}

/** A block of staged rows, or null after the last one. */
export async function stagedBlock(db: Knex, jobId: string, ordinal: number): Promise<Block | null> {
  const [found] = await rows(db, sql`select body from ${platformTable(db, 'import_block')} where job_id = ${jobId}::uuid and ordinal = ${ordinal}::integer`);
  return found === undefined ? null : { ordinal, rows: readBody(String(found['body'])) };
}

/** The boundary to the text of a block. */
function readBody(text: string): readonly StagedRow[] {
  const list: unknown = JSON.parse(text);
  if (!Array.isArray(list)) throw new TypeError('A block of staged rows is not a list.');
  return list.map((row: unknown) => {
    const [line, cells, reason]: readonly unknown[] = Array.isArray(row) ? row : [];
    return { line: Number(line), cells: Array.isArray(cells) ? cells : [], reason: typeof reason === 'string' ? reason : null };
  });
}

/** Blocks and pieces that are dropped by one statement: some hundred MB. */
const DROPPED_AT_ONCE = 500;

/** Drops the staged rows and the uploaded bytes of a job, a part at a time. */
export async function dropStaging(db: Knex, jobId: string): Promise<void> {
  for (const name of ['import_block', 'import_upload']) {
    const table = platformTable(db, name);
    const some = sql`select ordinal from ${table} where job_id = ${jobId}::uuid limit ${DROPPED_AT_ONCE}::int`;
    while ((await run(db, sql`delete from ${table} where job_id = ${jobId}::uuid and ordinal in (${some})`)) > 0);
  }
}

/** Keeps a piece of an upload; pieces come in order. */
export async function keepUpload(db: Knex, jobId: string, ordinal: number, bytes: Buffer): Promise<void> {
  await run(db, sql`insert into ${platformTable(db, 'import_upload')} (job_id, ordinal, bytes) values (${jobId}::uuid, ${ordinal}::integer, ${bytes})`);
}

/** The bytes of an upload, piece by piece. */
export async function* uploadedBytes(db: Knex, jobId: string): AsyncGenerator<Buffer> {
  for (let ordinal = 0; ; ordinal += 1) {
    const [found] = await rows(
      db,
      sql`select bytes from ${platformTable(db, 'import_upload')} where job_id = ${jobId}::uuid and ordinal = ${ordinal}::integer`,
    );
    const bytes = found?.['bytes'];
    if (!Buffer.isBuffer(bytes)) return;
    yield bytes;
  }
}
