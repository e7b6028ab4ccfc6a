import { createHash } from 'node:crypto';
import { emptySet, KINDS, putFile } from './kinds.ts';
import type { MetadataSet } from './types.ts';

/** A set as plain JSON, as it is kept in the database: kind -> name -> file. */
export type StoredSet = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The set as plain JSON. */
export function toStored(set: MetadataSet): StoredSet {
  const stored: Record<string, Record<string, unknown>> = { templates: Object.fromEntries(set.templates) };
  for (const { kind } of KINDS) stored[kind] = Object.fromEntries<unknown>(set[kind]);
  return stored;
}

/** Boundary: what `toStored` wrote, read back; it passed the JSON Schemas before it was stored. */
export function fromStored(stored: unknown): MetadataSet {
  const content = stored as StoredSet;
  const set = emptySet();
  for (const kind of [...KINDS.map((entry) => entry.kind), 'templates' as const]) {
    for (const [name, file] of Object.entries(content[kind] ?? {})) putFile(set, kind, name, file);
  }
  return set;
}

/** JSON text with keys in order, so that equal content has equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Fingerprint of any plain content. */
export function contentHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}
