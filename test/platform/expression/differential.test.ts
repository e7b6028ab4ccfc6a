import { expect } from 'chai';
import fc from 'fast-check';
import type { Knex } from 'knex';
import { makeCalendars } from '../../../src/platform/calendar/calendars.ts';
import { fillCalendarDays } from '../../../src/platform/calendar/calendar-days.sql.ts';
import { inTransaction, toRfc3339 } from '../../../src/platform/db.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { toDecimal, plainDecimal, multiply, divide } from '../../../src/platform/expression/decimal.ts';
import { JS_OPERATORS, type JsOperators } from '../../../src/platform/expression/js-operators.ts';
import { SQL_FORMS, type SqlForms } from '../../../src/platform/expression/sql-forms.sql.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileFilterSql, compileValueSql } from '../../../src/platform/expression/to-sql.sql.ts';
import type { TypedExpression } from '../../../src/platform/expression/types.ts';
import type { CalendarFile } from '../../../src/platform/metadata/types.ts';
import { ident, joinSql, rows, run, sql, type Sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { entropyFrom, randomText, type Kind } from './random-expression.ts';
import { makeWorld, ROOT, type World } from './random-schema.ts';

const CASES = Number(process.env['CREDENZA_DIFF_CASES'] ?? 10_000);
const SEED = Number(process.env['CREDENZA_DIFF_SEED'] ?? 20_260_101);
const WORLDS = 8;
const ROWS = 24;
const BATCH = 40;
const VARIABLES = { user: { kind: 'uuid' }, subject: { kind: 'uuid' } } as const;

const PLAN: CalendarFile = {
  name: 'plan',
  zone: 'America/New_York',
  weekdays: [1, 2, 3, 4, 5],
  holidays: ['us-federal'],
  closed: [{ date: '2026-12-24', name: 'Christmas Eve' }],
  open: [{ date: '2026-07-03', name: 'Open' }],
};

let database: TestDatabase;

interface Case {
  readonly world: World;
  readonly text: string;
  readonly typed: TypedExpression;
  /** A filter is compiled for WHERE; a value is compared exactly, null included. */
  readonly isFilter: boolean;
}

interface Outcome {
  readonly item: Case;
  /** By row, in the order of the world's rows. */
  readonly sql: readonly unknown[];
}

/** The SQL of one case as text, or as a boolean for filters. */
function columnOf(item: Case, forms: SqlForms): Sql {
  const options = { alias: 't', context: item.world.sqlContext, forms };
  if (item.isFilter) return sql`(${compileFilterSql(item.typed, item.world.schema, options)}) is true`;
  const value = compileValueSql(item.typed, item.world.schema, options);
  switch (item.typed.type.kind) {
    case 'number':
      return sql`trim_scale(${value})::text`;
    case 'list':
      return sql`array_to_json(${value})::text`;
    default:
      return sql`(${value})::text`;
  }
}

/** What the driver gives, as the JavaScript closure would give it. */
function fromSql(item: Case, value: unknown): unknown {
  if (item.isFilter || typeof value !== 'string') return value;
  switch (item.typed.type.kind) {
    case 'number': {
      const number = toDecimal(value);
      return number === null ? null : plainDecimal(number);
    }
    case 'instant':
      return toRfc3339(value);
    case 'boolean':
      return value === 'true';
    default:
      return value;
  }
}

function fromJs(item: Case, operators: JsOperators): readonly unknown[] {
  const closure = compileJs(item.typed, item.world.schema, operators);
  return (item.world.rows.get(ROOT) ?? []).map((row) => {
    const value = closure(row, item.world.context);
    if (item.isFilter) return value === true;
    return Array.isArray(value) ? JSON.stringify(value) : value;
  });
}

/** The answers of SQL to some cases of one world; an error names the expression that caused it. */
async function askBatch(db: Knex, batch: readonly Case[], forms: SqlForms): Promise<readonly Outcome[]> {
  const [first] = batch;
  if (first === undefined) return [];
  const columns = batch.map((item, index) => sql`${columnOf(item, forms)} as ${ident(`c${String(index)}`)}`);
  try {
    const found = await rows(db, sql`select ${joinSql(columns)} from ${first.world.schema.table(ROOT)} t order by t.id`);
    return batch.map((item, index) => ({ item, sql: found.map((row) => fromSql(item, row[`c${String(index)}`])) }));
  } catch (error) {
    throw new Error((await guiltyOf(batch, forms)) || String(error).slice(-300));
  }
}

/** Which expressions of a failed batch fail by themselves; on another connection, for this transaction is lost. */
async function guiltyOf(batch: readonly Case[], forms: SqlForms): Promise<string> {
  const found: string[] = [];
  for (const item of batch) {
    await rows(database.db, sql`select ${columnOf(item, forms)} as c from ${item.world.schema.table(ROOT)} t`).catch((error: unknown) => {
      found.push(`SQL failed (${String(error).split(' - ').at(-1) ?? ''}) for: ${item.text}`);
    });
  }
  return found.join('\n');
}

async function askSql(db: Knex, cases: readonly Case[], forms: SqlForms): Promise<readonly Outcome[]> {
  return inTransaction(db, async (tx) => {
    // Compiling such statements to machine code takes a hundred times as long as running them over a few rows.
    await run(tx, sql`set local jit = off`);
    const outcomes: Outcome[] = [];
    for (let from = 0; from < cases.length; from += BATCH) outcomes.push(...(await askBatch(tx, cases.slice(from, from + BATCH), forms)));
    return outcomes;
  });
}

function isSame(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

function makeCases(world: World, count: number, seed: number): readonly Case[] {
  const kinds: readonly Kind[] = ['boolean', 'boolean', 'boolean', 'boolean', 'number', 'number', 'text', 'date', 'instant', 'list'];
  const numbers = fc.array(fc.nat(), { minLength: 120, maxLength: 120, size: 'max' });
  return fc.sample(fc.tuple(fc.constantFrom(...kinds), numbers), { numRuns: count, seed }).map(([kind, choices]) => {
    const text = randomText(world.schema, ROOT, kind, entropyFrom(choices), { depth: 4, relations: true, caller: true });
    const typed = checkExpression(text, world.schema, { object: ROOT, variables: VARIABLES });
    return { world, text, typed, isFilter: kind === 'boolean' && (choices[0] ?? 0) % 3 > 0 };
  });
}

describe('both back ends of an expression', function () {
  this.timeout(240_000);
  const outcomes: Outcome[] = [];
  const worlds: World[] = [];

  before(async () => {
    database = await makeTestDatabase();
    const calendars = makeCalendars(new Map([['plan', PLAN]]), 'plan');
    await inTransaction(database.db, async (tx) => {
      await fillCalendarDays(tx, calendars);
      for (let index = 0; index < WORLDS; index += 1) {
        const [choices] = fc.sample(fc.array(fc.nat(), { minLength: 4000, maxLength: 4000, size: 'max' }), { numRuns: 1, seed: SEED + index });
        worlds.push(await makeWorld(tx, `w${String(index)}`, entropyFrom(choices ?? []), calendars, ROWS));
      }
    });
  });

  after(async () => {
    await database.drop();
  });

  it(`give the same answer for ${String(CASES)} random expressions, over random schemas and rows with nulls`, async () => {
    let compared = 0;
    let trues = 0;
    let nulls = 0;
    const wrong: string[] = [];
    const share = Math.ceil(CASES / WORLDS);
    for (const [index, world] of worlds.entries()) {
      for (const outcome of await askSql(database.db, makeCases(world, share, SEED + 100 + index), SQL_FORMS)) {
        const values = fromJs(outcome.item, JS_OPERATORS);
        outcomes.push(outcome);
        compared += values.length;
        trues += values.filter((value) => value === true).length;
        nulls += values.filter((value) => value === null).length;
        if (isSame(values, outcome.sql)) continue;
        const at = values.findIndex((value, row) => value !== outcome.sql[row]);
        wrong.push(
          `${outcome.item.text}\n    row ${String(at)} ${JSON.stringify(world.rows.get(ROOT)?.[at])}\n    JavaScript ${JSON.stringify(values[at])}, SQL ${JSON.stringify(outcome.sql[at])}`,
        );
      }
    }
    process.stdout.write(
      `      ${String(outcomes.length)} expressions (seed ${String(SEED)}), ${String(compared)} answers compared: ${String(trues)} true, ${String(nulls)} null; ${String(wrong.length)} differ\n`,
    );
    expect(wrong.slice(0, 5).join('\n')).to.equal('');
    expect(outcomes.length).to.be.at.least(CASES);
    expect(trues).to.be.greaterThan(compared / 20);
    expect(nulls).to.be.greaterThan(compared / 20);
  });

  const cut = (left: Parameters<typeof divide>[0], right: Parameters<typeof divide>[0]): ReturnType<typeof divide> => {
    const scaled = multiply(divide(left, right) ?? 0, 1_000_000);
    return scaled === null ? null : divide(typeof scaled === 'number' ? scaled : Math.trunc(Number(scaled.toFixed())), 1_000_000);
  };
  const jsMutants: Readonly<Record<string, JsOperators>> = {
    'not of null is null': { ...JS_OPERATORS, not: (operand) => operand === false },
    'null never equals null': { ...JS_OPERATORS, equal: (left, right) => left !== null && JS_OPERATORS.equal(left, right) },
    '< includes equality': { ...JS_OPERATORS, order: { ...JS_OPERATORS.order, '<': (sign) => sign <= 0 } },
    'quotients are cut at six places': { ...JS_OPERATORS, arithmetic: { ...JS_OPERATORS.arithmetic, '/': cut } },
    'sums are doubles': {
      ...JS_OPERATORS,
      arithmetic: { ...JS_OPERATORS.arithmetic, '+': (left, right) => toDecimal(Number(String(left)) + Number(String(right))) },
    },
  };
  const sqlMutants: Readonly<Record<string, SqlForms>> = {
    'not of null is null': { ...SQL_FORMS, not: (predicate) => sql`(not ${predicate})` },
    'null never equals null': { ...SQL_FORMS, same: (left, right) => sql`(${left} = ${right})` },
    '< includes equality': { ...SQL_FORMS, order: { ...SQL_FORMS.order, '<': (left, right) => sql`(${left} <= ${right})` } },
    'quotients are those of PostgreSQL': { ...SQL_FORMS, arithmetic: { ...SQL_FORMS.arithmetic, '/': (left, right) => sql`(${left} / nullif(${right}, 0))` } },
    'conditions as values keep null': { ...SQL_FORMS, exact: (predicate) => predicate },
  };

  for (const [name, operators] of Object.entries(jsMutants)) {
    it(`catch a wrong JavaScript back end: ${name}`, () => {
      const caught = outcomes.filter((outcome) => !isSame(fromJs(outcome.item, operators), outcome.sql)).length;
      process.stdout.write(`      caught by ${String(caught)} of ${String(outcomes.length)} expressions\n`);
      expect(caught).to.be.greaterThan(0);
    });
  }

  for (const [name, forms] of Object.entries(sqlMutants)) {
    it(`catch a wrong SQL back end: ${name}`, async () => {
      const sample = outcomes.slice(0, 1600).map((outcome) => outcome.item);
      const mutated = await askSql(
        database.db,
        sample.filter((item) => item.world === worlds[0]),
        forms,
      );
      const caught = mutated.filter((outcome) => !isSame(fromJs(outcome.item, JS_OPERATORS), outcome.sql)).length;
      process.stdout.write(`      caught by ${String(caught)} of ${String(mutated.length)} expressions\n`);
      expect(caught).to.be.greaterThan(0);
    });
  }
});
