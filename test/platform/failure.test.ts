import { expect } from 'chai';
import { sqlState } from '../../src/platform/db.ts';
import { AppError } from '../../src/platform/errors.ts';
import { describeFailure, type Failure } from '../../src/platform/failure.ts';
import { run, sql, type Sql } from '../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../support/database.ts';

const PERSON = 'Ada - Byron 1815 "AB" ada@practice.example';

describe('what may be said of a failure', () => {
  let test: TestDatabase;
  /** States whose message itself quotes what was sent. */
  const telling: unknown[] = [];
  before(async () => {
    test = await makeTestDatabase();
    await test.db.raw(`create table credenza.person (
      name text primary key, born date, age integer constraint grown check (age > 17), card varchar(5), boss text references credenza.person, kind text not null default 'x')`);
    await test.db.raw(`create function credenza.refuse() returns trigger language plpgsql as $$ begin raise exception 'Not %', new.name; end $$`);
    await test.db.raw(`create trigger refuse before update on credenza.person for each row execute function credenza.refuse()`);
    await run(test.db, sql`insert into credenza.person (name) values (${PERSON})`);
  });
  after(() => test.drop());

  async function failing(statement: Sql): Promise<Failure> {
    try {
      await run(test.db, statement);
    } catch (error) {
      if (String(error).includes('Ada')) telling.push(sqlState(error));
      return describeFailure(error);
    }
    throw new Error('It worked.');
  }

  const cases: readonly (readonly [string, Sql, RegExp])[] = [
    ['22P02', sql`select ${PERSON}::text::uuid`, /^SQLSTATE 22P02/],
    ['22007', sql`insert into credenza.person (name, born) values (${PERSON}, ${PERSON}::text::date)`, /^SQLSTATE 22007/],
    ['22001', sql`insert into credenza.person (name, card) values ('x', ${PERSON})`, /^SQLSTATE 22001/],
    ['23505', sql`insert into credenza.person (name) values (${PERSON})`, /unique constraint "person_pkey".*table person/],
    ['23514', sql`insert into credenza.person (name, age) values (${`${PERSON}2`}, 3)`, /check constraint "grown".*table person/],
    ['23502', sql`insert into credenza.person (name, kind) values (${`${PERSON}3`}, null)`, /column "kind" of relation "person"/],
    ['23503', sql`insert into credenza.person (name, boss) values (${`${PERSON}4`}, 'nobody')`, /"person_boss_fkey"/],
    ['P0001', sql`update credenza.person set age = 20 where name = ${PERSON}`, /^SQLSTATE P0001/],
    ['42703', sql`select nothing from credenza.person where name = ${PERSON}`, /column "nothing" does not exist/],
    ['42601', sql`select ${PERSON} from where`, /^SQLSTATE 42601/],
  ];
  for (const [state, statement, says] of cases) {
    it(`of a statement that the database refuses with ${state}: the state and the names of our own things, no value`, async () => {
      const failure = await failing(statement);
      expect(failure.code).to.equal(state);
      expect(failure.message).to.match(says);
      for (const part of ['Ada', 'Byron', '1815', 'AB', 'practice.example', 'credenza.']) expect(failure.message).not.to.contain(part);
    });
  }

  it('is less than the database says', () => {
    expect(telling).to.deep.equal(['22P02', '22007', 'P0001']);
  });

  it('of an error of our own: its words', () => {
    expect(describeFailure(new AppError('rule_failed', 'The order cannot be packed.'))).to.deep.equal({
      code: 'rule_failed',
      message: 'The order cannot be packed.',
    });
  });

  it('of any other error: its kind and its words without what they quote', () => {
    const parsed = ((): unknown => {
      try {
        return JSON.parse('{"name": Ada}');
      } catch (error) {
        return error;
      }
    })();
    expect(describeFailure(parsed)).to.have.property('code', 'SyntaxError');
    expect(describeFailure(parsed).message).not.to.contain('Ada');
    const values = new RangeError(`Not a day: ${PERSON}`);
    expect(describeFailure(values)).to.deep.equal({ code: 'RangeError', message: 'Not a day: (not shown)' });
    expect(describeFailure(new Error('ada@practice.example, born 18151210, is "Ada" or `Byron`')).message).to.equal(
      '(address), born (number), is (not shown) or (not shown)',
    );
    expect(describeFailure(new TypeError("Cannot read properties of undefined (reading 'row')")).message).to.contain("reading 'row'");
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED', syscall: 'connect' });
    expect(describeFailure(refused)).to.deep.equal({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:5432' });
    expect(describeFailure('Ada')).to.deep.equal({ code: 'unknown', message: 'string' });
  });
});
