import { CORE_FUNCTIONS } from '../../../src/platform/expression/functions.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import type { EvalContext, ExprField, ExprObject, ExprSchema, ExprType, Row, SqlContext } from '../../../src/platform/expression/types.ts';
import { ident, joinSql, keyword, run, sql } from '../../../src/platform/sql.ts';
import type { Calendars } from '../../../src/platform/calendar/calendars.ts';
import type { Knex } from 'knex';
import { randomText, type Entropy } from './random-expression.ts';

/** A schema of three objects with tables and rows, made from random numbers. */
export interface World {
  readonly schema: ExprSchema;
  readonly rows: ReadonlyMap<string, readonly Row[]>;
  readonly context: EvalContext;
  readonly sqlContext: SqlContext;
}

export const ROOT = 'Alpha';
const OBJECTS = ['Gamma', 'Beta', 'Alpha'] as const;
const KINDS = ['text', 'number', 'boolean', 'date', 'instant'] as const;

const VALUES: Readonly<Record<string, readonly unknown[]>> = {
  text: [
    'a',
    'b',
    'A',
    'ab',
    'Straße',
    'é',
    'E',
    '10',
    '2',
    'a%b',
    'a_b',
    '\\',
    '🙂x',
    '\uffee',
    ' x ',
    '2026-01-31',
    '2026-02-30',
    '1.50',
    '-3',
    'P1M',
    'PT36H',
    '-P1Y2D',
    'P2BD',
  ],
  number: [
    0,
    1,
    2,
    3,
    -1,
    7,
    '0.5',
    '2.50',
    '-1.25',
    '0.000000000001',
    '9007199254740993',
    1e15,
    '1e30',
    100,
    -100,
    0.1,
    13,
    '99999999999999999999999999999999999',
  ],
  boolean: [true, false],
  date: [
    '2026-01-31',
    '2026-02-28',
    '2024-02-29',
    '2025-12-31',
    '2026-01-01',
    '2026-07-03',
    '2026-07-04',
    '2026-07-06',
    '0001-01-01',
    '9999-12-31',
    '2014-10-13',
  ],
  instant: [
    '2026-03-08T06:59:59.999Z',
    '2026-03-08T07:00:00.000Z',
    '2026-11-01T05:30:00.000Z',
    '2026-01-01T04:59:59.999Z',
    '2026-01-01T05:00:00.000Z',
    '1999-12-31T23:59:59.001Z',
  ],
  list: [[], ['a'], ['a', 'b'], ['b', 'a', 'é']],
};

function uuid(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
}

interface MutableField {
  readonly field: ExprField;
  readonly sqlType: string;
}

/** Makes the objects, tables and rows of one world; `name` keeps its tables apart. */
export async function makeWorld(tx: Knex.Transaction, name: string, entropy: Entropy, calendars: Calendars, rowCount: number): Promise<World> {
  const objects = new Map<string, { name: string; fields: Map<string, ExprField> }>();
  const tables = (object: string): ReturnType<typeof ident> => ident('credenza', `${name}_${object.toLowerCase()}`);
  const schema: ExprSchema = {
    object: (object): ExprObject | undefined => objects.get(object),
    table: tables,
    policy: () => undefined,
    hasCalendar: (calendar) => calendars.all.has(calendar),
    functions: CORE_FUNCTIONS,
  };
  const columns = new Map<string, MutableField[]>();
  for (const object of OBJECTS) {
    const made = randomFields(entropy);
    if (object === 'Beta') made.push({ field: { kind: 'one', name: 'gamma', object: 'Gamma', column: 'gamma_id' }, sqlType: 'uuid' });
    if (object === 'Alpha') made.push({ field: { kind: 'one', name: 'beta', object: 'Beta', column: 'beta_id' }, sqlType: 'uuid' });
    if (object === 'Gamma') made.push({ field: { kind: 'one', name: 'alpha', object: 'Alpha', column: 'alpha_id' }, sqlType: 'uuid' });
    columns.set(object, made);
    objects.set(object, { name: object, fields: new Map(made.map(({ field }) => [field.name, field])) });
  }
  objects.get('Alpha')?.fields.set('gammas', { kind: 'many', name: 'gammas', object: 'Gamma', via: 'alpha' });
  objects.get('Gamma')?.fields.set('betas', { kind: 'many', name: 'betas', object: 'Beta', via: 'gamma' });
  addFormulas(schema, objects, entropy);
  const rows = new Map<string, readonly Row[]>();
  for (const object of OBJECTS) rows.set(object, randomRows(object, columns.get(object) ?? [], entropy, rowCount));
  for (const object of OBJECTS) await createTable(tx, tables(object), columns.get(object) ?? [], rows.get(object) ?? []);
  const context = makeContext(objects, rows, calendars);
  return {
    schema,
    rows,
    context,
    sqlContext: {
      now: context.now,
      today: context.today,
      user: context.user,
      subject: context.subject,
      planZone: calendars.planZone,
      calendarTable: ident('credenza', 'calendar_day'),
    },
  };
}

