/** Where the bytes of a file are put together, written from `at` on. */
export interface ByteSink {
  bytes: Buffer;
  at: number;
  /** So many more bytes were promised to fit. */
  room: number;
}

/** Bytes that a character of a string takes at most. */
const WIDEST = 3;

export function makeSink(size: number): ByteSink {
  return { bytes: Buffer.allocUnsafe(size), at: 0, room: 0 };
}

/** Sees to it that so many more bytes fit; what `putText` writes does not count. */
export function makeRoom(sink: ByteSink, count: number): void {
  sink.room = count;
  grow(sink, count);
}

function grow(sink: ByteSink, count: number): void {
  if (sink.bytes.length - sink.at >= count) return;
  const larger = Buffer.allocUnsafe(Math.max(2 * sink.bytes.length, sink.at + count));
  sink.bytes.copy(larger, 0, 0, sink.at);
  sink.bytes = larger;
}

/** Writes a text of any length. */
export function putText(sink: ByteSink, text: string): void {
  grow(sink, sink.room + WIDEST * text.length);
  sink.at += sink.bytes.write(text, sink.at);
}
