import { createHash } from 'node:crypto';
import type { ReadQuery } from './types.ts';
import { invalidQuery } from './invalid-query.ts';
import type { Position, SortKey } from './sort.ts';
import type { Source } from './source.ts';
import { isValueText } from './values.ts';

/** Ties a cursor to the list it was made for: object, order, filter and search. */
export function listHash(source: Source, query: ReadQuery, keys: readonly SortKey[]): string {
  const parts = [
    source.object.id,
    keys.map((key) => `${key.isDescending ? '-' : '+'}${key.fieldId}`),
    query.filter ?? '',
    Object.entries(query.equals ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    query.search ?? '',
    query.trash === true,
    ...(query.effectiveOn === undefined ? [] : [query.effectiveOn]),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}

/** An opaque cursor that stands after a row. */
export function encodeCursor(hash: string, position: Position): string {
  return Buffer.from(JSON.stringify([1, hash, ...position])).toString('base64url');
}

/**
 * The position that a cursor stands for.
 * @throws AppError invalid_query for anything that was not given out for this very list
 */
export function decodeCursor(cursor: string, hash: string, keys: readonly SortKey[]): Position {
  const parts = parse(cursor);
  const [format, given, ...position] = parts;
  if (format !== 1 || typeof given !== 'string') throw unreadable();
  if (given !== hash)
    throw invalidQuery('cursor', 'This cursor belongs to another list: its object, filter, search or sort was different.', 'Start again without cursor.');
  if (position.length !== keys.length) throw unreadable();
  return keys.map((key, index) => {
    const text = position[index] ?? null;
    if (text === null && key.isNullable) return null;
    if (typeof text !== 'string' || !isValueText(key.cast, text)) throw unreadable();
    return text;
  });
}

function parse(cursor: string): readonly unknown[] {
  if (cursor.length > 4000 || !/^[A-Za-z0-9_-]+$/.test(cursor)) throw unreadable();
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parts)) return parts;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw unreadable();
}

function unreadable(): Error {
  return invalidQuery('cursor', 'This is not a cursor of this list.', 'Use page.next of the page before as it is, or start again without cursor.');
}
