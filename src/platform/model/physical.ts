import type { Instant } from '../clock.ts';
import { AppError } from '../errors.ts';
import { requiredId } from '../metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet } from '../metadata/types.ts';
import { fieldKind, objectColumnOf, storedType, valueKind } from './field-types.ts';
import { boundFields, fieldsPlacedFirst, MOST_ASIDE, MOST_MOVABLE, onSide, sideOf, SYSTEM_COLUMNS } from './side-tables.ts';

/** Where a field's values stand, and as what. */
export interface StoredAs {
  readonly physical: string;
  readonly sortPhysical: string | null;
  /** What is stored: a later change of it is a type change. Null when nothing is. */
  readonly shape: string | null;
  /** Kind of the values, for computed ones behind how they are (`rollup:integer`); null when an earlier release recorded the name. */
  readonly valueKind: string | null;
}

/** Name of a table or column in the database, given once. */
export interface PhysicalName extends StoredAs {
  readonly id: string;
  readonly kind: 'object' | 'field';
  /** For a field: the object's id. */
  readonly objectId: string | null;
  /** The name in metadata when it was last applied. */
  readonly name: string;
  /** Since when metadata no longer has it; what it holds is kept for a while. */
  readonly hiddenAt: Instant | null;
  /** The column that a change of type in progress fills beside the present one. */
  readonly next: StoredAs | null;
}

export type PhysicalNames = ReadonlyMap<string, PhysicalName>;

/** A column that a change of type left behind: its values are kept for a while. */
export interface KeptColumn extends StoredAs {
  readonly objectId: string;
  readonly fieldId: string;
  /** The field's name when the column was left. */
  readonly name: string;
  readonly keptAt: Instant;
}

/** What is known of the database when names are planned. */
export interface NamingFacts {
  readonly recorded: PhysicalNames;
  readonly kept: readonly KeptColumn[];
  /** Fields whose values must be written anew although their shape stays. */
  readonly rewritten: ReadonlySet<string>;
}

const LONGEST = 22;

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

/** Physical names for all of a completed set: the recorded ones, and new ones for what is new or changes its type. Writes nothing. */
export function planPhysicalNames(
  set: MetadataSet,
  recorded: PhysicalNames,
  kept: readonly KeptColumn[] = [],
  rewritten: ReadonlySet<string> = new Set(),
): PhysicalNames {
  const facts: NamingFacts = { recorded, kept, rewritten };
  const [isBound, isFirst] = [boundFields(set), fieldsPlacedFirst(set)];
  const names = new Map<string, PhysicalName>();
  const tables = new Set([...recorded.values()].filter((entry) => entry.kind === 'object').map((entry) => entry.physical));
  for (const [name, file] of set.objects) {
    const objectId = requiredId(file['x-object'].id, name);
    const table = recorded.get(objectId)?.physical ?? free(name, objectId, tables);
    tables.add(table);
    const base = { hiddenAt: null, next: null };
    put(names, { ...base, id: objectId, kind: 'object', objectId: null, name, physical: table, sortPhysical: null, shape: null, valueKind: null });
    const columns = takenColumns(objectId, facts);
    const room = roomOf(objectId, facts);
    const fields = Object.entries(file.properties).map(([fieldName, field]) => ({
      fieldName,
      field,
      isBound: isBound(file, name, fieldName, field),
      isFirst: isFirst(file, name, fieldName, field),
    }));
    // Those that must stand in the object's own table come first, then those that should; names are kept in the order of the file.
    const rank = (field: { readonly isBound: boolean; readonly isFirst: boolean }): number => Number(field.isBound) + Number(field.isFirst);
    const placed = new Map<string, PhysicalName>();
    for (const { fieldName, field, isBound } of [...fields].sort((left, right) => rank(right) - rank(left))) {
      const id = requiredId(field['x-id'], `${name}.${fieldName}`);
      const shape = fieldShape(field, set);
      const isSortable = storedType(field)?.sortable === true;
      const side = isBound ? () => 0 : () => room.place(shape === null ? 0 : isSortable ? 2 : 1);
      const column = columnFor(fieldName, id, { shape, valueKind: storedKind(field) }, columns, facts, side);
      if (!columns.has(column)) room.take(sideOf(column), shape === null ? 0 : isSortable ? 2 : 1);
      columns.add(column);
      const stored = { physical: column, sortPhysical: isSortable ? `${column}_s` : null, shape, valueKind: storedKind(field) };
      placed.set(fieldName, { ...base, ...stored, id, kind: 'field', objectId, name: fieldName });
    }
    for (const { fieldName } of fields) {
      const entry = placed.get(fieldName);
      if (entry !== undefined) put(names, entry);
    }
  }
  return names;
}

