import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { StoredFile } from './types.ts';

/** Boundary of this source: rows of `file` and `file_chunk`. */
function toStoredFile(row: Readonly<Record<string, unknown>>): StoredFile {
  return {
    id: String(row['id']),
    name: String(row['name']),
    mediaType: String(row['media_type']),
    size: Number(row['size']),
    sha256: String(row['sha256']),
  };
}

/** Inserts the blob's key; false when these bytes are already kept. Waits for another transaction that is storing them. */
export async function insertBlob(tx: Knex.Transaction, sha256: string, size: number): Promise<boolean> {
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'file_blob')} (sha256, size) values (${sha256}, ${size}::bigint) on conflict (sha256) do nothing`,
  );
  return inserted === 1;
}

/** Writes one chunk of a blob. */
export async function insertChunk(tx: Knex.Transaction, sha256: string, ordinal: number, bytes: Buffer): Promise<void> {
  await run(tx, sql`insert into ${platformTable(tx, 'file_chunk')} (sha256, ordinal, bytes) values (${sha256}, ${ordinal}::integer, ${bytes}::bytea)`);
}

/** Writes the file row that names a blob. */
export async function insertFile(tx: Knex.Transaction, file: StoredFile, at: string, by: string): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'file')} (id, name, media_type, size, sha256, created_at, created_by)
        values (${file.id}::uuid, ${file.name}, ${file.mediaType}, ${file.size}::bigint, ${file.sha256}, ${at}::timestamptz, ${by})`,
  );
}

/** The file's row, or null. */
export async function findFile(db: Knex, id: string): Promise<StoredFile | null> {
  const [row] = await rows(db, sql`select id::text, name, media_type, size, sha256 from ${platformTable(db, 'file')} where id = ${id}::uuid`);
  return row === undefined ? null : toStoredFile(row);
}

/** The blob's bytes in order. */
export async function readChunks(db: Knex, sha256: string): Promise<readonly Buffer[]> {
  const found = await rows(db, sql`select bytes from ${platformTable(db, 'file_chunk')} where sha256 = ${sha256} order by ordinal`);
  return found.map((row) => {
    if (!Buffer.isBuffer(row['bytes'])) throw new AppError('internal', `A chunk of blob ${sha256} is not bytes.`);
    return row['bytes'];
  });
}
