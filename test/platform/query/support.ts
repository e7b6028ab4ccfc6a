import type { Knex } from 'knex';
import type { CallContext, Principal } from '../../../src/platform/access/types.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import type { FieldSchema, MetadataSet, ObjectFile, PermissionFile } from '../../../src/platform/metadata/types.ts';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import { compileModel } from '../../../src/platform/model/compile.ts';
import { fieldType } from '../../../src/platform/model/field-types.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import type { Model, ObjectModel } from '../../../src/platform/model/types.ts';
import { openSearchFields } from '../../../src/platform/access/search-fields.ts';
import { searchKeys } from '../../../src/platform/query/search-key.ts';
import { ident, joinSql, keyword, run, sql } from '../../../src/platform/sql.ts';
import { TEST_SCHEMA } from '../../support/database.ts';

export const ANNA = '00000000-0000-7000-8000-0000000000a1';
export const BERT = '00000000-0000-7000-8000-0000000000b2';

/** An id that is easy to read in a failing test. */
export function id(number: number): string {
  return `00000000-0000-7000-9000-${String(number).padStart(12, '0')}`;
}

function object(plural: string, name: string, properties: Readonly<Record<string, FieldSchema>>, required: readonly string[]): ObjectFile {
  return { title: plural, type: 'object', 'x-object': { plural, name, sharing: 'private' }, properties, required };
}

/** Two levels of objects with every way of hiding something. */
export function smallSet(permissions: readonly PermissionFile[]): MetadataSet {
  const objects: Record<string, ObjectFile> = {
    Shop: object(
      'Shops',
      '{name} ({city})',
      {
        name: { type: 'string', maxLength: 80, 'x-search': true },
        city: { type: 'string', maxLength: 80 },
        stage: { type: 'string', 'x-values': 'stage' },
        code: { type: 'string', 'x-search': true },
        turnover: { type: 'number', format: 'money' },
        secret: { type: 'string', 'x-sensitive': 'restricted' },
        rank: { type: 'integer' },
        opened: { type: 'string', format: 'date' },
        tags: { type: 'array', items: { type: 'string' } },
        isOpen: { type: 'boolean' },
        seen: { type: 'string', format: 'date-time' },
        note: { type: 'string', format: 'multiline' },
        half: { type: 'number', 'x-formula': 'turnover / 2' },
        hint: { type: 'string', 'x-formula': "secret + '!'" },
      },
      ['name'],
    ),
    Order: object(
      'Orders',
      '{number} of {shop}',
      {
        number: { type: 'string', maxLength: 40, 'x-search': true },
        shop: { type: 'string', format: 'uuid', 'x-ref': { to: 'Shop', as: 'orders' } },
        amount: { type: 'number', format: 'decimal' },
        margin: { type: 'number', format: 'decimal', 'x-sensitive': 'restricted' },
        shopCity: { type: 'string', 'x-formula': 'shop.city' },
        about: { type: 'string', format: 'uuid', 'x-ref': { to: ['Shop', 'Secretum'], as: 'mentions' } },
      },
      ['number'],
    ),
    Secretum: object(
      'Secreta',
      '{text}',
      { text: { type: 'string', 'x-search': true }, shop: { type: 'string', format: 'uuid', 'x-ref': { to: 'Shop', as: 'secreta' } } },
      ['text'],
    ),
  };
  const stage = { name: 'stage', values: ['new', 'won', 'lost'].map((code) => ({ code, label: code.toUpperCase() })) };
  return completeIds({
    ...emptySet(),
    objects: new Map(Object.entries(objects)),
    valueSets: new Map([['stage', stage]]),
    permissions: new Map(permissions.map((file) => [file.name, file])),
  });
}

