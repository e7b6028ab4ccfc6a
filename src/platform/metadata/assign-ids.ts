import { writeFileSync } from 'node:fs';
import { AppError, type ErrorDetail } from '../errors.ts';
import { metadataId, type RandomBytes } from '../ids.ts';
import { emptySet, KINDS, putFile } from './kinds.ts';
import { findFiles, invalidMetadata } from './load.ts';
import type { FieldSchema, MetadataKind, MetadataSet, ObjectFile } from './types.ts';

/** Ids known from before, by name: an object's, and a field's under the object's name. */
export interface KnownIds {
  object(name: string): string | undefined;
  field(object: string, name: string): string | undefined;
  file(kind: MetadataKind, name: string): string | undefined;
}

export const NO_IDS: KnownIds = { object: () => undefined, field: () => undefined, file: () => undefined };

/** Completes one object file: ids it lacks are those known from before, else new. Nothing is derived from a name. */
export function completeObject(name: string, file: ObjectFile, known: KnownIds, random?: RandomBytes): ObjectFile {
  const properties: Record<string, FieldSchema> = {};
  for (const [fieldName, field] of Object.entries(file.properties)) {
    properties[fieldName] = field['x-id'] === undefined ? { ...field, 'x-id': known.field(name, fieldName) ?? metadataId(random) } : field;
  }
  const id = file['x-object'].id ?? known.object(name) ?? metadataId(random);
  return { ...file, 'x-object': { ...file['x-object'], id }, properties };
}

/** Completes a whole set in memory. */
export function completeIds(set: MetadataSet, known: KnownIds = NO_IDS, random?: RandomBytes): MetadataSet {
  const result = emptySet();
  for (const { kind } of KINDS) {
    if (kind === 'objects') continue;
    for (const [name, file] of set[kind])
      putFile(result, kind, name, file.id === undefined ? { ...file, id: known.file(kind, name) ?? metadataId(random) } : file);
  }
  for (const [name, file] of set.objects) putFile(result, 'objects', name, completeObject(name, file, known, random));
  return { ...result, templates: set.templates };
}

/**
 * Writes the ids that a package's files lack into the files (keys in the order of the kind, ids first). Answers the files written.
 * @param locked refuse instead of writing
 * @throws AppError metadata_invalid when locked and ids lack, or a file is not JSON
 */
export function assignIds(directory: string, locked: boolean, known: KnownIds = NO_IDS, random?: RandomBytes): readonly string[] {
  const errors: ErrorDetail[] = [];
  const written: string[] = [];
  for (const { entry, path, label, content } of findFiles(directory, '', errors)) {
    const name = label.slice(label.lastIndexOf('/') + 1, -'.json'.length);
    const completed = entry.kind === 'objects' ? withObjectIds(name, content, known, random) : withId(entry.kind, name, content, known, random);
    if (completed === content) continue;
    if (locked)
      errors.push({
        pointer: label,
        code: 'missing_id',
        detail: 'Ids are missing and the package is locked.',
        fix: 'Apply it once without --locked, and keep the files that it writes.',
      });
    else writeFileSync(path, `${JSON.stringify(completed, null, 2)}\n`);
    written.push(label);
  }
  if (errors.length > 0) throw invalidMetadata(errors);
  return written;
}

function withId(kind: MetadataKind, name: string, content: unknown, known: KnownIds, random?: RandomBytes): unknown {
  if (typeof content !== 'object' || content === null || 'id' in content) return content;
  const schema = '$schema' in content ? { $schema: content.$schema } : {};
  return { ...schema, id: known.file(kind, name) ?? metadataId(random), ...content };
}

/** Tolerates files that the linter will refuse: only what has the shape of fields gets ids. */
function withObjectIds(name: string, content: unknown, known: KnownIds, random?: RandomBytes): unknown {
  if (!isRecord(content) || !isRecord(content['x-object']) || !isRecord(content['properties'])) return content;
  let isChanged = false;
  const properties: Record<string, unknown> = {};
  for (const [fieldName, field] of Object.entries(content['properties'])) {
    if (!isRecord(field) || 'x-id' in field) properties[fieldName] = field;
    else {
      isChanged = true;
      properties[fieldName] = { ...field, 'x-id': known.field(name, fieldName) ?? metadataId(random) };
    }
  }
  let annotation: Record<string, unknown> = content['x-object'];
  if (!('id' in annotation)) {
    isChanged = true;
    annotation = { id: known.object(name) ?? metadataId(random), ...annotation };
  }
  return isChanged ? { ...content, 'x-object': annotation, properties } : content;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Ids of an earlier set, by name. */
export function idsOf(set: MetadataSet): KnownIds {
  return {
    object: (name) => set.objects.get(name)?.['x-object'].id,
    field: (object, name) => set.objects.get(object)?.properties[name]?.['x-id'],
    file: (kind, name) => (kind === 'objects' ? undefined : set[kind].get(name)?.id),
  };
}

/** The id of a completed thing. @throws AppError internal when the set was not completed */
export function requiredId(id: string | undefined, what: string): string {
  if (id === undefined) throw new AppError('internal', `${what} has no id: complete the ids before compiling.`);
  return id;
}
