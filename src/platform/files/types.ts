import type { Knex } from 'knex';

/** File bytes are content-addressed: rows of 256 KB in PostgreSQL. */
export interface StoredFile {
  readonly id: string;
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  readonly sha256: string;
}

export interface FileStore {
  put(
    tx: Knex.Transaction,
    file: { readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array; readonly by: string; readonly at: string },
  ): Promise<StoredFile>;
  stat(db: Knex, id: string): Promise<StoredFile | null>;
  read(db: Knex, id: string): Promise<Uint8Array>;
}
