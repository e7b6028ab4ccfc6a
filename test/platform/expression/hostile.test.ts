import { expect } from 'chai';
import fc from 'fast-check';
import { isAppError } from '../../../src/platform/errors.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { LANGUAGE_FORMS } from '../../../src/platform/expression/forms.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileFilterSql } from '../../../src/platform/expression/to-sql.sql.ts';
import type { TypedExpression } from '../../../src/platform/expression/types.ts';
import { ident, joinSql, rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNE, clinicSchema, evalContext, sqlContext } from './clinic-schema.ts';
import { BOOK, FUNCTIONS, SCHEMA, sampleContext } from './sample-world.ts';

const SEED = 53;
const RUNS = 10_000;

/** The typed expression, null when it is refused as it should be. */
function checked(text: string): TypedExpression | null {
  try {
    return checkExpression(text, SCHEMA, { object: 'Book' });
  } catch (error) {
    if (!isAppError(error, 'invalid_expression')) throw new Error(`${JSON.stringify(text)}: ${String(error)}`);
    const { line, column, start, end } = error.extra;
    const place = [line, column, start, end].every((number) => typeof number === 'number' && number >= 0);
    if (!place || Number(end) < Number(start) || Number(end) > text.length || error.errors.length !== 1 || error.errors[0]?.code === '')
      throw new Error(`${JSON.stringify(text)} is refused without a place: ${error.message} ${JSON.stringify(error.extra)}`);
    return null;
  }
}

describe('any text whatever (quality.md, rows 51 and 52)', () => {
  const valid = [...LANGUAGE_FORMS.flatMap((form) => form.examples), ...[...FUNCTIONS.values()].flatMap((entry) => entry.examples)].map(({ text }) => text);
  const scraps = [
    '(',
    ')',
    '[',
    ']',
    "'",
    '"',
    '\\',
    '.',
    ',',
    ' && ',
    ' in ',
    '==',
    '!',
    '-',
    '%',
    'null',
    '0x',
    '1e',
    '\0',
    '\uD800',
    '🙂',
    '\n',
    '`',
    'e\u0301',
  ];
  const damaged = fc
    .tuple(
      fc.constantFrom(...valid),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...scraps, ...valid)), {
        minLength: 1,
        maxLength: 4,
      }),
    )
    .map(([text, edits]) =>
      edits.reduce((current, [where, kind, scrap]) => {
        const at = where % (current.length + 1);
        return kind === 0
          ? current.slice(0, at) + scrap + current.slice(at)
          : current.slice(0, at) + (kind === 1 ? '' : scrap) + current.slice(at + 1 + (where % 5));
      }, text),
    );
  const operators = ['==', '!=', '+', '-', '*', '/', '%', '<', '&&', '||', 'in', '? 1 :', ', '];
  const put = ([left, operator, right]: readonly [string, string, string]): string =>
    operator === ', ' ? `coalesce(${left}, ${right})` : `(${left}) ${operator} (${right})`;
  const combined = fc.tuple(fc.constantFrom(...valid), fc.constantFrom(...operators), fc.constantFrom(...valid)).map(put);
  const anything = fc.oneof(
    { weight: 4, arbitrary: damaged },
    { weight: 4, arbitrary: combined },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  );
  it(`is accepted or refused with its place, ${RUNS.toLocaleString('en-US')} times; what is accepted runs`, () => {
    let [accepted, slowest] = [0, 0];
    for (const text of fc.sample(anything, { numRuns: RUNS, seed: SEED })) {
      const start = process.cpuUsage().user;
      const typed = checked(text);
      slowest = Math.max(slowest, (process.cpuUsage().user - start) / 1000);
      if (typed === null) continue;
      accepted += 1;
      compileJs(typed, SCHEMA)(BOOK, sampleContext({ text, result: null, row: {} }));
    }
    process.stdout.write(`      ${String(accepted)} accepted, ${String(RUNS - accepted)} refused; the slowest took ${slowest.toFixed(1)} ms\n`);
    expect(accepted).to.be.greaterThan(RUNS / 20);
    expect(RUNS - accepted).to.be.greaterThan(RUNS / 4);
  }).timeout(120_000);
});

describe('texts that would like to be SQL (quality.md, row 50)', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase();
    await database.db.raw('create schema tenant');
    await database.db.raw('create table tenant.person (id uuid, name_k1 text collate "C", name_s text collate "C", tags_k1 text[])');
  });

  after(async () => {
    await database.drop();
  });

  const schema = clinicSchema();
  const parts = [
    "'",
    "''",
    '"',
    '`',
    ';',
    '--',
    '/*',
    '*/',
    '\\',
    "\\'",
    '$1',
    '$$',
    '?',
    '??',
    ':name',
    '::text',
    '%',
    '_',
    ')',
    '(',
    ' or 1=1',
    ' union select ',
    'E\\x27',
  ];
  const more = ['drop table tenant.person', 'pg_sleep(9)', '\n', '	', '\u2019', '\uFF07', '🙂', 'e\u0301', '{}', '${1}', 'null', '0x27', '', 'x'];
  const payload = fc.array(fc.constantFrom(...parts, ...more), { minLength: 1, maxLength: 6 }).map((found) => found.join(''));
  const literal = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n').replaceAll('	', '\\t')}'`;
  it('stay texts, 5,000 times, as operands of every kind', async () => {
    const payloads = fc.sample(payload, { numRuns: 5000, seed: SEED });
    const forms: readonly ((text: string) => string)[] = [
      (text) => `name == ${text}`,
      (text) => `name.contains(${text})`,
      (text) => `name in [${text}, 'b']`,
      (text) => `tags.exists(t, t.startsWith(${text}))`,
      (text) => `name < ${text}`,
    ];
    const long = (text: string): string => `replace(name, ${text}, '') + ${text} == split(${text}, ${text}).join(${text})`;
    let asked = 0;
    await database.db.transaction(async (tx) => {
      await tx.raw('set local jit = off');
      for (let from = 0; from < payloads.length; from += 50) {
        const some = payloads.slice(from, from + 50);
        await tx.raw('truncate tenant.person');
        const names = some.map((text) => sql`(${ANNE}::uuid, ${text}::text, ${text.toLowerCase()}::text, ${[text]}::text[])`);
        await rows(tx, sql`insert into tenant.person values ${joinSql(names)}`);
        const columns = some.map((text, index) => {
          const form = index % 20 === 19 ? long : (forms[index % forms.length] ?? long);
          const typed = checkExpression(form(literal(text)), schema, { object: 'Person' });
          const answer = compileJs(typed, schema)({ id: ANNE, name: text, tags: [text] }, evalContext()) === true;
          return { filter: compileFilterSql(typed, schema, { alias: 't', context: sqlContext() }), text, answer, isByKey: form === forms[4] };
        });
        const [found] = await rows(
          tx,
          sql`select ${joinSql(columns.map(({ filter, text }, index) => sql`(select bool_or((${filter}) is true) from tenant.person t where t.name_k1 = ${text}::text) as ${ident(`c${String(index)}`)}`))}`,
        );
        for (const [index, { text, answer, isByKey }] of columns.entries()) if (!isByKey) expect(found?.[`c${String(index)}`], text).to.equal(answer);
        asked += columns.length;
      }
    });

    const [table] = await rows(database.db, sql`select count(*)::int as n from tenant.person`);
    expect(table?.['n']).to.equal(50);
    process.stdout.write(`      ${String(asked)} payloads as operands: no error, nothing changed, SQL and JavaScript alike\n`);
  }).timeout(120_000);
});
