import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import { AppError, type ErrorDetail } from '../errors.ts';
import { emptySet, KINDS, type KindEntry, putFile } from './kinds.ts';
import type { FieldSchema, MetadataSet, ObjectFile, ValueSetFile } from './types.ts';
import { fileChecks } from './validator.ts';

/** Where the folders of a package stand: in the directory itself, or in `metadata/` and `templates/` below it. */
export function packageFolders(directory: string): { readonly metadata: string; readonly templates: string } {
  const nested = join(directory, 'metadata');
  return { metadata: existsSync(nested) ? nested : directory, templates: join(directory, 'templates') };
}

/** One metadata file as found on disk. */
export interface FoundFile {
  readonly entry: KindEntry;
  readonly path: string;
  /** Name for messages: `metadata/objects/Name.json`. */
  readonly label: string;
  readonly content: unknown;
}

/** A package to be laid over others: its own files, and the things below that it takes away. */
export interface MetadataPackage {
  /** Name of its directory. */
  readonly name: string;
  readonly set: MetadataSet;
  /** Ids of things of the packages below. */
  readonly removed: readonly string[];
}

/**
 * Reads the shipped package and the packages laid over it, in order: a later file replaces an earlier one of the same
 * name or id (a later value set adds its codes). `directories` are package roots.
 * @throws AppError metadata_invalid with every finding at once
 */
export function loadMetadata(directories: readonly string[]): MetadataSet {
  const errors: ErrorDetail[] = [];
  let set = emptySet();
  directories.forEach((directory, index) => {
    set = overlay(set, readDirectory(directory, index === 0 ? '' : `${basename(directory)}/`, errors));
  });
  if (errors.length > 0) throw invalidMetadata(errors);
  return set;
}

/** Reads one package by itself. @throws AppError metadata_invalid with every finding at once */
export function loadPackage(directory: string): MetadataPackage {
  const errors: ErrorDetail[] = [];
  const found = readDirectory(directory, `${basename(directory)}/`, errors);
  if (errors.length > 0) throw invalidMetadata(errors);
  return found;
}

function readDirectory(directory: string, prefix: string, errors: ErrorDetail[]): MetadataPackage {
  if (!existsSync(directory)) throw new AppError('metadata_invalid', `The package directory ${directory} does not exist.`);
  const set = readPackage(directory, prefix, errors);
  return { name: basename(resolve(directory)), set, removed: readRemoved(directory, prefix, errors) };
}

/** File of a package that lists what it takes away from the packages below. */
export const REMOVED_FILE = 'removed.json';

/** `removed.json`: `[{"id": "k3v9q2m4x7ab", "what": "rules/welcome"}]`. */
function readRemoved(directory: string, prefix: string, errors: ErrorDetail[]): readonly string[] {
  const path = join(packageFolders(directory).metadata, REMOVED_FILE);
  if (!existsSync(path)) return [];
  const label = `${prefix}metadata/${REMOVED_FILE}`;
  const content = parseJson(path, label, errors);
  if (content === undefined) return [];
  const entries: readonly unknown[] = Array.isArray(content) ? content : [content];
  return entries.flatMap((entry, index) => {
    if (typeof entry === 'object' && entry !== null && 'id' in entry && typeof entry.id === 'string') return [entry.id];
    errors.push({
      pointer: `${label}#/${String(index)}`,
      code: 'wrong_shape',
      detail: 'Each entry names what it removes.',
      fix: 'Write [{"id": "...", "what": "..."}].',
    });
    return [];
  });
}

/** The error for findings, whose message names the first. */
export function invalidMetadata(errors: readonly ErrorDetail[]): AppError {
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${String(errors.length - 1)} more)` : '';
  return new AppError(
    'metadata_invalid',
    `The metadata is wrong: ${first?.pointer ?? ''}: ${first?.detail ?? ''}${first?.fix === undefined ? '' : ` ${first.fix}`}${more}`,
    { errors },
  );
}

/** Reads every JSON file of a package, checked for syntax only. */
export function findFiles(directory: string, prefix: string, errors: ErrorDetail[]): readonly FoundFile[] {
  const { metadata } = packageFolders(directory);
  const found: FoundFile[] = [];
  for (const entry of KINDS) {
    for (const file of listFiles(join(metadata, entry.folder), '.json')) {
      const path = join(metadata, entry.folder, file);
      const label = `${prefix}metadata/${entry.folder}/${file}`;
      const content = parseJson(path, label, errors);
      if (content !== undefined) found.push({ entry, path, label, content });
    }
  }
  const known = new Set([...KINDS.map((entry) => entry.folder), 'schema', 'templates']);
  for (const folder of existsSync(metadata) ? readdirSync(metadata) : []) {
    if (!known.has(folder) && statSync(join(metadata, folder)).isDirectory() && readdirSync(join(metadata, folder)).some((file) => file.endsWith('.json'))) {
      errors.push({
        pointer: `${prefix}metadata/${folder}`,
        code: 'unknown_folder',
        detail: `"${folder}" is not a kind of metadata.`,
        fix: `Known folders: ${[...known].join(', ')}.`,
      });
    }
  }
  return found;
}

function readPackage(directory: string, prefix: string, errors: ErrorDetail[]): MetadataSet {
  const set = emptySet();
  const checks = fileChecks();
  for (const { entry, label, content } of findFiles(directory, prefix, errors)) {
    const found = checks.get(entry.kind)?.(content, label) ?? [];
    if (found.length > 0) {
      errors.push(...found);
      continue;
    }
    const stem = basename(label, '.json');
    const named = nameOf(content);
    if (entry.kind !== 'objects' && named !== stem) {
      errors.push({
        pointer: `${label}#/name`,
        code: 'wrong_name',
        detail: `The file is called ${stem} but names itself ${named ?? 'nothing'}.`,
        fix: 'A file is named after the thing it holds.',
      });
    } else if (entry.kind === 'objects' && !/^[A-Z][A-Za-z0-9]{0,59}$/.test(stem)) {
      errors.push({ pointer: label, code: 'wrong_name', detail: `"${stem}" cannot name an object.`, fix: 'Object names are PascalCase, such as License.' });
    } else {
      putFile(set, entry.kind, stem, content);
    }
  }
  readHolidayFiles(set, packageFolders(directory).metadata, prefix, errors);
  const { templates } = packageFolders(directory);
  for (const file of listFiles(templates, '.hbs'))
    putFile(set, 'templates', file.slice(0, -'.hbs'.length).split(sep).join('/'), readFileSync(join(templates, file), 'utf8'));
  return set;
}

