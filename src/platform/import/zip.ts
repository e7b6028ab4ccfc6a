import { constants, crc32, createDeflateRaw } from 'node:zlib';

/** A file of an archive: its name and its bytes, which may be many. */
export interface ZipEntry {
  readonly name: string;
  readonly content: AsyncIterable<Buffer>;
}

const MOST_BYTES = 0xffff_ffff;
/** Bit 3: sizes come after the data; bit 11: names are UTF-8. */
const FLAGS = 0x0808;
const DEFLATED = 8;
const VERSION = 20;
/** 1 January 1980, the first day that the format knows: the same content makes the same bytes. */
const DAY = 0x0021;

function numbers(...values: readonly (readonly [value: number, bytes: 2 | 4])[]): Buffer {
  const buffer = Buffer.alloc(values.reduce((sum, [, bytes]) => sum + bytes, 0));
  let at = 0;
  for (const [value, bytes] of values) {
    if (bytes === 2) buffer.writeUInt16LE(value, at);
    else buffer.writeUInt32LE(value, at);
    at += bytes;
  }
  return buffer;
}

/** Writes a ZIP archive as a stream, in constant memory. Files of 4 GB and more are refused. */
export async function* zip(entries: Iterable<ZipEntry>): AsyncGenerator<Buffer> {
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content } of entries) {
    const label = Buffer.from(name);
    const start = offset;
    const head = numbers([0x0403_4b50, 4], [VERSION, 2], [FLAGS, 2], [DEFLATED, 2], [0, 2], [DAY, 2], [0, 4], [0, 4], [0, 4], [label.length, 2], [0, 2]);
    yield head;
    yield label;
    const sums = { crc: 0, size: 0, packed: 0 };
    for await (const piece of deflate(content, sums)) {
      sums.packed += piece.length;
      yield piece;
    }
    if (sums.size > MOST_BYTES || start > MOST_BYTES) throw new RangeError('A ZIP archive holds less than 4 GB.');
    const facts = [
      [sums.crc, 4],
      [sums.packed, 4],
      [sums.size, 4],
    ] as const;
    yield numbers([0x0807_4b50, 4], ...facts);
    offset += head.length + label.length + sums.packed + 16;
    directory.push(
      numbers(
        [0x0201_4b50, 4],
        [VERSION, 2],
        [VERSION, 2],
        [FLAGS, 2],
        [DEFLATED, 2],
        [0, 2],
        [DAY, 2],
        ...facts,
        [label.length, 2],
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [start, 4],
      ),
      label,
    );
  }
  const listing = Buffer.concat(directory);
  yield listing;
  const count = directory.length / 2;
  yield numbers([0x0605_4b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [listing.length, 4], [offset, 4], [0, 2]);
}

async function* deflate(content: AsyncIterable<Buffer>, sums: { crc: number; size: number }): AsyncGenerator<Buffer> {
  const deflater = createDeflateRaw({ level: constants.Z_BEST_SPEED });
  const written = (async (): Promise<void> => {
    for await (const piece of content) {
      sums.crc = crc32(piece, sums.crc);
      sums.size += piece.length;
      if (!deflater.write(piece)) await new Promise((resolve) => deflater.once('drain', resolve));
    }
    deflater.end();
  })();
  written.catch((error: unknown) => deflater.destroy(error instanceof Error ? error : new Error(String(error))));
  for await (const piece of deflater) if (Buffer.isBuffer(piece)) yield piece;
  await written;
}
