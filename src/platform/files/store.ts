import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';
import { isUuid, type NewId } from '../ids.ts';
import { cleanFileName, sniffMediaType } from './accept.ts';
import { findFile, insertBlob, insertChunk, insertFile, readChunks } from './file.sql.ts';
import type { FileStore, StoredFile } from './types.ts';

/** Size of a row of bytes: large enough to be few, small enough for the server's memory. */
const CHUNK_BYTES = 256 * 1024;

export interface FileStoreOptions {
  readonly newId: NewId;
  /** Largest file accepted; 20 MB unless told otherwise. */
  readonly maxBytes?: number;
}

/** Files by content: the same bytes are kept once, whoever sends them and under whatever name. */
export function makeFileStore(options: FileStoreOptions): FileStore {
  const maxBytes = options.maxBytes ?? 20 * 1024 * 1024;
  return {
    async put(tx, file) {
      const name = cleanFileName(file.name);
      if (file.bytes.length === 0) {
        throw new AppError('validation_failed', 'The file is empty.', {
          errors: [{ pointer: '/file', code: 'file_empty', detail: 'The file has no content.', fix: 'Choose the file again; it may not have been saved yet.' }],
        });
      }
      if (file.bytes.length > maxBytes) {
        throw new AppError('payload_too_large', `The file is larger than ${maxBytes} bytes.`, {
          errors: [
            { pointer: '/file', code: 'file_too_large', detail: `It has ${file.bytes.length} bytes.`, fix: `Send a file of at most ${maxBytes} bytes.` },
          ],
        });
      }
      const mediaType = await sniffMediaType(name, file.mediaType, file.bytes);
      const sha256 = createHash('sha256').update(file.bytes).digest('hex');
      if (await insertBlob(tx, sha256, file.bytes.length)) {
        for (let offset = 0, ordinal = 0; offset < file.bytes.length; offset += CHUNK_BYTES, ordinal += 1) {
          await insertChunk(tx, sha256, ordinal, Buffer.from(file.bytes.subarray(offset, offset + CHUNK_BYTES)));
        }
      }
      const stored: StoredFile = { id: options.newId(), name, mediaType, size: file.bytes.length, sha256 };
      await insertFile(tx, stored, file.at, file.by);
      return stored;
    },
    stat: (db, id) => (isUuid(id) ? findFile(db, id) : Promise.resolve(null)),
    async read(db, id) {
      const file = isUuid(id) ? await findFile(db, id) : null;
      if (file === null) throw new AppError('not_found', `There is no file ${id}.`);
      const bytes = Buffer.concat(await readChunks(db, file.sha256));
      if (createHash('sha256').update(bytes).digest('hex') !== file.sha256)
        throw new AppError('internal', `The stored bytes of file ${id} do not match their hash ${file.sha256}.`);
      return bytes;
    },
  };
}
