import type { MetadataKind, MetadataSet } from './types.ts';

/** One kind of metadata file: its member of the set, its folder, its JSON Schema file, and what it is called in messages. */
export interface KindEntry {
  readonly kind: MetadataKind;
  readonly folder: string;
  readonly schema: string;
  readonly noun: string;
}

/** Every kind of metadata, in the order in which it is read. */
export const KINDS: readonly KindEntry[] = [
  { kind: 'objects', folder: 'objects', schema: 'object', noun: 'object' },
  { kind: 'valueSets', folder: 'value-sets', schema: 'value-set', noun: 'value set' },
  { kind: 'paths', folder: 'paths', schema: 'path', noun: 'path' },
  { kind: 'forms', folder: 'forms', schema: 'form', noun: 'form' },
  { kind: 'views', folder: 'views', schema: 'view', noun: 'view' },
  { kind: 'layouts', folder: 'layouts', schema: 'layout', noun: 'layout' },
  { kind: 'rules', folder: 'rules', schema: 'rule', noun: 'rule' },
  { kind: 'policies', folder: 'policies', schema: 'policy', noun: 'policy' },
  { kind: 'calendars', folder: 'calendars', schema: 'calendar', noun: 'calendar' },
  { kind: 'permissions', folder: 'permissions', schema: 'permission', noun: 'permission set' },
  { kind: 'mailboxes', folder: 'mailboxes', schema: 'mailbox', noun: 'mailbox' },
  { kind: 'imports', folder: 'imports', schema: 'import', noun: 'import map' },
  { kind: 'reports', folder: 'reports', schema: 'report', noun: 'report' },
  { kind: 'matching', folder: 'matching', schema: 'matching', noun: 'set of duplicate rules' },
];

/** Field names that the API or the engine uses itself; an object may not have them (`metadata.md`). */
export const RESERVED_FIELDS: ReadonlySet<string> = new Set([
  'id',
  'version',
  'filter',
  'fields',
  'expand',
  'sort',
  'search',
  'limit',
  'cursor',
  'count',
  'asOf',
  'effectiveOn',
  'recordedAt',
  'createdAt',
  'createdBy',
  'updatedAt',
  'updatedBy',
  'ownerId',
  'recordType',
  'deletedAt',
]);

/** Object names that the platform itself provides. */
export const BUILTIN_OBJECTS: ReadonlySet<string> = new Set(['User']);

/** `metadata/objects/Name.json#/pointer`: where a finding about a named thing stands. */
export function metadataPointer(kind: MetadataKind, name: string, pointer = ''): string {
  const entry = KINDS.find((candidate) => candidate.kind === kind);
  return `metadata/${entry?.folder ?? kind}/${name}.json#${pointer}`;
}

/** One token of an RFC 6901 pointer, escaped. */
export function pointerToken(token: string | number): string {
  return `/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** A set with nothing in it. */
export function emptySet(): MetadataSet {
  return {
    objects: new Map(),
    valueSets: new Map(),
    paths: new Map(),
    forms: new Map(),
    views: new Map(),
    layouts: new Map(),
    rules: new Map(),
    policies: new Map(),
    calendars: new Map(),
    permissions: new Map(),
    mailboxes: new Map(),
    imports: new Map(),
    reports: new Map(),
    matching: new Map(),
    templates: new Map(),
  };
}

/** Boundary: puts a file into a set that is being made. Its content has passed the JSON Schema of its kind, or comes of files that have. */
export function putFile(set: MetadataSet, kind: keyof MetadataSet, name: string, content: unknown): void {
  (set[kind] as Map<string, unknown>).set(name, content);
}