function storedKind(field: FieldSchema): string {
  const kind = fieldKind(field);
  return kind === 'formula' || kind === 'rollup' ? `${kind}:${valueKind(field)}` : valueKind(field);
}

/** What people wrote and what the engine computes never stand in one column: both are kept when a field becomes the other. */
function isComputed(kind: string | null): boolean {
  return kind?.includes(':') === true;
}

function takenColumns(objectId: string, { recorded, kept }: NamingFacts): Set<string> {
  const own = [...recorded.values()].filter((entry) => entry.objectId === objectId);
  const left = kept.filter((entry) => entry.objectId === objectId);
  return new Set([...own, ...own.flatMap((entry) => entry.next ?? []), ...left].map((entry) => entry.physical));
}

/** How many columns the tables of an object have, those of hidden fields and left ones among them, and where there is room for more. */
function roomOf(objectId: string, { recorded, kept }: NamingFacts): { place(columns: number): number; take(side: number, columns: number): void } {
  const used = new Map([[0, SYSTEM_COLUMNS]]);
  const take = (side: number, columns: number): void => void used.set(side, (used.get(side) ?? 1) + columns);
  const own = [...recorded.values()].filter((entry) => entry.objectId === objectId);
  const stored: readonly StoredAs[] = [...own, ...own.flatMap((entry) => entry.next ?? []), ...kept.filter((entry) => entry.objectId === objectId)];
  for (const { physical, sortPhysical, shape } of stored)
    if (shape !== null) take(sideOf(physical), 1 + Number(sortPhysical !== null) + Number(shape === 'uuid+object'));
  return {
    take,
    place(columns) {
      let side = 0;
      while ((used.get(side) ?? 1) + columns > (side === 0 ? MOST_MOVABLE : MOST_ASIDE)) side += 1;
      return side;
    },
  };
}

/**
 * A field stays in its column; a change of type goes to the one already being filled, to one that was left with that type, or to a
 * new one in the same table, from which its values can be carried over.
 */
function columnFor(
  name: string,
  id: string,
  wanted: Pick<StoredAs, 'shape' | 'valueKind'>,
  taken: ReadonlySet<string>,
  facts: NamingFacts,
  side: () => number,
): string {
  const known = facts.recorded.get(id);
  if (known === undefined) return free(name, id, taken, side());
  const isOfOneMind = isComputed(known.valueKind) === isComputed(wanted.valueKind);
  if (wanted.shape === null || (known.shape === wanted.shape && isOfOneMind && !facts.rewritten.has(id))) return known.physical;
  const isWanted = (stored: StoredAs): boolean => stored.shape === wanted.shape && stored.valueKind === wanted.valueKind;
  if (known.next !== null && isWanted(known.next)) return known.next.physical;
  const left = facts.kept.find((entry) => entry.fieldId === id && isWanted(entry));
  if (left !== undefined) return left.physical;
  const isFree = known.shape === null && !facts.kept.some((entry) => entry.physical === known.physical);
  return isFree ? known.physical : free(name, id, taken, isOfOneMind && known.shape !== null ? sideOf(known.physical) : side());
}

function put(names: Map<string, PhysicalName>, entry: PhysicalName): void {
  const other = names.get(entry.id);
  if (other !== undefined) throw new AppError('metadata_invalid', `${other.name} and ${entry.name} have the same id ${entry.id}: an id is given once.`);
  names.set(entry.id, entry);
}

/** Table, column and suffix of an index together fit PostgreSQL's 63 bytes. */
function free(name: string, id: string, taken: ReadonlySet<string>, side = 0): string {
  const base = `${snakeCase(name)}_${id.slice(-4)}`;
  const candidates = [base, `${snakeCase(name)}_${id.slice(-5)}`, ...Array.from({ length: 98 }, (_, index) => `${base}${String(index + 2)}`)].map((candidate) =>
    onSide(candidate, side),
  );
  const found = candidates.find((candidate) => !taken.has(candidate) && !taken.has(objectColumnOf(candidate)));
  if (found === undefined) throw new AppError('internal', `No free physical name for ${name} (${id}).`);
  return found;
}
