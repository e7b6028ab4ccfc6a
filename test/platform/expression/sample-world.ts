import type { Knex } from 'knex';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { fillCalendarDays } from '../../../src/platform/calendar/calendar-days.sql.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { CORE_FUNCTIONS } from '../../../src/platform/expression/functions.ts';
import { expressionReference } from '../../../src/platform/expression/reference.ts';
import type {
  EvalContext,
  ExprField,
  ExprObject,
  ExprSchema,
  ExprType,
  FunctionExample,
  FunctionTable,
  Row,
  TypedExpression,
} from '../../../src/platform/expression/types.ts';
import { ident, joinSql, keyword, run, sql } from '../../../src/platform/sql.ts';
import { evalContext, planCalendars } from './clinic-schema.ts';

/** The functions that expressions of the product may call. */
export const FUNCTIONS: FunctionTable = new Map([...CORE_FUNCTIONS, ...(EXTENSIONS.functions ?? [])]);
const id = (number: number): string => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
const ROWS: Readonly<Record<string, readonly Row[]>> = {
  Country: [],
  Author: [{ id: id(20), name: 'Ida Pfeiffer', country: null }],
  Book: [
    {
      id: id(1),
      title: 'Sea and Sky',
      subtitle: null,
      status: 'lent',
      pages: 320,
      price: '19.99',
      boughtOn: '2026-01-31',
      loanTime: 'P3M',
      tags: ['sea', 'travel'],
      author: id(20),
    },
  ],
  Loan: [
    { id: id(30), book: id(1), reader: 'Ben', lentOn: '2026-03-02', returnedOn: '2026-04-01', fee: '2.50' },
    { id: id(31), book: id(1), reader: 'Ada', lentOn: '2026-05-01', returnedOn: '2026-05-20', fee: null },
    { id: id(32), book: id(1), reader: 'Ben', lentOn: '2026-06-01', returnedOn: null, fee: '0.75' },
  ],
};

const SAMPLE = `The examples look at this book, at its author and its three loans. It is 2026-06-30T22:15:00Z; the calendar \`plan\` is that of an office in
New York, open from 9 to 17 on weekdays without the federal holidays.

| Field | Kind | Value |
|---|---|---|
| title, subtitle, status | text | 'Sea and Sky' (sortable), null, 'lent' |
| pages, price | number | 320, 19.99 |
| boughtOn, loanTime | date, duration | 2026-01-31, P3M |
| tags | list of text | ['sea', 'travel'] |
| author | reference | name 'Ida Pfeiffer', country null |
| loans | related records | reader, lentOn, returnedOn, fee: Ben, 2026-03-02, 2026-04-01, 2.50; Ada, 2026-05-01, 2026-05-20, null; Ben, 2026-06-01, null, 0.75 |`;
const HEAD = `# Expressions

The language of conditions and formulas: filters, row rules, checks, formulas, guards, rules, policies. CEL syntax with total semantics:
no value of a record makes an expression fail, and the same expression means the same in JavaScript and in SQL.
This page is made from the tables in the code; a test runs every example in both. Write it anew with
\`npx tsx test/platform/expression/write-reference.ts\`. [How it works](../src/platform/expression/README.md).`;

type Column = readonly [ExprField, string];

function value(name: string, type: ExprType, sqlType: string, isSortable = false): Column {
  return [
    { kind: 'value', name, type, column: name.toLowerCase(), ...(isSortable ? { sortColumn: `${name.toLowerCase()}_sort`, ordered: true } : {}) },
    sqlType,
  ];
}

function reference(name: string, object: string): Column {
  return [{ kind: 'one', name, object, column: name }, 'uuid'];
}

