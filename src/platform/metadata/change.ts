import type { ErrorDetail } from '../errors.ts';
import { emptySet, KINDS, putFile } from './kinds.ts';
import { idIn, invalidMetadata } from './load.ts';
import type { MetadataKind, MetadataSet } from './types.ts';
import { fileChecks } from './validator.ts';

/** Files by folder and name, as they would stand on disk: `{"objects": {"Garden": {...}}, "templates": {"mail/x": "..."}}`. */
export type FilesByFolder = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * A set with some files put in the place of those of the same name or id, and others taken away (`rules/welcome`). Pure.
 * @throws AppError metadata_invalid with every finding at once
 */
export function changedSet(current: MetadataSet, files: FilesByFolder, removed: readonly string[]): MetadataSet {
  const errors: ErrorDetail[] = [];
  const given = readFiles(files, errors);
  const gone = new Set(removed);
  const result = emptySet();
  for (const { kind, folder } of KINDS) {
    const mine = given.get(kind) ?? new Map<string, unknown>();
    const ids = new Set([...mine.values()].map(idOf).filter((id) => id !== undefined));
    for (const [name, file] of current[kind]) {
      const isGone = gone.delete(`${folder}/${name}`);
      const id = idIn(file);
      if (mine.has(name)) putFile(result, kind, name, withId(mine.get(name), kind, id));
      else if (!isGone && !(id !== undefined && ids.has(id))) putFile(result, kind, name, file);
    }
    for (const [name, file] of mine) if (!result[kind].has(name)) putFile(result, kind, name, file);
  }
  const templates = new Map<string, string>();
  for (const [name, text] of current.templates) if (!gone.delete(`templates/${name}`)) templates.set(name, text);
  for (const [name, text] of Object.entries(files['templates'] ?? {})) if (typeof text === 'string') templates.set(name, text);
  for (const name of gone) errors.push({ pointer: '/remove', code: 'unknown_file', detail: `There is no ${name} to remove.` });
  if (errors.length > 0) throw invalidMetadata(errors);
  return { ...result, templates };
}

function readFiles(files: FilesByFolder, errors: ErrorDetail[]): ReadonlyMap<MetadataKind, ReadonlyMap<string, unknown>> {
  const checks = fileChecks();
  const found = new Map<MetadataKind, Map<string, unknown>>();
  for (const [folder, byName] of Object.entries(files)) {
    const entry = KINDS.find((candidate) => candidate.folder === folder);
    if (entry === undefined) {
      if (folder === 'templates') checkTemplates(byName, errors);
      else
        errors.push({
          pointer: `/files/${folder}`,
          code: 'unknown_folder',
          detail: `"${folder}" is not a kind of metadata.`,
          fix: `Known: ${KINDS.map((kind) => kind.folder).join(', ')}, templates.`,
        });
      continue;
    }
    for (const [name, content] of Object.entries(byName)) {
      const label = `metadata/${folder}/${name}.json`;
      errors.push(...(checks.get(entry.kind)?.(content, label) ?? []));
      const named = typeof content === 'object' && content !== null && 'name' in content ? content.name : undefined;
      if (entry.kind === 'objects' ? !/^[A-Z][A-Za-z0-9]{0,59}$/.test(name) : named !== name)
        errors.push({
          pointer: `${label}#/name`,
          code: 'wrong_name',
          detail: `"${name}" cannot be the name of this file.`,
          fix: 'A file is named after the thing it holds; object names are PascalCase.',
        });
      found.set(entry.kind, (found.get(entry.kind) ?? new Map<string, unknown>()).set(name, content));
    }
  }
  return found;
}

function checkTemplates(byName: Readonly<Record<string, unknown>>, errors: ErrorDetail[]): void {
  for (const [name, text] of Object.entries(byName))
    if (typeof text !== 'string' || !/^[a-z_][\w-]*(\/[\w-]+)*$/i.test(name))
      errors.push({ pointer: `/files/templates/${name}`, code: 'wrong_shape', detail: 'A template is text, named by its path such as mail/welcome.' });
}

/** The id that a file of unknown shape gives itself. */
function idOf(content: unknown): string | undefined {
  if (typeof content !== 'object' || content === null) return undefined;
  const place: unknown = 'x-object' in content ? content['x-object'] : content;
  return typeof place === 'object' && place !== null && 'id' in place && typeof place.id === 'string' ? place.id : undefined;
}

/** A file that takes the place of another and gives no id is the same thing. */
function withId(content: unknown, kind: MetadataKind, id: string | undefined): unknown {
  if (kind === 'objects' || typeof content !== 'object' || content === null || 'id' in content || id === undefined) return content;
  return { id, ...content };
}
