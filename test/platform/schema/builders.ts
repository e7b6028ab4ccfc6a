import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import type { FieldSchema, MetadataSet, ObjectFile } from '../../../src/platform/metadata/types.ts';

/** An object file with the given fields; its display name is its first field. */
export function objectFile(title: string, properties: Readonly<Record<string, FieldSchema>>, more: Partial<ObjectFile> = {}): ObjectFile {
  const first = Object.keys(properties)[0] ?? '';
  return { title, type: 'object', 'x-object': { plural: `${title}s`, name: `{${first}}` }, properties, ...more };
}

/** A set of objects (and whatever else is given). */
export function setOf(objects: Readonly<Record<string, ObjectFile>>, more: Partial<MetadataSet> = {}): MetadataSet {
  return { ...emptySet(), objects: new Map(Object.entries(objects)), ...more };
}
