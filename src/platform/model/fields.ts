import { pointerToken } from '../metadata/kinds.ts';
import type { FieldSchema, MetadataSet, ObjectFile, PathFile, ValueSetFile } from '../metadata/types.ts';
import { FIELD_TYPES, fieldKind, objectColumnOf, storedType, valueKind } from './field-types.ts';
import type { PhysicalNames } from './physical.ts';
import type { FieldKind, FieldModel } from './types.ts';
import { mayBeOrdered, viewOrders } from './view-orders.ts';

const BLANK = {
  help: null,
  sortColumn: null,
  objectColumn: null,
  system: false,
  readOnly: false,
  required: false,
  unique: false,
  indexed: false,
  ordered: false,
  searchable: false,
  sensitive: null,
  values: null,
  ref: null,
  formula: null,
  rollup: null,
  defaultValue: null,
  sequence: null,
  minLength: null,
  maxLength: null,
  minimum: null,
  maximum: null,
} as const;

/** Name of the object that stands for the people who sign in. */
export const USER_OBJECT = 'User';

function system(name: string, label: string, kind: FieldKind, column: string, more: Partial<FieldModel> = {}): FieldModel {
  return { ...BLANK, id: name, name, label, kind, valueKind: kind, column, system: true, readOnly: true, ...more };
}

/** The fields that every object has. The owner is the only one that callers may set. */
export function systemFields(): readonly FieldModel[] {
  return [
    system('id', 'Id', 'reference', 'id', { required: true, unique: true, indexed: true, ordered: true }),
    system('version', 'Version', 'integer', 'version', { required: true }),
    system('createdAt', 'Created', 'instant', 'created_at', { required: true, indexed: true, ordered: true }),
    system('createdBy', 'Created by', 'text', 'created_by', { required: true }),
    system('updatedAt', 'Updated', 'instant', 'updated_at', { required: true, indexed: true, ordered: true }),
    system('updatedBy', 'Updated by', 'text', 'updated_by', { required: true }),
    system('ownerId', 'Owner', 'reference', 'owner_id', { readOnly: false, indexed: true, ref: { to: [USER_OBJECT], as: null, onDelete: 'clear' } }),
    system('deletedAt', 'Deleted', 'instant', 'deleted_at'),
  ];
}

const USER_STATUS: ValueSetFile = {
  name: 'user-status',
  values: [
    { code: 'invited', label: 'Invited' },
    { code: 'active', label: 'Active' },
    { code: 'suspended', label: 'Suspended' },
  ],
};

/** The fields of the built-in object of users (table `app_user`). */
export function userFields(): readonly FieldModel[] {
  const own = (name: string, label: string, kind: FieldKind, more: Partial<FieldModel> = {}): FieldModel => ({
    ...BLANK,
    id: `user.${name}`,
    name,
    label,
    kind,
    valueKind: kind,
    column: name,
    readOnly: true,
    required: true,
    ...more,
  });
  return [
    ...systemFields(),
    own('email', 'E-mail', 'email', { sortColumn: 'email_s', unique: true, indexed: true, searchable: true }),
    own('name', 'Name', 'text', { sortColumn: 'name_s', searchable: true }),
    own('status', 'Status', 'picklist', { values: USER_STATUS }),
    own('permissionSets', 'Permission sets', 'textList', { column: 'permission_sets' }),
  ];
}