/** Puts the text of the holiday files that calendars name in the place of their paths: a set depends on no file. */
function readHolidayFiles(set: MetadataSet, metadata: string, prefix: string, errors: ErrorDetail[]): void {
  for (const [name, calendar] of set.calendars) {
    const holidays = calendar.holidays.map((source, index) => {
      if (source === 'us-federal' || 'on' in source) return source;
      const path = resolve(metadata, source.csv);
      if (path.startsWith(resolve(metadata) + sep) && existsSync(path)) return { csv: readFileSync(path, 'utf8') };
      errors.push({
        pointer: `${prefix}metadata/calendars/${name}.json#/holidays/${String(index)}/csv`,
        code: 'unknown_file',
        detail: `There is no file ${source.csv} in the metadata folder.`,
        fix: 'Name it relative to the metadata folder.',
      });
      return source;
    });
    putFile(set, 'calendars', name, { ...calendar, holidays });
  }
}

/** A package laid over a set: what it has replaces what has the same name or id, what it removes is gone. */
export function overlay(below: MetadataSet, { set: above, removed }: Pick<MetadataPackage, 'set' | 'removed'>): MetadataSet {
  const result = emptySet();
  for (const { kind } of KINDS) {
    const replaced = new Set([...removed, ...[...above[kind].values()].flatMap((file) => idIn(file) ?? [])]);
    for (const [name, file] of below[kind]) if (above[kind].has(name) || !replaced.has(idIn(file) ?? '')) putFile(result, kind, name, file);
    for (const [name, file] of above[kind]) {
      if (kind === 'objects') putFile(result, kind, name, keepIds(below.objects.get(name), above.objects.get(name)));
      else if (kind === 'valueSets') putFile(result, kind, name, addValues(below.valueSets.get(name), above.valueSets.get(name)));
      else putFile(result, kind, name, { ...idOf(below[kind].get(name)), ...file });
    }
  }
  for (const [name, text] of [...below.templates, ...above.templates]) if (!removed.includes(name)) putFile(result, 'templates', name, text);
  return result;
}

/** The id of a file of any kind. */
export function idIn(file: ObjectFile | { readonly id?: string }): string | undefined {
  return 'x-object' in file ? file['x-object'].id : file.id;
}

/** A file laid over another keeps the ids that it does not give itself: it is the same thing under the same name. */
function keepIds(below: ObjectFile | undefined, above: ObjectFile | undefined): ObjectFile | undefined {
  if (below === undefined || above === undefined) return above;
  const fields: Record<string, FieldSchema> = {};
  for (const [name, field] of Object.entries(above.properties)) {
    const inherited = below.properties[name]?.['x-id'];
    fields[name] = field['x-id'] === undefined && inherited !== undefined ? { ...field, 'x-id': inherited } : field;
  }
  return { ...above, 'x-object': { ...idOf(below['x-object']), ...above['x-object'] }, properties: fields };
}

function addValues(below: ValueSetFile | undefined, above: ValueSetFile | undefined): ValueSetFile | undefined {
  if (below === undefined || above === undefined) return above;
  const values = new Map(below.values.map((value) => [value.code, value]));
  for (const value of above.values) values.set(value.code, value);
  return { ...below, ...above, values: [...values.values()] };
}

function idOf(file: { readonly id?: string } | undefined): { readonly id?: string } {
  return file?.id === undefined ? {} : { id: file.id };
}

function parseJson(path: string, label: string, errors: ErrorDetail[]): unknown {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return content;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    errors.push({ pointer: label, code: 'bad_json', detail: `This is not JSON: ${error.message}.` });
    return undefined;
  }
}

function listFiles(directory: string, ending: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

function nameOf(content: unknown): string | undefined {
  return typeof content === 'object' && content !== null && 'name' in content && typeof content.name === 'string' ? content.name : undefined;
}
