import { expect } from 'chai';
import { rowArrays, ready, run, sql } from '../../src/platform/sql.ts';
import { makeTestDatabase, openTestPool, type TestDatabase } from '../support/database.ts';

const COLUMNS = `1::int as a, 12345678901234::bigint as b, 1.50::numeric as c, true as d, 'x'::text as e, null::text as f, '2027-01-02'::date as g,
  '2027-01-02T03:04:05Z'::timestamptz as h, array['a', null]::text[] as i, '{"k": [1]}'::jsonb as j, '00000000-0000-7000-8000-000000000001'::uuid as k`;

describe('prepared statements', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase({ poolSize: 2 });
    await run(database.db, sql`create table kept (id int primary key, note text)`);
  });
  after(() => database.drop());

  it('answer as statements without a name do, when they run first, again, in a transaction and side by side', async () => {
    const { db } = database;
    const named = ready(`select ${COLUMNS} where ?::int[] is not null`, 'prepared_test_columns');
    const expected = await rowArrays(db, ready(named.text), [[1, 2]]);
    expect(expected[0]).to.have.length(11);
    for (let time = 0; time < 3; time += 1) expect(await rowArrays(db, named, [[1, null]])).to.deep.equal(expected);
    expect(await rowArrays(db, named, [null])).to.deep.equal([]);
    expect(await db.transaction((tx) => rowArrays(tx, named, [[1]]))).to.deep.equal(expected);
    const many = await Promise.all(Array.from({ length: 20 }, (_, index) => rowArrays(db, named, [index % 2 === 0 ? [index] : null])));
    many.forEach((answer, index) => expect(answer).to.deep.equal(index % 2 === 0 ? expected : []));
  });

  it('write what they are given, and leave the connection in order when they fail', async () => {
    const { db } = database;
    const insert = ready('insert into kept (id, note) values (?::int, ?) returning note', 'prepared_test_insert');
    for (const note of ["it's", '', 'ü😀', null]) expect(await rowArrays(db, insert, [note === null ? 9 : note.length, note])).to.deep.equal([[note]]);
    for (let time = 0; time < 3; time += 1) {
      const failed = await rowArrays(db, insert, [0, 'again']).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failed).to.include({ code: '23505' });
    }
    expect(await rowArrays(db, insert, [7, 'seven'])).to.deep.equal([['seven']]);
    const broken = ready('select nothing from kept', 'prepared_test_broken');
    for (let time = 0; time < 2; time += 1) {
      const failed = await rowArrays(db, broken, []).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failed).to.include({ code: '42703' });
    }
  });

  it('refuse a name that another text has, and columns that are no longer those of the first run', async () => {
    const { db } = database;
    await rowArrays(db, ready('select note from kept', 'prepared_test_name'), []);
    const one = await makeTestDatabase({ poolSize: 1 });
    try {
      await run(one.db, sql`create table kept (id int)`);
      const whole = ready('select * from kept', 'prepared_test_star');
      expect(await rowArrays(one.db, whole, [])).to.deep.equal([]);
      const other = await rowArrays(one.db, ready('select 1', 'prepared_test_star'), []).then(String, String);
      expect(other).to.equal('Error: Two statements are named prepared_test_star.');
      await run(one.db, sql`alter table kept add column more text`);
      expect(await rowArrays(one.db, whole, []).then(String, String)).to.contain('cached plan must not change result type');
      expect(await rowArrays(one.db, ready('select 2 as n', 'prepared_test_after'), [])).to.deep.equal([[2]]);
      await run(one.db, sql`drop table kept`);
      await run(one.db, sql`create table kept (flag boolean)`);
      await run(one.db, sql`insert into kept values (true)`);
      const fresh = openTestPool(one.url);
      try {
        expect(await rowArrays(fresh, whole, []), 'a connection of its own reads what it is told').to.deep.equal([[true]]);
      } finally {
        await fresh.destroy();
      }
    } finally {
      await one.drop();
    }
  });
});