/** Words for a camelCase name: `expiresOn` becomes `Expires on`. */
export function wordsOf(name: string): string {
  const words = name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The fields of an object file, before its expressions are compiled. */
export function ownFields(objectName: string, file: ObjectFile, set: MetadataSet, path: PathFile | undefined, physical: PhysicalNames): readonly FieldModel[] {
  const required = new Set(file.required ?? []);
  const searched = new Set(file['x-object'].search ?? []);
  const orders = viewOrders(set);
  return Object.entries(file.properties).map(([name, schema]): FieldModel => {
    const isState = path?.field === name;
    const kind = fieldKind(schema);
    return {
      ...BLANK,
      ...wordsFor(name, schema),
      ...kindsOf(schema, kind, isState),
      ...columnsOf(schema, kind, physical),
      ...constraintsOf(schema, kind),
      id: schema['x-id'] ?? '',
      name,
      readOnly: kind === 'formula' || kind === 'rollup' || kind === 'sequence' || isState,
      required: required.has(name),
      ordered: isOrdered(schema, kind, orders.has(`${objectName}.${name}`)),
      searchable: schema['x-search'] === true || searched.has(name),
      sensitive: schema['x-sensitive'] ?? null,
      values: valuesOf(objectName, schema, set, isState ? path : undefined),
      ref: refOf(schema['x-ref']),
      sequence: schema['x-sequence'] ?? null,
    };
  });
}

function wordsFor(name: string, schema: FieldSchema): Pick<FieldModel, 'label' | 'help'> {
  return { label: schema['x-label'] ?? schema.title ?? wordsOf(name), help: schema['x-help'] ?? schema.description ?? null };
}

/** A path keeps its state in a picklist, also where the field has no value set of its own. */
function kindsOf(schema: FieldSchema, kind: FieldKind, isState: boolean): Pick<FieldModel, 'kind' | 'valueKind'> {
  if (isState && kind === 'text') return { kind: 'picklist', valueKind: 'picklist' };
  return { kind, valueKind: kind === 'sequence' ? 'text' : valueKind(schema) };
}

function columnsOf(schema: FieldSchema, kind: FieldKind, physical: PhysicalNames): Pick<FieldModel, 'column' | 'sortColumn' | 'objectColumn'> {
  const names = physical.get(schema['x-id'] ?? '');
  const type = storedType(schema);
  if (type === null || names === undefined) return { column: null, sortColumn: null, objectColumn: null };
  return {
    column: names.physical,
    sortColumn: type.sortable ? names.sortPhysical : null,
    objectColumn: kind === 'polymorphic' ? objectColumnOf(names.physical) : null,
  };
}

function constraintsOf(schema: FieldSchema, kind: FieldKind): Pick<FieldModel, 'unique' | 'indexed' | 'minLength' | 'maxLength' | 'minimum' | 'maximum'> {
  const unique = schema['x-unique'] === true || kind === 'sequence';
  return {
    unique,
    indexed: unique || schema['x-index'] === true || schema['x-ref'] !== undefined,
    minLength: schema.minLength ?? null,
    maxLength: schema.maxLength ?? FIELD_TYPES[kind].maxLength,
    minimum: schema.minimum ?? null,
    maximum: schema.maximum ?? null,
  };
}

/** As the indexes of `table-spec.ts` are made. */
function isOrdered(schema: FieldSchema, kind: FieldKind, byView: boolean): boolean {
  const type = storedType(schema);
  if (type === null || (byView && mayBeOrdered(schema))) return type !== null;
  return schema['x-index'] === true && (!type.sortable || kind !== 'picklist');
}

function refOf(ref: FieldSchema['x-ref']): FieldModel['ref'] {
  return ref === undefined ? null : { to: typeof ref.to === 'string' ? [ref.to] : ref.to, as: ref.as ?? null, onDelete: ref.onDelete ?? 'restrict' };
}

/** A picklist's values; a path's state field without a value set of its own takes the path's states. */
function valuesOf(objectName: string, schema: FieldSchema, set: MetadataSet, path: PathFile | undefined): ValueSetFile | null {
  if (schema['x-values'] !== undefined) return set.valueSets.get(schema['x-values']) ?? null;
  if (path === undefined) return null;
  return { name: `${objectName}-${path.field}`, values: path.states.map((state) => ({ code: state.name, label: state.label })) };
}

/** Pointer to a field inside an object file. */
export function fieldPointer(name: string, rest = ''): string {
  return `/properties${pointerToken(name)}${rest}`;
}
