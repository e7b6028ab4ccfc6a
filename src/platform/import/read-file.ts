import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { guessDelimiter, readCsv } from './read-csv.ts';
import { readNdjson } from './read-ndjson.ts';
import { readXlsx } from './read-xlsx.ts';
import type { FileFormat, StagedRow } from './types.ts';

/** Rows of a file, whatever its format. */
export interface RowSource {
  readonly format: FileFormat;
  /** The columns; for NDJSON as far as the rows were read. */
  readonly header: () => readonly string[];
  readonly rows: AsyncIterable<StagedRow>;
  /** Ends reading early; call it whatever happens. */
  close(): Promise<void>;
}

export interface FileRows extends RowSource {
  /** SHA-256 of the bytes that were read, in hexadecimal; complete when the rows are. */
  readonly sha256: () => string;
}

const HEAD_BYTES = 65_536;

/** The first bytes of a stream, and the whole stream again. */
async function peek(stream: Readable): Promise<{ readonly head: Buffer; readonly whole: Readable }> {
  const iterator: AsyncIterator<unknown> = stream[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  let size = 0;
  let ended = false;
  while (size < HEAD_BYTES && !ended) {
    const step = await iterator.next();
    ended = step.done === true;
    if (!ended) {
      const bytes = bytesOf(step.value);
      first.push(bytes);
      size += bytes.length;
    }
  }
  async function* again(): AsyncGenerator<Buffer> {
    try {
      yield* first;
      while (!ended) {
        const step = await iterator.next();
        ended = step.done === true;
        if (!ended) yield bytesOf(step.value);
      }
    } finally {
      stream.destroy();
    }
  }
  return { head: Buffer.concat(first), whole: Readable.from(again(), { objectMode: false }) };
}

/** The boundary to what streams give: bytes or text. */
function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk);
  if (typeof chunk === 'string') return Buffer.from(chunk);
  throw new TypeError('A file is read as bytes or as text.');
}

/** True when bytes are UTF-8 as far as they go; a character that the end cuts through does not count. */
function isUtf8(head: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return false;
  }
}

/** The encoding of a text file: by its mark, else UTF-16 where it begins with two characters of that, else UTF-8 where the first bytes are, else Windows-1252 as spreadsheets write it. */
export function guessEncoding(head: Buffer): 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252' {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
  const [first, second, third, fourth] = head;
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0) return 'utf-16le';
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0) return 'utf-16be';
  return isUtf8(head) ? 'utf-8' : 'windows-1252';
}

function decoded(stream: Readable, encoding: string): Readable {
  const decoder = new TextDecoder(encoding);
  async function* text(): AsyncGenerator<string> {
    for await (const chunk of stream) yield decoder.decode(bytesOf(chunk), { stream: true });
    yield decoder.decode();
  }
  return Readable.from(text(), { objectMode: false });
}

/** The format of a file: by its first bytes, else by its name. */
export function guessFormat(fileName: string, head: Buffer): FileFormat {
  if (head.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004') return 'xlsx';
  if (/\.(?:xlsx|xlsm|xls)$/i.test(fileName)) throw new AppError('bad_request', 'This is no XLSX file. Save it as XLSX or CSV.');
  return /\.(?:ndjson|jsonl)$/i.test(fileName) ? 'ndjson' : 'csv';
}

/**
 * Opens a file for reading; format, encoding and delimiter are found out from its name and first bytes.
 * @throws AppError bad_request for a file that cannot be read
 */
export async function openRows(file: { readonly fileName: string; readonly content: Readable; readonly delimiter: string | null }): Promise<FileRows> {
  const { head, whole } = await peek(file.content);
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of whole) {
      const bytes = bytesOf(chunk);
      hash.update(bytes);
      yield bytes;
    }
  }
  let digest: string | null = null;
  const sha256 = (): string => (digest ??= hash.digest('hex'));
  const format = guessFormat(file.fileName, head);
  const bytes = Readable.from(hashed(), { objectMode: false });
  if (format === 'xlsx') return { ...(await readXlsx(bytes)), sha256 };
  const encoding = guessEncoding(head);
  const text = encoding === 'utf-8' ? bytes : decoded(bytes, encoding);
  if (format === 'ndjson') return { ...readNdjson(text), sha256 };
  const delimiter = file.delimiter ?? guessDelimiter(new TextDecoder(encoding).decode(head));
  return { ...(await readCsv(text, delimiter)), sha256 };
}
