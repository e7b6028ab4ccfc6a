import { expect } from 'chai';
import fc from 'fast-check';
import { fillCalendarDays } from '../../../src/platform/calendar/calendar-days.sql.ts';
import { makeCalendars } from '../../../src/platform/calendar/calendars.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { divide, multiply, toDecimal, type Decimal } from '../../../src/platform/expression/decimal.ts';
import { CORE_FUNCTIONS } from '../../../src/platform/expression/functions.ts';
import { JS_OPERATORS, type JsOperators } from '../../../src/platform/expression/js-operators.ts';
import { SQL_FORMS, type SqlForms } from '../../../src/platform/expression/sql-forms.sql.ts';
import { treeOf, type Expr } from '../../../src/platform/expression/tree.ts';
import type { CalendarFile } from '../../../src/platform/metadata/types.ts';
import { sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { askJs, askSql, isSame, makeCases, nodesOf, type Backends, type Case, type Outcome } from './differential-cases.ts';
import { wrongEvaluate, wrongSql } from './wrong-functions.ts';
import { entropyFrom } from './random-expression.ts';
import { makeWorld, ROOT, type World } from './random-schema.ts';

const CASES = Number(process.env['CREDENZA_DIFF_CASES'] ?? 10_000);
const SEED = Number(process.env['CREDENZA_DIFF_SEED'] ?? 20_260_101);
const WORLDS = 16;
const ROWS = 20;
const TRIES = 24;
const PLAN: CalendarFile = {
  name: 'plan',
  zone: 'America/New_York',
  weekdays: [1, 2, 3, 4, 5],
  holidays: ['us-federal'],
  closed: [{ date: '2026-12-24', name: 'Christmas Eve' }],
  open: [{ date: '2026-07-03', name: 'Open' }],
};

/** Both back ends as they are. */
const RIGHT: Backends = { operators: JS_OPERATORS, forms: SQL_FORMS, schema: (schema) => schema };

describe('both back ends of an expression', function () {
  this.timeout(600_000);
  let database: TestDatabase;
  const outcomes: Outcome[] = [];
  const worlds: World[] = [];
  before(async () => {
    database = await makeTestDatabase();
    const calendars = makeCalendars(new Map([['plan', PLAN]]), 'plan');
    await inTransaction(database.db, async (tx) => {
      await fillCalendarDays(tx, calendars);
      for (let index = 0; index < WORLDS; index += 1) {
        const [choices] = fc.sample(fc.array(fc.nat(), { minLength: 6000, maxLength: 6000, size: 'max' }), {
          numRuns: 1,
          seed: SEED + index,
        });
        worlds.push(await makeWorld(tx, `w${String(index)}`, entropyFrom(choices ?? []), calendars, ROWS));
      }
    });
  });

  after(async () => {
    await database.drop();
  });

  it(`give the same answer for ${String(CASES)} random expressions, over ${String(WORLDS)} random schemas and their rows`, async () => {
    const counts = { compared: 0, trues: 0, nulls: 0, redrawn: 0, longest: 0 };
    const wrong: string[] = [];
    const share = Math.ceil(CASES / WORLDS);
    for (const [index, world] of worlds.entries()) {
      const { cases, redrawn } = makeCases(world, share, SEED + 100 + index);
      counts.redrawn += redrawn;
      for (const outcome of await askSql(database.db, cases, RIGHT)) {
        const values = askJs(outcome.item, RIGHT);
        outcomes.push(outcome);
        counts.compared += values.length;
        counts.trues += values.filter((value) => value === true).length;
        counts.nulls += values.filter((value) => value === null).length;
        counts.longest = Math.max(counts.longest, outcome.item.text.length);
        if (isSame(values, outcome.sql)) continue;
        const at = values.findIndex((value, row) => value !== outcome.sql[row]);
        wrong.push(`world ${String(index)}: ${outcome.item.text}
    row ${String(at)} ${JSON.stringify(world.rows.get(ROOT)?.[at])}
    JavaScript ${JSON.stringify(values[at])}, SQL ${JSON.stringify(outcome.sql[at])}`);
      }
    }

    const objects = worlds.reduce((sum, world) => sum + world.rows.size, 0);
    process.stdout.write(
      `      ${String(outcomes.length)} expressions of up to ${String(counts.longest)} characters (seed ${String(SEED)}; ${String(counts.redrawn)} over budget drawn again) over ${String(objects)} objects: ${String(counts.compared)} answers compared, ${String(counts.trues)} true, ${String(counts.nulls)} null; ${String(wrong.length)} expressions differ\n`,
    );
    expect(wrong.slice(0, 5).join('\n')).to.equal('');
    expect(outcomes.length).to.be.at.least(CASES);
    expect(counts.trues).to.be.greaterThan(counts.compared / 25);
    expect(counts.nulls).to.be.greaterThan(counts.compared / 25);
  });

  const cut = (left: Decimal, right: Decimal): Decimal | null => {
    const scaled = multiply(divide(left, right) ?? 0, 1_000_000);
    return scaled === null ? null : divide(typeof scaled === 'number' ? scaled : Math.trunc(Number(scaled.toFixed())), 1_000_000);
  };

  const doubles = (left: Decimal, right: Decimal, compute: (a: number, b: number) => number): Decimal | null =>
    toDecimal(compute(Number(String(left)), Number(String(right))));
  const arithmetic = (wrong: Partial<JsOperators['arithmetic']>): JsOperators => ({ ...JS_OPERATORS, arithmetic: { ...JS_OPERATORS.arithmetic, ...wrong } });
  type Concerns = (node: Expr) => boolean;
  const isArithmetic =
    (operator: string): Concerns =>
    (node) =>
      node.kind === 'arithmetic' && node.operator === operator;
  const isAggregate =
    (operator: string): Concerns =>
    (node) =>
      node.kind === 'aggregate' && node.operator === operator;
  const jsMutants: Readonly<Record<string, readonly [JsOperators, Concerns]>> = {
    'not of null is null': [{ ...JS_OPERATORS, not: (operand) => operand === false }, (node) => node.kind === 'not'],
    'null never equals null': [{ ...JS_OPERATORS, equal: (left, right) => left !== null && JS_OPERATORS.equal(left, right) }, (node) => node.kind === 'equal'],
    'a known text equals nothing': [{ ...JS_OPERATORS, same: (left, right) => typeof right !== 'string' && left === right }, (node) => node.kind === 'equal'],
    '< includes equality': [
      { ...JS_OPERATORS, order: { ...JS_OPERATORS.order, '<': (sign) => sign <= 0 } },
      (node) => node.kind === 'order' && node.operator === '<',
    ],
    'quotients are cut at six places': [arithmetic({ '/': cut }), isArithmetic('/')],
    'remainders have the sign of the divisor': [
      arithmetic({ '%': (left, right) => doubles(left, right, (a, b) => a - b * Math.floor(a / b)) }),
      isArithmetic('%'),
    ],
    'sums are doubles': [arithmetic({ '+': (left, right) => doubles(left, right, (a, b) => a + b) }), isArithmetic('+')],
    'averages of nothing are 0': [{ ...JS_OPERATORS, avg: (values) => (values.length === 0 ? 0 : JS_OPERATORS.avg(values)) }, isAggregate('avg')],
    'the least is the greatest': [{ ...JS_OPERATORS, keeps: { ...JS_OPERATORS.keeps, min: JS_OPERATORS.keeps.max } }, isAggregate('min')],
    'a list has its nulls': [{ ...JS_OPERATORS, isIn: (needle, list) => list.includes(null) || JS_OPERATORS.isIn(needle, list) }, (node) => node.kind === 'in'],
  };

  const sqlMutants: Readonly<Record<string, readonly [SqlForms, Concerns]>> = {
    'not of null is null': [{ ...SQL_FORMS, not: (predicate) => sql`(not ${predicate})` }, (node) => node.kind === 'not'],
    'null never equals null': [{ ...SQL_FORMS, same: (left, right) => sql`(${left} = ${right})` }, (node) => node.kind === 'equal'],
    '< includes equality': [
      { ...SQL_FORMS, order: { ...SQL_FORMS.order, '<': (left, right) => sql`(${left} <= ${right})` } },
      (node) => node.kind === 'order' && node.operator === '<',
    ],
    'quotients are those of PostgreSQL': [
      { ...SQL_FORMS, arithmetic: { ...SQL_FORMS.arithmetic, '/': (left, right) => sql`(${left} / nullif(${right}, 0))` } },
      isArithmetic('/'),
    ],
    'conditions as values keep null': [{ ...SQL_FORMS, exact: (predicate) => predicate }, (node) => node.kind === 'order' || node.kind === 'in'],
    'the sum of nothing is null': [{ ...SQL_FORMS, sum: (from) => sql`(select sum(_g.v) ${from})` }, isAggregate('sum')],
    'averages are those of PostgreSQL': [{ ...SQL_FORMS, avg: (from) => sql`(select avg(_g.v) ${from})` }, isAggregate('avg')],
    'the greatest is the least': [{ ...SQL_FORMS, max: SQL_FORMS.min }, isAggregate('max')],
  };

  async function askWorlds(cases: readonly Case[], backends: Backends): Promise<readonly Outcome[]> {
    const answers: Outcome[] = [];
    for (const world of worlds) {
      const own = cases.filter((item) => item.world === world);
      answers.push(...(await askSql(database.db, own, backends)));
    }
    return answers;
  }

  const concerned = (concerns: Concerns): readonly Outcome[] => outcomes.filter((outcome) => nodesOf(treeOf(outcome.item.typed)).some(concerns)).slice(0, 1200);
  for (const [name, [operators, concerns]] of Object.entries(jsMutants)) {
    it(`catch a wrong JavaScript back end: ${name}`, () => {
      const tried = concerned(concerns);
      const caught = tried.filter((outcome) => !isSame(askJs(outcome.item, { ...RIGHT, operators }), outcome.sql)).length;
      process.stdout.write(`      caught by ${String(caught)} of ${String(tried.length)} expressions that have such a part\n`);
      expect(caught).to.be.greaterThan(0);
    });
  }

  for (const [name, [forms, concerns]] of Object.entries(sqlMutants)) {
    it(`catch a wrong SQL back end: ${name}`, async () => {
      const answers = await askWorlds(
        concerned(concerns).map((outcome) => outcome.item),
        { ...RIGHT, forms },
      );
      const caught = answers.filter((outcome) => !isSame(askJs(outcome.item, RIGHT), outcome.sql)).length;
      process.stdout.write(`      caught by ${String(caught)} of ${String(answers.length)} expressions that have such a part\n`);
      expect(caught).to.be.greaterThan(0);
    });
  }

  it('catch a wrong function of the table, each by itself, in either back end', async () => {
    const callers = new Map<string, readonly Outcome[]>();
    for (const outcome of outcomes)
      for (const key of new Set(nodesOf(treeOf(outcome.item.typed)).flatMap((node) => (node.kind === 'call' ? [node.entry] : []))))
        callers.set(key, [...(callers.get(key) ?? []), outcome]);
    const inBoth = [...CORE_FUNCTIONS].filter(([, entry]) => entry.toSql !== undefined && entry.parameters.length > 0);
    const missed: string[] = [];
    let calls = 0;
    for (const [key, entry] of inBoth) {
      const users = [...(callers.get(key) ?? [])].sort((left, right) => left.item.text.length - right.item.text.length);
      calls += users.length;
      const inJs: Backends = { ...RIGHT, schema: (schema) => ({ ...schema, functions: new Map([...schema.functions, [key, wrongEvaluate(entry)]]) }) };
      if (!users.some((outcome) => !isSame(askJs(outcome.item, inJs), outcome.sql))) missed.push(`${key} in JavaScript (${String(users.length)} users)`);
      const inSql: Backends = { ...RIGHT, schema: (schema) => ({ ...schema, functions: new Map([...schema.functions, [key, wrongSql(entry)]]) }) };
      let isCaught = false;
      for (let from = 0; from < users.length && !isCaught; from += TRIES) {
        const some = users.slice(from, from + TRIES).map((outcome) => outcome.item);
        const answers = await askWorlds(some, inSql);
        isCaught = answers.some((outcome) => !isSame(askJs(outcome.item, RIGHT), outcome.sql));
      }
      if (!isCaught) missed.push(`${key} in SQL (${String(users.length)} users)`);
    }
    process.stdout.write(
      `      ${String(inBoth.length)} functions made wrong in turn in JavaScript and in SQL; they are called by ${String(calls)} expressions; ${String(missed.length)} not caught\n`,
    );
    expect(missed.join('\n')).to.equal('');
    expect(inBoth.length).to.be.greaterThan(80);
  });
});
