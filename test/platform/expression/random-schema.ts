import type { Knex } from 'knex';
import type { Calendars } from '../../../src/platform/calendar/calendars.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { CORE_FUNCTIONS } from '../../../src/platform/expression/functions.ts';
import { sortKey } from '../../../src/platform/expression/sort-key.ts';
import type { EvalContext, ExprField, ExprSchema, ExprType, Row, SqlContext, TypedExpression } from '../../../src/platform/expression/types.ts';
import { ident, joinSql, keyword, run, sql, type Sql } from '../../../src/platform/sql.ts';
import { randomText, SCALARS, type Entropy, type Kind, type Scalar } from './random-expression.ts';
import { LISTS, VALUES } from './random-values.ts';

/** The object that expressions start from. */
export const ROOT = 'Alpha';
/** A schema of two to five objects with tables and rows, made from random numbers. */
export interface World {
  readonly schema: ExprSchema;
  readonly rows: ReadonlyMap<string, readonly Row[]>;
  readonly context: EvalContext;
  readonly sqlContext: SqlContext;
}

interface Column {
  readonly field: ExprField;
  readonly sqlType: string;
}

interface Draft {
  readonly name: string;
  readonly columns: Column[];
  readonly fields: Map<string, ExprField>;
}

const NAMES = ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon'];

function uuid(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
}

/** Number of the first row of an object. */
function firstId(object: string): number {
  return (NAMES.findIndex((name) => name === object) + 1) * 100;
}

/** The typed expression; null when it is too much, which random ones may be. */
export function checkWithinBudget(
  text: string,
  schema: ExprSchema,
  object: string,
  variables: Readonly<Record<string, ExprType>> = {},
): TypedExpression | null {
  try {
    return checkExpression(text, schema, { object, variables });
  } catch (error) {
    if (isAppError(error, 'invalid_expression') && /^too_/.test(error.errors[0]?.code ?? '')) return null;
    throw new Error(`${String(error)}\n${text}`);
  }
}

/** Makes the objects, tables and rows of one world; `name` keeps its tables apart. */
export async function makeWorld(tx: Knex.Transaction, name: string, entropy: Entropy, calendars: Calendars, rowCount: number): Promise<World> {
  const objects = new Map<string, Draft>();
  const table = (object: string): Sql => ident('credenza', `${name}_${object.toLowerCase()}`);
  const schema: ExprSchema = {
    object: (object) => objects.get(object),
    table,
    policy: () => undefined,
    hasCalendar: (calendar) => calendars.all.has(calendar),
    functions: CORE_FUNCTIONS,
  };

  for (const object of NAMES.slice(0, 2 + entropy.next(4))) objects.set(object, draftOf(object, entropy));
  addReferences([...objects.values()], entropy);
  addFormulas(schema, [...objects.values()], entropy);
  const rows = new Map<string, readonly Row[]>();
  for (const draft of objects.values()) rows.set(draft.name, randomRows(draft, entropy, rowCount));
  for (const draft of objects.values()) await createTable(tx, table(draft.name), draft.columns, rows.get(draft.name) ?? []);
  const context = makeContext(objects, rows, calendars);
  const { now, today, user, subject } = context;
  return { schema, rows, context, sqlContext: { now, today, user, subject, planZone: calendars.planZone, calendarTable: ident('credenza', 'calendar_day') } };
}

const COLUMN_TYPES: Readonly<Record<Scalar, string>> = {
  text: 'text collate "C"',
  number: 'numeric',
  boolean: 'boolean',
  date: 'date',
  instant: 'timestamptz(3)',
  duration: 'text collate "C"',
  uuid: 'uuid',
};

function draftOf(name: string, entropy: Entropy): Draft {
  const columns: Column[] = [{ field: { kind: 'value', name: 'id', type: { kind: 'uuid' }, column: 'id' }, sqlType: 'uuid' }];
  for (const kind of SCALARS) {
    const count = entropy.next(4) - (kind === 'uuid' ? 2 : 0);
    for (let index = 0; index < count; index += 1) {
      const [field, column] = [`${kind}${String(index)}`, `${kind.slice(0, 2)}_${String(index)}_x`];
      const sorts = kind === 'text' && entropy.next(2) === 0 ? { sortColumn: `${column}_s`, ordered: true } : {};
      const sqlType = kind === 'number' && entropy.next(3) === 0 ? 'bigint' : COLUMN_TYPES[kind];
      columns.push({ field: { kind: 'value', name: field, type: { kind }, column, ...sorts }, sqlType });
    }
  }

  for (const of of ['text', 'number'] as const)
    if (entropy.next(3) > 0)
      columns.push({
        field: { kind: 'value', name: `${of}s`, type: { kind: 'list', of: { kind: of } }, column: `${of}_list_x` },
        sqlType: of === 'text' ? 'text[]' : 'numeric[]',
      });
  return { name, columns, fields: new Map(columns.map(({ field }) => [field.name, field])) };
}

