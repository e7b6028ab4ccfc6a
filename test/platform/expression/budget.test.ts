import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { BUDGET } from '../../../src/platform/expression/budget.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { LIMITS } from '../../../src/platform/expression/source.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileFilterSql, compileValueSql } from '../../../src/platform/expression/to-sql.sql.ts';
import type { ExprSchema } from '../../../src/platform/expression/types.ts';
import { MAX_LIST } from '../../../src/platform/expression/work.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNE, TEAM, clinicSchema, evalContext, sqlContext } from './clinic-schema.ts';

const schema = clinicSchema();

/** Processor time of the quickest of three runs. */
function processorMs(work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run += 1) {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
}

/** The code of the refusal, or `accepted`. */
function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (!isAppError(error, 'invalid_expression')) throw error;
    const [finding] = error.errors;
    expect(finding?.fix, error.message).to.match(/\w/);
    return finding?.code ?? '';
  }
  return 'accepted';
}

function nested(open: string, inner: string, close: string, times: number): string {
  return open.repeat(times) + inner + close.repeat(times);
}

/** Questions about badges in one another. */
function badgesWithin(depth: number): string {
  let text = 'true';
  for (let level = depth; level >= 1; level -= 1) text = `${level === 1 ? '' : `b${String(level - 1)}.person.`}badges.exists(b${String(level)}, ${text})`;
  return text;
}

const tooMuch: readonly (readonly [string, string, string])[] = [
  ['8,001 characters', `name == '${'a'.repeat(LIMITS.characters)}'`, 'too_long'],
  [
    '1,000 terms of ||',
    Array.from({ length: 1000 }, (_, index) => `size==${String(index % 10)}`)
      .join('||')
      .slice(0, 7998),
    'too_large',
  ],
  ['brackets 60 deep', `${nested('(', '1', ')', 60)} == 1`, 'too_deep'],
  ['calls 60 deep', `${nested('abs(', 'size', ')', 60)} > 1`, 'too_deep'],
  ['a chain of 150 sums', `size${' + 1'.repeat(150)} > 1`, 'too_deep'],
  ['a chain of 300 texts', `name${" + 'a'".repeat(300)} == 'x'`, 'too_deep'],
  ['a list of 1,001 elements', `size in [${Array.from({ length: 1001 }, () => '1').join(',')}]`, 'list_too_long'],
  ['13 values for a function', `min(${Array.from({ length: 13 }, () => '1').join(',')}) == 1`, 'arguments'],
  ['41 questions about related records', Array.from({ length: BUDGET.relations + 1 }, () => 'badges.count()').join(' + '), 'too_many_relations'],
  ['5 of them in one another', badgesWithin(BUDGET.relationDepth + 1), 'too_many_relations'],
  ['lists 3 deep in one another', 'tags.all(a, tags.all(b, tags.all(c, a == b && b == c)))', 'too_many_lists'],
  ['a text grown by replacing, 40 times', `${nested('replace(', 'name', ", 'a', 'aa')", 40)} == 'x'`, 'too_costly'],
  ['padding to 100,000 characters, 40 times', `${nested('padLeft(', "'x'", ", 100000, 'abc')", 40)} == 'x'`, 'too_costly'],
  ['each part of a text put into another', "split(left(name, 2900), ',').map(p, replace(subject, 'x', p)).size() == 0", 'too_costly'],
];

describe('what is too much for an expression (quality.md, rows 53 and 65)', () => {
  for (const [name, text, code] of tooMuch) {
    it(`is refused within 100 ms: ${name}`, () => {
      expect(codeOf(() => checkExpression(text, schema, { object: 'Person' }))).to.equal(code);
      const ms = processorMs(() => codeOf(() => checkExpression(text, schema, { object: 'Person' })));
      process.stdout.write(`      ${code}, ${ms.toFixed(1)} ms\n`);
      expect(ms).to.be.at.most(100);
    });
  }

  it('counts the formulas that it uses', () => {
    const fields = new Map(schema.object('Person')?.fields);
    const grown: ExprSchema = { ...schema, object: (name: string) => (name === 'Person' ? { name, fields } : schema.object(name)) };
    let level = 0;
    const grow = (): string =>
      codeOf(() => {
        const start = level === 0 ? 'size' : `f${String(level)}`;
        const tree = checkExpression(`${start} + ${start} + badges.count()`, grown, { object: 'Person' });
        level += 1;
        fields.set(`f${String(level)}`, { kind: 'formula', name: `f${String(level)}`, type: { kind: 'number' }, tree });
      });
    let answer = grow();
    while (answer === 'accepted') answer = grow();
    expect(answer).to.equal('too_many_relations');
    expect(level).to.equal(5);
  });
});