const TEXT: ExprType = { kind: 'text' };
const FIELDS: Readonly<Record<string, readonly Column[]>> = {
  Country: [value('name', TEXT, 'text')],
  Author: [value('name', TEXT, 'text'), reference('country', 'Country')],
  Book: [
    value('title', TEXT, 'text', true),
    value('subtitle', TEXT, 'text'),
    value('status', TEXT, 'text'),
    value('pages', { kind: 'number' }, 'integer'),
    value('price', { kind: 'number' }, 'numeric'),
    value('boughtOn', { kind: 'date' }, 'date'),
    value('loanTime', { kind: 'duration' }, 'text'),
    value('tags', { kind: 'list', of: TEXT }, 'text[]'),
    reference('author', 'Author'),
  ],
  Loan: [
    reference('book', 'Book'),
    value('reader', TEXT, 'text'),
    value('lentOn', { kind: 'date' }, 'date'),
    value('returnedOn', { kind: 'date' }, 'date'),
    value('fee', { kind: 'number' }, 'numeric'),
  ],
};

/** A lending library. */
export const SCHEMA: ExprSchema = {
  object: (name) => OBJECTS.get(name),
  table: (name: string) => ident('credenza', `sample_${name.toLowerCase()}`),
  policy: (name) => (name === 'loan-time' ? { keys: undefined, object: 'Book', results: { time: { kind: 'duration' } } } : undefined),
  hasCalendar: (name) => name === 'plan',
  functions: FUNCTIONS,
};

const OBJECTS: ReadonlyMap<string, ExprObject> = new Map(
  Object.entries(FIELDS).map(([name, fields]): [string, ExprObject] => {
    const own: ExprField = { kind: 'value', name: 'id', type: { kind: 'uuid' }, column: 'id' };
    const many: readonly ExprField[] = name === 'Book' ? [{ kind: 'many', name: 'loans', object: 'Loan', via: 'book' }] : [];
    return [name, { name, fields: new Map([own, ...fields.map(([field]) => field), ...many].map((field) => [field.name, field])) }];
  }),
);

/** The record that the examples look at. */
export const BOOK: Row = ROWS['Book']?.[0] ?? {};

/** The context of an example, with the columns of its row. */
export function sampleContext(example: FunctionExample): EvalContext {
  return evalContext({
    one: (object, key) => ROWS[object]?.find((row) => row['id'] === key) ?? null,
    many: (object, via, key) => (ROWS[object] ?? []).filter((row) => row[via] === key),
    policy: () => ({ time: 'P1M' }),
    ...(example.row === undefined ? {} : { variables: { row: new Map(Object.entries(example.row)) } }),
  });
}

/** Checks an example against the library. */
export function checkExample(example: FunctionExample): TypedExpression {
  return checkExpression(example.text, SCHEMA, { object: 'Book' });
}

/** The whole of docs/expressions.md. */
export function referenceText(): string {
  const text = expressionReference(FUNCTIONS, SAMPLE, (example) => {
    const { type } = checkExample(example);
    return type.kind === 'list' ? type.of.kind : type.kind;
  });
  return `${HEAD}\n\n${text}`;
}

/** Makes the tables and rows of the library. */
export async function createSample(tx: Knex.Transaction): Promise<void> {
  await fillCalendarDays(tx, planCalendars());
  for (const [object, fields] of Object.entries(FIELDS)) {
    const columns = fields.flatMap(([field, type]) => {
      if (field.kind !== 'value' && field.kind !== 'one') return [];
      return [{ name: field.name, column: field.column, type }];
    });

    const table = SCHEMA.table(object);
    await run(
      tx,
      sql`create table ${table} (id uuid, deleted_at timestamptz, title_sort text, ${joinSql(columns.map(({ column, type }) => sql`${ident(column)} ${keyword(type)}`))})`,
    );
    for (const row of ROWS[object] ?? []) {
      const values = columns.map(({ name, type }) => sql`${row[name] ?? null}::${keyword(type)}`);
      await run(
        tx,
        sql`insert into ${table} (id, title_sort, ${joinSql(columns.map(({ column }) => ident(column)))}) values (${row['id']}::uuid, ${String(row['title'] ?? '').toLowerCase()}::text, ${joinSql(values)})`,
      );
    }
  }
}
