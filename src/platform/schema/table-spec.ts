import { createHash } from 'node:crypto';
import { requiredId } from '../metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet, ObjectFile } from '../metadata/types.ts';
import { fieldKind, objectColumnOf, storedType } from '../model/field-types.ts';
import { USER_OBJECT } from '../model/fields.ts';
import type { PhysicalNames } from '../model/physical.ts';
import { boundFields, onSide, sideOf, tableOfColumn } from '../model/side-tables.ts';
import { mayBeOrdered, viewOrders } from '../model/view-orders.ts';
import { ident } from '../sql.ts';

export interface ColumnSpec {
  readonly name: string;
  readonly ddl: string;
  /** The field it belongs to; null for system columns. */
  readonly fieldId: string | null;
}

export interface IndexSpec {
  readonly name: string;
  readonly isUnique: boolean;
  /** All after `create [unique] index <name>`. */
  readonly ddl: string;
  readonly fieldIds: readonly string[];
  readonly columns: readonly string[];
  readonly what: string;
}

export interface ForeignKeySpec {
  readonly name: string;
  readonly column: string;
  readonly target: string;
  readonly fieldId: string | null;
  readonly fieldName: string;
}

export interface CheckSpec {
  readonly name: string;
  readonly column: string;
  /** All after `add constraint <name>`. */
  readonly ddl: string;
  readonly fieldId: string;
  readonly fieldName: string;
}

/** Facts of the same key that may not overlap, in force from one day through another. */
export interface ExclusionSpec {
  readonly name: string;
  /** All after `add constraint <name>`. */
  readonly ddl: string;
  /** Parts of the key; `empty` is what an empty one is taken for, null where none is empty. */
  readonly key: readonly { readonly column: string; readonly empty: string | null }[];
  readonly from: string;
  readonly through: string;
  readonly columns: readonly string[];
}

/** How a table of an object should look: its own, or a side table with further fields. */
export interface TableSpec {
  /** 0 for the object's own table, else which side table it is. */
  readonly side: number;
  readonly objectId: string;
  readonly objectName: string;
  readonly table: string;
  readonly columns: readonly ColumnSpec[];
  /** How many fields the object stores, in whichever table. */
  readonly fields: number;
  /** How many values a row of the object is read with. */
  readonly values: number;
  readonly indexes: readonly IndexSpec[];
  readonly foreignKeys: readonly ForeignKeySpec[];
  /** Required fields, as the database holds writers of whatever version to them. */
  readonly checks: readonly CheckSpec[];
  readonly exclusion: ExclusionSpec | null;
  /** Fields in side tables that must stand in the object's own from now on. */
  readonly misplaced: readonly string[];
}

const SYSTEM_COLUMNS: readonly (readonly [string, string])[] = [
  ['id', 'uuid primary key'],
  ['version', 'integer not null default 1'],
  ['created_at', 'timestamptz(3) not null'],
  ['created_by', 'text collate "C" not null'],
  ['updated_at', 'timestamptz(3) not null'],
  ['updated_by', 'text collate "C" not null'],
  ['owner_id', 'uuid'],
  ['record_type', 'text collate "C"'],
  ['deleted_at', 'timestamptz(3)'],
];

/** The wanted tables of all objects of a set, which must have all its ids, and `physical` all its names. */
export function tableSpecs(set: MetadataSet, physical: PhysicalNames, schema: string): readonly TableSpec[] {
  const isBound = boundFields(set);
  const orders = viewOrders(set);
  return [...set.objects].flatMap(([name, file]) => {
    const own = tableSpec(name, file, set, physical, schema, orders);
    const aside = own.columns.filter((column) => sideOf(column.name) > 0);
    if (aside.length === 0) return [own];
    const ofId = new Map(Object.entries(file.properties).map(([fieldName, field]) => [field['x-id'] ?? '', { fieldName, field }]));
    const misplaced = [...new Set(aside.flatMap((column) => ofId.get(column.fieldId ?? '') ?? []))]
      .filter(({ fieldName, field }) => isBound(file, name, fieldName, field))
      .map(({ fieldName }) => fieldName);
    const columns = own.columns.filter((column) => sideOf(column.name) === 0);
    const indexes = own.indexes.filter((index) => index.columns.every((column) => sideOf(column) === 0));
    return [{ ...own, columns, indexes, misplaced }, ...sideSpecs(own, aside)];
  });
}