/** The small Model with the given permission sets. */
export function smallModel(permissions: readonly PermissionFile[], from: MetadataSet = smallSet(permissions)): Model {
  const set: MetadataSet = { ...from, permissions: completeIds({ ...from, permissions: new Map(permissions.map((file) => [file.name, file])) }).permissions };
  return compileModel({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: TEST_SCHEMA, extensions: {} });
}

export function staffSet(name: string, objects: NonNullable<PermissionFile['objects']>): PermissionFile {
  return { name, label: name, audience: 'staff', objects };
}

export function context(model: Model, principal: Principal): CallContext {
  return { principal, model, now: '2026-03-01T12:00:00.000Z', today: '2026-03-01', cause: { kind: 'command', name: 'test' }, newId: () => id(999_999) };
}

export function user(model: Model, sets: readonly string[], userId: string = ANNA): CallContext {
  return context(model, { kind: 'user', userId, permissionSets: sets, email: 'anna@example.org', name: 'Anna' });
}

export function system(model: Model): CallContext {
  return context(model, { kind: 'system', name: 'test' });
}

/** Tables as the Model says, without constraints: reading needs none. */
export async function createTables(db: Knex, model: Model): Promise<void> {
  for (const entry of model.objects.values()) {
    if (entry.builtin) continue;
    const columns = [...entry.fields.values()].flatMap((field) => [
      ...(field.column === null
        ? []
        : [sql`${ident(field.column)} ${keyword(field.name === 'version' ? 'integer' : (fieldType(field).column?.ddl ?? 'text'))}`]),
      ...(field.sortColumn === null ? [] : [sql`${ident(field.sortColumn)} text collate "C"`]),
      ...(field.objectColumn === null ? [] : [sql`${ident(field.objectColumn)} text collate "C"`]),
    ]);
    await run(db, sql`create table ${ident(TEST_SCHEMA, entry.table)} (${joinSql(columns)}, primary key (id))`);
  }
}

/** Inserts a record and its search entry. */
export async function insert(db: Knex, model: Model, objectName: string, values: Readonly<Record<string, unknown>>): Promise<void> {
  const entry = model.objects.get(objectName);
  if (entry === undefined) throw new Error(`No object ${objectName}`);
  const all: Record<string, unknown> = {
    version: 1,
    createdAt: '2026-01-01T00:00:00Z',
    createdBy: 'system:test',
    updatedAt: '2026-01-01T00:00:00Z',
    updatedBy: 'system:test',
    ...values,
  };
  const cells = [...entry.fields.values()].flatMap((field) => {
    const value = all[field.name];
    if (field.column === null || value === undefined) return [];
    const cast = keyword(`::${fieldType(field).column?.cast ?? 'text'}`);
    return [
      { column: field.column, value: field.objectColumn === null ? sql`${value}${cast}` : sql`${partOf(value, 'id')}::uuid` },
      ...(field.sortColumn === null ? [] : [{ column: field.sortColumn, value: sql`${value === null ? null : sortKey(String(value))}::text` }]),
      ...(field.objectColumn === null ? [] : [{ column: field.objectColumn, value: sql`${partOf(value, 'object')}::text` }]),
    ];
  });
  await run(
    db,
    sql`insert into ${ident(TEST_SCHEMA, entry.table)} (${joinSql(cells.map((cell) => ident(cell.column)))}) values (${joinSql(cells.map((cell) => cell.value))})`,
  );
  const keys = searchKeysOf(entry, all);
  if (keys !== '') {
    await run(
      db,
      sql`insert into ${ident(TEST_SCHEMA, 'search_entry')} (object, record_id, class, keys) values (${objectName}, ${all['id']}::uuid, 'open', ${keys})`,
    );
  }
}

function partOf(value: unknown, name: 'id' | 'object'): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const part: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  return typeof part === 'string' ? part : null;
}

function searchKeysOf(entry: ObjectModel, values: Readonly<Record<string, unknown>>): string {
  return searchKeys(openSearchFields(entry).map((name) => (typeof values[name] === 'string' ? values[name] : null)));
}