/** References in any direction, to the object itself too. */
function addReferences(drafts: readonly Draft[], entropy: Entropy): void {
  for (const [index, draft] of drafts.entries()) {
    const count = index === 0 ? 1 + entropy.next(2) : entropy.next(3);
    for (let reference = 0; reference < count; reference += 1) connect(draft, drafts[entropy.next(drafts.length)] ?? draft, `one${String(reference)}`);
  }

  const [root, second] = drafts;
  if (root !== undefined && second !== undefined) connect(second, root, 'owner');
}

/** A reference and the to-many path back. */
function connect(from: Draft, to: Draft, name: string): void {
  const field: ExprField = { kind: 'one', name, object: to.name, column: `${name}_id` };
  from.columns.push({ field, sqlType: 'uuid' });
  from.fields.set(name, field);
  const inverse = `${from.name.toLowerCase()}s${name}`;
  to.fields.set(inverse, { kind: 'many', name: inverse, object: from.name, via: name });
}

function addFormulas(schema: ExprSchema, drafts: readonly Draft[], entropy: Entropy): void {
  for (const draft of [...drafts].reverse()) {
    for (const kind of [...SCALARS, 'list:text'] satisfies readonly Kind[]) {
      if (kind === 'uuid' || entropy.next(2) === 0) continue;
      const name = `${kind.replace(':', '')}Formula`;
      const type: ExprType = kind === 'list:text' ? { kind: 'list', of: { kind: 'text' } } : { kind };
      const tree = checkWithinBudget(
        randomText(schema, draft.name, kind, entropy, { depth: 2, relations: entropy.next(2) === 0, caller: false }),
        schema,
        draft.name,
      );
      if (tree !== null) draft.fields.set(name, { kind: 'formula', name, type, tree });
    }
  }
}

function randomRows(draft: Draft, entropy: Entropy, count: number): readonly Row[] {
  return Array.from({ length: count }, (_, index) => {
    const row: Record<string, unknown> = { id: uuid(firstId(draft.name) + index), deletedAt: entropy.next(5) === 0 ? '2026-01-01T00:00:00.000Z' : null };
    for (const { field, sqlType } of draft.columns)
      if (field.name !== 'id') row[field.name] = entropy.next(4) === 0 ? null : randomValue(field, sqlType, entropy, count);
    return row;
  });
}

function randomValue(field: ExprField, sqlType: string, entropy: Entropy, count: number): unknown {
  if (field.kind === 'one') return uuid(firstId(field.object) + entropy.next(count));
  if (field.kind !== 'value') return null;
  const values = valuesOf(field.type).filter(
    (value) => sqlType !== 'bigint' || (/^-?\d+$/.test(String(value)) && BigInt.asIntN(64, BigInt(String(value))) === BigInt(String(value))),
  );
  return values[entropy.next(values.length)] ?? null;
}

function valuesOf(type: ExprType): readonly unknown[] {
  const scalar = SCALARS.find((known) => known === (type.kind === 'list' ? type.of.kind : type.kind));
  if (scalar === undefined) return [];
  return type.kind === 'list' ? (LISTS[scalar] ?? []) : VALUES[scalar];
}

interface Stored {
  readonly column: string;
  readonly type: string;
  readonly read: (row: Row) => unknown;
}

async function createTable(tx: Knex.Transaction, table: Sql, columns: readonly Column[], rows: readonly Row[]): Promise<void> {
  const stored = columns.flatMap(({ field, sqlType }): Stored[] => {
    if (field.kind !== 'value' && field.kind !== 'one') return [];
    const own: Stored = { column: field.column, type: sqlType, read: (row) => row[field.name] };
    const sort = field.kind === 'value' ? field.sortColumn : undefined;
    const key = (row: Row): unknown => (typeof row[field.name] === 'string' ? sortKey(String(row[field.name])) : null);
    return sort === undefined ? [own] : [own, { column: sort, type: 'text collate "C"', read: key }];
  });

  const all = [...stored, { column: 'deleted_at', type: 'timestamptz(3)', read: (row: Row) => row['deletedAt'] }];
  await run(tx, sql`create table ${table} (${joinSql(all.map(({ column, type }) => sql`${ident(column)} ${keyword(type)}`))})`);
  const tuples = rows.map((row) => sql`(${joinSql(all.map(({ read, type }) => sql`${read(row)}::${keyword(type.replace(' collate "C"', ''))}`))})`);
  await run(tx, sql`insert into ${table} (${joinSql(all.map(({ column }) => ident(column)))}) values ${joinSql(tuples)}`);
  await run(tx, sql`analyze ${table}`);
}

function makeContext(objects: ReadonlyMap<string, Draft>, rows: ReadonlyMap<string, readonly Row[]>, calendars: Calendars): EvalContext {
  const byId = new Map([...rows].flatMap(([object, members]) => members.map((row) => [`${object} ${String(row['id'])}`, row] as const)));
  const byReference = new Map<string, readonly Row[]>();
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