function sideSpecs(own: TableSpec, aside: readonly ColumnSpec[]): readonly TableSpec[] {
  const sides = [...new Set(aside.map((column) => sideOf(column.name)))].sort((left, right) => left - right);
  return sides.map((side) => ({
    side,
    objectId: own.objectId,
    objectName: own.objectName,
    table: onSide(own.table, side),
    columns: [{ name: 'id', ddl: 'uuid primary key', fieldId: null }, ...aside.filter((column) => sideOf(column.name) === side)],
    fields: own.fields,
    values: own.values,
    indexes: own.indexes.filter((index) => index.columns.length > 0 && index.columns.every((column) => sideOf(column) === side)),
    foreignKeys: [],
    checks: [],
    exclusion: null,
    misplaced: [],
  }));
}

/** The wanted table of an object, as if all its fields stood in it. `set` must have all its ids, `physical` all its names. */
function tableSpec(objectName: string, file: ObjectFile, set: MetadataSet, physical: PhysicalNames, schema: string, orders: ReadonlySet<string>): TableSpec {
  const objectId = requiredId(file['x-object'].id, objectName);
  const table = nameOf(physical, objectId);
  const on = ident(schema, table).text;
  const columns: ColumnSpec[] = SYSTEM_COLUMNS.map(([name, ddl]) => ({ name, ddl, fieldId: null }));
  const indexes: IndexSpec[] = [
    { name: `${table}_created`, isUnique: false, ddl: `on ${on} (created_at, id)`, fieldIds: [], columns: [], what: 'time of creation' },
    { name: `${table}_updated`, isUnique: false, ddl: `on ${on} (updated_at, id)`, fieldIds: [], columns: [], what: 'time of change' },
    { name: `${table}_owner`, isUnique: false, ddl: `on ${on} (owner_id)`, fieldIds: [], columns: [], what: 'owner' },
    { name: `${table}_trash`, isUnique: false, ddl: `on ${on} (deleted_at) where deleted_at is not null`, fieldIds: [], columns: [], what: 'trash' },
  ];
  const foreignKeys: ForeignKeySpec[] = [
    { name: `${table}_owner_f`, column: 'owner_id', target: ident(schema, 'app_user').text, fieldId: null, fieldName: 'ownerId' },
  ];
  const checks: CheckSpec[] = [];
  const required = new Set(file.required ?? []);
  for (const [fieldName, field] of Object.entries(file.properties)) addField(fieldName, field);
  for (const fields of file['x-unique'] ?? []) addUnique(fields);
  const stored = new Set(columns.flatMap((column) => column.fieldId ?? [])).size;
  return {
    side: 0,
    misplaced: [],
    fields: stored,
    values: SYSTEM_COLUMNS.length + Object.values(file.properties).reduce((sum, field) => sum + (fieldKind(field) === 'polymorphic' ? 2 : 1), 0),
    objectId,
    objectName,
    table,
    columns,
    indexes,
    foreignKeys,
    checks,
    exclusion: exclusionSpec(table, file, physical),
  };

  function addField(fieldName: string, field: FieldSchema): void {
    const kind = fieldKind(field);
    const type = storedType(field);
    if (type === null || type.column === null) return;
    const fieldId = requiredId(field['x-id'], `${objectName}.${fieldName}`);
    const column = nameOf(physical, fieldId);
    columns.push({ name: column, ddl: type.column.ddl, fieldId });
    if (kind === 'polymorphic') columns.push({ name: objectColumnOf(column), ddl: 'text collate "C"', fieldId });
    if (type.sortable) columns.push({ name: `${column}_s`, ddl: 'text collate "C"', fieldId });
    if (required.has(fieldName)) {
      const ddl = `check (deleted_at is not null or ${ident(column).text} is not null)`;
      checks.push({ name: `${table}_${column}_r`, column, ddl, fieldId, fieldName });
    }
    const target = targetTable(field, set, physical, schema);
    if (target !== null) foreignKeys.push({ name: `${table}_${column}_f`, column, target, fieldId, fieldName });
    const index = (suffix: string, isUnique: boolean, rest: string): number =>
      indexes.push({
        name: `${table}_${column}_${suffix}`,
        isUnique,
        ddl: `on ${ident(schema, tableOfColumn(table, column)).text} ${rest}`,
        fieldIds: [fieldId],
        columns: [column],
        what: fieldName,
      });
    const quoted = ident(column).text;
    const isUnique = field['x-unique'] === true || kind === 'sequence';
    const isOrder = orders.has(`${objectName}.${fieldName}`) && mayBeOrdered(field);
    if (isUnique) index('u', true, `(${quoted}) where deleted_at is null`);
    if (field['x-ref'] !== undefined || kind === 'file') index('x', false, `(${quoted})`);
    else if (field['x-index'] === true || (isOrder && !type.sortable))
      index('x', false, type.column.cast === 'text[]' || type.column.cast === 'jsonb' ? `using gin (${quoted})` : `(${quoted}, id)`);
    if (type.sortable && (isOrder || (field['x-index'] === true && kind !== 'picklist'))) index('o', false, `(${ident(`${column}_s`).text}, id)`);
  }

  function addUnique(fields: readonly string[]): void {
    const ids = fields.flatMap((name) => file.properties[name]?.['x-id'] ?? []);
    const columns = ids.map((id) => nameOf(physical, id));
    const list = columns.map((column) => ident(column).text).join(', ');
    const key = createHash('sha256').update(columns.join()).digest('hex').slice(0, 10);
    if (ids.length > 0)
      indexes.push({
        name: `${table}_${key}_u`,
        isUnique: true,
        ddl: `on ${on} (${list}) where deleted_at is null`,
        fieldIds: ids,
        columns,
        what: fields.join(' + '),
      });
  }
}