describe('what is just within the limits', () => {
  const long = 'ab,'.repeat(40_000);
  const badges = Array.from({ length: 150 }, (_, index) => ({ id: `${String(index).padStart(3, '0')}`, person: ANNE, points: index }));
  const person = { id: ANNE, name: long, subject: 'x'.repeat(99_000), size: 3, tags: ['a', 'b'], team: TEAM };
  const context = evalContext({ one: (object) => (object === 'Person' ? person : null), many: () => badges });
  const listOf1000 = `[${Array.from({ length: MAX_LIST }, (_, index) => String(index % 10)).join(',')}]`;
  const costly: readonly (readonly [string, string])[] = [
    ['a text put to itself 40 times', nested('(subject + ', 'subject', ')', 40)],
    ['a text that is not grown, replaced 40 times', `${nested('replace(', 'name', ", 'a', 'b')", 40)} == 'x'`],
    ['a text grown by replacing, 8 times', `${nested('replace(', 'name', ", 'a', 'aa')", 8)} == 'x'`],
    ['a text of 100,000 replaced by another at each place', "replace(replace(subject, 'x', name), 'a', name) == 'x'"],
    ['a text split and joined 40 times', `${nested('split(left(', 'subject', ", 90000), '-').join('')", 20)} == 'x'`],
    ['a list of 1,000 against itself', "split(left(name, 2990), ',').all(a, split(left(name, 2990), ',').all(b, a == b || size(a) == size(b)))"],
    ['parts of a text against a long text', "split(left(name, 2900), ',').map(p, replace(subject, p, '')).size() == 0"],
    ['150 records, four deep in one another', badgesWithin(4).replace('true', 'b1.points * b2.points == -1')],
    ['padding to 100,000 characters, 9 times', nested('padLeft(', "'x'", ", 100000, 'abc')", 9)],
  ];
  for (const [name, text] of costly) {
    it(`answers within a blink or says that it is too costly: ${name}`, () => {
      const run = compileJs(checkExpression(text, schema, { object: 'Person' }), schema);
      const answer = codeOf(() => run(person, context));
      const ms = processorMs(() => codeOf(() => run(person, context)));
      process.stdout.write(`      ${answer}, ${ms.toFixed(0)} ms\n`);
      expect(answer).to.be.oneOf(['accepted', 'too_costly']);
      expect(ms).to.be.at.most(200);
    });
  }
  describe('on PostgreSQL', () => {
    let database: TestDatabase;
    before(async () => {
      database = await makeTestDatabase();
      await database.db.raw('create schema tenant');
      await database.db.raw(
        'create table tenant.person (id uuid primary key, team_id uuid, size_k1 numeric, name_k1 text collate "C", tags_k1 text[], dueon_k1 date, deleted_at timestamptz)',
      );
      await database.db.raw('create table tenant.badge (id uuid primary key, person_id uuid, points_k1 numeric, deleted_at timestamptz)');
      await database.db.raw(`insert into tenant.person values ('${ANNE}', null, 3, 'a', '{a,b}', '2026-01-31')`);
      await database.db.raw(`insert into tenant.badge select gen_random_uuid(), '${ANNE}', i from generate_series(1, 20) i`);
    });

    after(async () => {
      await database.drop();
    });

    const widest: readonly (readonly [string, string])[] = [
      ['240 terms of ||', Array.from({ length: 240 }, (_, index) => `size == ${String(index)}`).join(' || ')],
      ['a chain of 98 sums', `size${' + 1'.repeat(97)} > 1`],
      ['a chain of 98 quotients', `size${' / 3'.repeat(97)} > 1`],
      ['a chain of 98 texts', `name${" + 'a'".repeat(97)} == 'x'`],
      ['months added 46 times', `${nested('addMonths(', 'dueOn', ', 1)', 46)} == null`],
      ['durations added 20 times', `addDuration(dueOn, ${nested('addDuration(', 'duration(name)', ", 'P1M')", 20)}) == null`],
      ['40 questions about related records', `${Array.from({ length: 40 }, () => 'badges.count(b, b.points > 1)').join(' + ')} > 1`],
      ['4 of them in one another', badgesWithin(4)],
      ['a list of 1,000 elements', `size in ${listOf1000}`],
    ];
    for (const [name, text] of widest) {
      it(`is planned and run: ${name}`, async () => {
        const typed = checkExpression(text, schema, { object: 'Person' });
        const options = { alias: 't', context: sqlContext() };
        const found = await database.db.transaction(async (tx) => {
          await tx.raw("set local statement_timeout = '20s'");
          return rows(
            tx,
            sql`select (${compileFilterSql(typed, schema, options)}) is true as filter, ${compileValueSql(typed, schema, options)} as value from tenant.person t`,
          );
        });
        expect(found).to.have.length(1);
        expect(found[0]?.['filter']).to.equal(found[0]?.['value'] === true);
      });
    }
  });
});
