import { emptySet, KINDS, metadataPointer, pointerToken, putFile } from './kinds.ts';
import { canonicalJson } from './store-form.ts';
import type { MetadataKind, MetadataSet, ObjectFile } from './types.ts';

/** A place that the files and the local changes both changed, each differently; the local change stays. */
export interface MergeConflict {
  readonly pointer: string;
  /** What the files said when the local change was made; absent = nothing. */
  readonly before?: unknown;
  /** What the files say now; absent = it is gone. */
  readonly files?: unknown;
  /** What stays; absent = it was removed locally. */
  readonly local?: unknown;
}

export interface Merged {
  readonly set: MetadataSet;
  readonly conflicts: readonly MergeConflict[];
}

interface Thing {
  readonly name: string;
  readonly content: unknown;
}

/**
 * Three-way merge by id: what the files changed since `before` is taken over into what stands locally. All three sets have
 * their ids. Pure.
 */
export function mergeSets(before: MetadataSet, local: MetadataSet, files: MetadataSet): Merged {
  const result = emptySet();
  const conflicts: MergeConflict[] = [];
  for (const { kind } of KINDS) {
    const [old, mine, theirs] = [things(before, kind), things(local, kind), things(files, kind)];
    const taken = new Set<string>();
    for (const id of new Set([...theirs.keys(), ...mine.keys()])) {
      const [a, b, c] = [old.get(id), mine.get(id), theirs.get(id)];
      const name = mergeName(a, b, c);
      const content = mergeValue(a?.content, b?.content, c?.content, (rest) => metadataPointer(kind, name, rest), '', conflicts);
      if (content === undefined) continue;
      if (taken.has(name)) {
        conflicts.push({ pointer: metadataPointer(kind, name), files: content });
        continue;
      }
      taken.add(name);
      putFile(result, kind, name, kind === 'objects' ? toFile(content) : renamed(content, name));
    }
  }
  const templates = mergeValue(
    Object.fromEntries(before.templates),
    Object.fromEntries(local.templates),
    Object.fromEntries(files.templates),
    (rest) => `templates${rest}.hbs`,
    '',
    conflicts,
  );
  for (const [name, text] of Object.entries(record(templates))) putFile(result, 'templates', name, String(text));
  return { set: result, conflicts };
}

function mergeName(before: Thing | undefined, local: Thing | undefined, files: Thing | undefined): string {
  if (local === undefined) return files?.name ?? before?.name ?? '';
  if (files === undefined || files.name === before?.name) return local.name;
  return local.name === before?.name || before === undefined ? files.name : local.name;
}

/** The things of a kind by id; one without an id (a template, a file of an earlier release) goes by its name. */
function things(set: MetadataSet, kind: MetadataKind): ReadonlyMap<string, Thing> {
  const found = new Map<string, Thing>();
  if (kind === 'objects') for (const [name, file] of set.objects) found.set(file['x-object'].id ?? name, { name, content: toList(file) });
  else for (const [name, file] of set[kind]) found.set(file.id ?? name, { name, content: file });
  return found;
}

/** An object with its fields as a list that knows their names: so that they merge by id. */
function toList(file: ObjectFile): unknown {
  return { ...file, properties: Object.entries(file.properties).map(([name, field]) => ({ ...field, 'x-id': field['x-id'] ?? name, ':name': name })) };
}

function toFile(content: unknown): unknown {
  const file = record(content);
  const list: readonly unknown[] = Array.isArray(file['properties']) ? file['properties'] : [];
  const properties = list.map((entry) => {
    const { ':name': name, ...field } = record(entry);
    return [String(name), field] as const;
  });
  return { ...file, properties: Object.fromEntries(properties) };
}

function renamed(content: unknown, name: string): unknown {
  return { ...record(content), name };
}

type At = (rest: string) => string;

/** Merges one value; undefined means that there is none. */
function mergeValue(before: unknown, local: unknown, files: unknown, at: At, path: string, conflicts: MergeConflict[]): unknown {
  const same = (left: unknown, right: unknown): boolean => textOf(left) === textOf(right);
  if (same(local, files) || same(before, files)) return local;
  if (same(before, local)) return files;
  if (isRecord(local) && isRecord(files)) return mergeRecords(isRecord(before) ? before : {}, local, files, at, path, conflicts);
  if (Array.isArray(local) && Array.isArray(files)) {
    const merged = mergeLists(Array.isArray(before) ? before : [], local, files, at, path, conflicts);
    if (merged !== null) return merged;
  }
  conflicts.push({
    pointer: at(path),
    ...(before === undefined ? {} : { before }),
    ...(files === undefined ? {} : { files }),
    ...(local === undefined ? {} : { local }),
  });
  return local;
}

function mergeRecords(
  before: Readonly<Record<string, unknown>>,
  local: Readonly<Record<string, unknown>>,
  files: Readonly<Record<string, unknown>>,
  at: At,
  path: string,
  conflicts: MergeConflict[],
): unknown {
  const merged: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(files), ...Object.keys(local)])) {
    const value = mergeValue(before[key], local[key], files[key], at, path + pointerToken(key), conflicts);
    if (value !== undefined) merged[key] = value;
  }
  return merged;
}

const KEYS = ['x-id', 'id', 'name', 'code'] as const;

/** Lists of named things merge thing by thing, other lists as sets of what they hold; null when they are neither. */
function mergeLists(
  before: readonly unknown[],
  local: readonly unknown[],
  files: readonly unknown[],
  at: At,
  path: string,
  conflicts: MergeConflict[],
): unknown {
  const key = KEYS.find((name) => [...before, ...local, ...files].every((item) => isRecord(item) && typeof item[name] === 'string'));
  const keyOf = (item: unknown): string => (key === undefined ? textOf(item) : String(record(item)[key]));
  const [old, mine, theirs] = [before, local, files].map((list) => new Map(list.map((item) => [keyOf(item), item])));
  if (old === undefined || mine === undefined || theirs === undefined) return null;
  if (old.size !== before.length || mine.size !== local.length || theirs.size !== files.length) return null;
  const values = new Map<string, unknown>();
  for (const name of new Set([...theirs.keys(), ...mine.keys()])) {
    const value = mergeValue(old.get(name), mine.get(name), theirs.get(name), at, path + pointerToken(name), conflicts);
    if (value !== undefined) values.set(name, value);
  }
  return inOrder([...theirs.keys()], [...mine.keys()]).flatMap((name) => (values.has(name) ? [values.get(name)] : []));
}

/** The order of the files; what only the local list has stands after what it stood after there. */
function inOrder(files: readonly string[], local: readonly string[]): readonly string[] {
  const order = [...files];
  local.forEach((name, index) => {
    if (order.includes(name)) return;
    const previous = local[index - 1];
    order.splice(previous === undefined ? 0 : order.indexOf(previous) + 1, 0, name);
  });
  return order;
}

function textOf(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}