/** A key's empty part stands for itself, as it does for people. */
const EMPTY_PARTS: Readonly<Record<string, string>> = { uuid: `'00000000-0000-0000-0000-000000000000'::uuid`, text: `''` };

function exclusionSpec(table: string, file: ObjectFile, physical: PhysicalNames): ExclusionSpec | null {
  const dated = file['x-effective'];
  if (dated === undefined) return null;
  const column = (name: string): string => nameOf(physical, requiredId(file.properties[name]?.['x-id'], name));
  const key = dated.key.map((name) => {
    const field = file.properties[name];
    const empty = field === undefined ? undefined : EMPTY_PARTS[storedType(field)?.column?.cast ?? ''];
    return { column: column(name), empty: empty ?? null };
  });
  const parts = key.map((part) => (part.empty === null ? ident(part.column).text : `(coalesce(${ident(part.column).text}, ${part.empty}))`));
  const [from, through] = [column(dated.from), column(dated.through)];
  const columns = [...dated.key.map(column), from, through];
  const range = `daterange(${ident(from).text}, ${ident(through).text} + 1, '[)')`;
  const hash = createHash('sha256').update(columns.join()).digest('hex').slice(0, 10);
  const ddl = `exclude using gist (${parts.map((part) => `${part} with =`).join(', ')}, (${range}) with &&) where (deleted_at is null and ${ident(from).text} is not null)`;
  return { name: `${table}_${hash}_e`, ddl, key, from, through, columns };
}

function targetTable(field: FieldSchema, set: MetadataSet, physical: PhysicalNames, schema: string): string | null {
  if (field.format === 'file') return ident(schema, 'file').text;
  const to = field['x-ref']?.to;
  if (typeof to !== 'string') return null;
  if (to === USER_OBJECT) return ident(schema, 'app_user').text;
  const target = set.objects.get(to);
  return target === undefined ? null : ident(schema, nameOf(physical, requiredId(target['x-object'].id, to))).text;
}

function nameOf(physical: PhysicalNames, id: string): string {
  return requiredId(physical.get(id)?.physical, `The physical name of ${id}`);
}