function randomFields(entropy: Entropy): MutableField[] {
  const made: MutableField[] = [{ field: { kind: 'value', name: 'id', type: { kind: 'uuid' }, column: 'id' }, sqlType: 'uuid' }];
  for (const kind of KINDS) {
    const count = 1 + entropy.next(3);
    for (let index = 0; index < count; index += 1) {
      const [name, column] = [`${kind}${String(index)}`, `${kind.charAt(0)}_${String(index)}_x`];
      const sorts = kind === 'text' && entropy.next(2) === 0 ? { sortColumn: `${column}_s` } : {};
      const sqlType = {
        text: 'text collate "C"',
        number: entropy.next(3) === 0 ? 'bigint' : 'numeric',
        boolean: 'boolean',
        date: 'date',
        instant: 'timestamptz(3)',
      }[kind];
      made.push({ field: { kind: 'value', name, type: { kind }, column, ...sorts }, sqlType });
    }
  }
  made.push({ field: { kind: 'value', name: 'list0', type: { kind: 'list', of: { kind: 'text' } }, column: 'list_x' }, sqlType: 'text[]' });
  return made;
}

function addFormulas(schema: ExprSchema, objects: ReadonlyMap<string, { fields: Map<string, ExprField> }>, entropy: Entropy): void {
  // Gamma's formulas read Gamma only, Beta's may follow to Gamma, Alpha's to both: no circle.
  for (const object of OBJECTS) {
    for (const kind of KINDS) {
      if (entropy.next(2) === 0) continue;
      const name = `${kind}Formula`;
      const type: ExprType = { kind };
      const tree = checkExpression(randomText(schema, object, kind, entropy, { depth: 2, relations: object === 'Alpha', caller: false }), schema, { object });
      objects.get(object)?.fields.set(name, { kind: 'formula', name, type, tree });
    }
  }
}

function randomRows(object: string, fields: readonly MutableField[], entropy: Entropy, count: number): readonly Row[] {
  const base = { Gamma: 300, Beta: 200, Alpha: 100 }[object] ?? 0;
  return Array.from({ length: count }, (_, index) => {
    const row: Record<string, unknown> = { id: uuid(base + index), deletedAt: entropy.next(5) === 0 ? '2026-01-01T00:00:00.000Z' : null };
    for (const { field, sqlType } of fields)
      if (field.name !== 'id') row[field.name] = entropy.next(4) === 0 ? null : randomValue(field, sqlType, entropy, count);
    return row;
  });
}

function randomValue(field: ExprField, sqlType: string, entropy: Entropy, count: number): unknown {
  if (field.kind === 'one') return uuid(({ Gamma: 300, Beta: 200, Alpha: 100 }[field.object] ?? 0) + entropy.next(count));
  if (field.kind !== 'value') return null;
  const values = (VALUES[field.type.kind] ?? []).filter(
    (value) => sqlType !== 'bigint' || (Number.isInteger(Number(value)) && Math.abs(Number(value)) < 2 ** 62),
  );
  return values[entropy.next(values.length)] ?? null;
}

async function createTable(tx: Knex.Transaction, table: ReturnType<typeof ident>, fields: readonly MutableField[], rows: readonly Row[]): Promise<void> {
  const sorted = fields.flatMap(({ field, sqlType }) => {
    if (field.kind !== 'value' && field.kind !== 'one') return [];
    const own = { column: field.column, type: sqlType, read: (row: Row): unknown => row[field.name] };
    const sort = field.kind === 'value' ? field.sortColumn : undefined;
    const key = (row: Row): unknown => (typeof row[field.name] === 'string' ? sortKey(String(row[field.name])) : null);
    return sort === undefined ? [own] : [own, { column: sort, type: 'text collate "C"', read: key }];
  });
  const all = [...sorted, { column: 'deleted_at', type: 'timestamptz(3)', read: (row: Row): unknown => row['deletedAt'] }];
  await run(tx, sql`create table ${table} (${joinSql(all.map(({ column, type }) => sql`${ident(column)} ${keyword(type)}`))})`);
  const tuples = rows.map((row) => sql`(${joinSql(all.map(({ read, type }) => sql`${read(row)}::${keyword(type.replace(' collate "C"', ''))}`))})`);
  await run(tx, sql`insert into ${table} (${joinSql(all.map(({ column }) => ident(column)))}) values ${joinSql(tuples)}`);
  await run(tx, sql`analyze ${table}`);
}

function makeContext(
  objects: ReadonlyMap<string, { fields: ReadonlyMap<string, ExprField> }>,
  rows: ReadonlyMap<string, readonly Row[]>,
  calendars: Calendars,
): EvalContext {
  const byId = new Map([...rows].flatMap(([object, members]) => members.map((row) => [`${object} ${String(row['id'])}`, row] as const)));
  const byReference = new Map<string, Row[]>();
  for (const [object, { fields }] of objects) {
    for (const field of fields.values()) {
      if (field.kind !== 'one') continue;
      for (const row of rows.get(object) ?? []) {
        if (row['deletedAt'] !== null) continue;
        const key = `${object}.${field.name} ${String(row[field.name])}`;
        byReference.set(key, [...(byReference.get(key) ?? []), row]);
      }
    }
  }
  return {
    now: '2026-06-30T22:15:00.000Z',
    today: '2026-06-30',
    user: uuid(101),
    subject: null,
    one: (object, id) => byId.get(`${object} ${id}`) ?? null,
    many: (object, via, id) => byReference.get(`${object}.${via} ${id}`) ?? [],
    policy: () => null,
    calendars,
  };
}
