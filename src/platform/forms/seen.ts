import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';
import type { FormPageView, Seen, Typed } from './types.ts';

/** 36 bits: two answers to one question that differ and look the same are one in 70 thousand million. */
const DIGEST_LENGTH = 6;

export function isBlank(typed: Typed): boolean {
  return typeof typed === 'string' ? typed.trim() === '' : typed.length === 0;
}

/**
 * A short digest of an answer, the same for answers that a browser cannot tell apart: it writes line ends its own way and
 * drops line breaks at the start of a text. Nothing typed has the empty digest.
 */
export function digestOf(typed: Typed): string {
  if (isBlank(typed)) return '';
  const text = typeof typed === 'string' ? typed.replaceAll(/\r\n?/g, '\n').replace(/^\n+/, '') : typed;
  return createHash('sha256').update(JSON.stringify(text)).digest('base64url').slice(0, DIGEST_LENGTH);
}

/** True when two answers are the same for who reads them. */
export function isSame(left: Typed, right: Typed): boolean {
  return digestOf(left) === digestOf(right);
}

/** What a page shows, to be sent back with it. */
export function seenOn(page: FormPageView, view: string): Seen {
  const fields: Record<string, string> = {};
  const rows: Record<string, Record<string, Record<string, string>>> = {};
  for (const part of page.parts) {
    if (part.kind === 'fields') for (const question of part.questions) fields[question.field] = digestOf(question.value);
    if (part.kind === 'repeat') {
      rows[part.relation] = Object.fromEntries(
        part.rows.map((row) => [row.id, Object.fromEntries(row.questions.map((question) => [question.field, digestOf(question.value)]))]),
      );
    }
  }
  return { view, fields, rows };
}

function members(value: unknown): readonly (readonly [string, unknown])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AppError('bad_request', 'The page does not say what it showed. Reload it.');
  return Object.entries(value);
}

function digests(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(members(value).map(([name, digest]) => [name, String(digest)]));
}

/** The one boundary where what a browser sends back becomes `Seen`. @throws AppError bad_request */
export function readSeen(text: string): Seen {
  let sent: unknown;
  try {
    sent = JSON.parse(text);
  } catch (error) {
    throw new AppError('bad_request', 'The page does not say what it showed. Reload it.', { cause: error });
  }
  const found = new Map(members(sent));
  const rows = members(found.get('rows')).map(([relation, list]) => [
    relation,
    Object.fromEntries(members(list).map(([id, fields]) => [id, digests(fields)] as const)),
  ]);
  return { view: String(found.get('view')), fields: digests(found.get('fields')), rows: Object.fromEntries(rows) };
}
