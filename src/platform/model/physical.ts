import { AppError } from '../errors.ts';
import { requiredId } from '../metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet } from '../metadata/types.ts';
import { fieldKind, objectColumnOf, storedType } from './field-types.ts';

/** Name of a table or column in the database, given once. */
export interface PhysicalName {
  readonly id: string;
  readonly kind: 'object' | 'field';
  /** For a field: the object's id. */
  readonly objectId: string | null;
  /** The name in metadata when it was last applied. */
  readonly name: string;
  readonly physical: string;
  readonly sortPhysical: string | null;
  /** What is stored: a later change of it is a type change. */
  readonly shape: string | null;
}

export type PhysicalNames = ReadonlyMap<string, PhysicalName>;

const LONGEST = 24;

/** snake_case of a name, cut so that every derived name fits PostgreSQL's 63 bytes. */
export function snakeCase(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .slice(0, LONGEST)
    .replace(/_+$/, '');
}

/** What a field stores, as recorded with its physical name; null when nothing is stored. */
export function fieldShape(field: FieldSchema, set: MetadataSet): string | null {
  const kind = fieldKind(field);
  const { column = null, sortable = false } = storedType(field) ?? {};
  if (column === null) return null;
  if (kind === 'polymorphic') return `${column.cast}+object`;
  if (kind === 'reference') return `${column.cast}>${targetOf(field, set)}`;
  return `${column.cast}${sortable ? '+sort' : ''}${kind === 'file' ? '>file' : ''}`;
}

function targetOf(field: FieldSchema, set: MetadataSet): string {
  const to = field['x-ref']?.to;
  return typeof to === 'string' ? (set.objects.get(to)?.['x-object'].id ?? to) : '';
}

/** Physical names for all of a completed set: the recorded ones, and new ones for what is new. Writes nothing. */
export function planPhysicalNames(set: MetadataSet, recorded: PhysicalNames): PhysicalNames {
  const names = new Map<string, PhysicalName>();
  const tables = new Set([...recorded.values()].filter((entry) => entry.kind === 'object').map((entry) => entry.physical));
  for (const [name, file] of set.objects) {
    const objectId = requiredId(file['x-object'].id, name);
    const table = recorded.get(objectId)?.physical ?? free(name, objectId, tables);
    tables.add(table);
    put(names, { id: objectId, kind: 'object', objectId: null, name, physical: table, sortPhysical: null, shape: null });
    const columns = new Set([...recorded.values()].filter((entry) => entry.objectId === objectId).map((entry) => entry.physical));
    for (const [fieldName, field] of Object.entries(file.properties)) {
      const id = requiredId(field['x-id'], `${name}.${fieldName}`);
      const known = recorded.get(id);
      const column = known?.physical ?? free(fieldName, id, columns);
      columns.add(column);
      const isSortable = storedType(field)?.sortable === true;
      put(names, {
        id,
        kind: 'field',
        objectId,
        name: fieldName,
        physical: column,
        sortPhysical: isSortable ? `${column}_s` : null,
        shape: fieldShape(field, set),
      });
    }
  }
  return names;
}

function put(names: Map<string, PhysicalName>, entry: PhysicalName): void {
  const other = names.get(entry.id);
  if (other !== undefined) throw new AppError('metadata_invalid', `${other.name} and ${entry.name} have the same id ${entry.id}: an id is given once.`);
  names.set(entry.id, entry);
}

function free(name: string, id: string, taken: ReadonlySet<string>): string {
  for (let length = 4; length <= id.length; length += 1) {
    const candidate = `${snakeCase(name)}_${id.slice(-length)}`;
    if (!taken.has(candidate) && !taken.has(objectColumnOf(candidate))) return candidate;
  }
  throw new AppError('internal', `No free physical name for ${name} (${id}).`);
}
