import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTransaction, toRfc3339 } from '../../../src/platform/db.ts';
import { plainDecimal, toDecimal } from '../../../src/platform/expression/decimal.ts';
import { LANGUAGE_FORMS } from '../../../src/platform/expression/forms.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileValueSql } from '../../../src/platform/expression/to-sql.sql.ts';
import type { ExprType } from '../../../src/platform/expression/types.ts';
import { packageRoot } from '../../../src/platform/root.ts';
import { ident, rows, sql, type Sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { sqlContext } from './clinic-schema.ts';
import { BOOK, FUNCTIONS, SCHEMA, checkExample, createSample, referenceText, sampleContext } from './sample-world.ts';

const EXAMPLES = [...LANGUAGE_FORMS.flatMap((form) => form.examples), ...[...FUNCTIONS.values()].flatMap((entry) => entry.examples)];

/** What PostgreSQL writes as JSON, as the JavaScript closure gives it. */
function fromJson(type: ExprType, value: unknown): unknown {
  if (Array.isArray(value) && type.kind === 'list') return value.map((item) => fromJson(type.of, item));
  if (type.kind === 'number') {
    const number = toDecimal(value);
    return number === null ? null : plainDecimal(number);
  }
  return type.kind === 'instant' && typeof value === 'string' ? toRfc3339(value) : value;
}

describe('docs/expressions.md', () => {
  it('is what the tables in the code say', () => {
    const written = readFileSync(join(packageRoot(), 'docs', 'expressions.md'), 'utf8');
    expect(written === referenceText(), 'Write it anew: npx tsx test/platform/expression/write-reference.ts').to.equal(true);
  });

  it('tells of every function its arguments, its result, when it is null and whether SQL can run it', () => {
    const written = readFileSync(join(packageRoot(), 'docs', 'expressions.md'), 'utf8');
    for (const entry of FUNCTIONS.values()) {
      expect(written).to.contain(`### ${entry.name}\n`);
      expect(written).to.contain(entry.description);
      expect(entry.description, entry.name).to.match(/^[^a-z].*[.)]$/su);
    }
  });
});

describe('examples of the reference', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase();
    await inTransaction(database.db, createSample);
  });

  after(async () => {
    await database.drop();
  });

  it('give in JavaScript the result that stands beside them', () => {
    for (const example of EXAMPLES) {
      expect(compileJs(checkExample(example), SCHEMA)(BOOK, sampleContext(example)), example.text).to.deep.equal(example.result);
    }
    process.stdout.write(`      ${String(EXAMPLES.length)} examples of ${String(FUNCTIONS.size)} functions and ${String(LANGUAGE_FORMS.length)} forms\n`);
  });

  it('give in SQL the same, or say that they cannot run there', async () => {
    const context = { ...sqlContext(), calendarTable: ident('credenza', 'calendar_day') };
    const without: string[] = [];
    for (const example of EXAMPLES) {
      const typed = checkExample(example);
      const statement = (): Sql => compileValueSql(typed, SCHEMA, { alias: 't', context });
      if (typed.sqlObstacle !== null) {
        expect(statement, example.text).to.throw(typed.sqlObstacle);
        without.push(example.text);
        continue;
      }
      const [found] = await rows(database.db, sql`select to_json(${statement()}) as value from ${SCHEMA.table('Book')} t`);
      expect(fromJson(typed.type, found?.['value'] ?? null), example.text).to.deep.equal(example.result);
    }
    process.stdout.write(`      ${String(EXAMPLES.length - without.length)} in SQL, ${String(without.length)} refused there\n`);
    for (const entry of FUNCTIONS.values())
      if (entry.toSql !== undefined) for (const example of entry.examples) expect(without, example.text).not.to.contain(example.text);
  });
});
