import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { MOST_NAMES } from '../../src/platform/prepared.ts';
import { getRecord, listRecords } from '../../src/platform/query/list.ts';
import { runRecurring } from '../../src/platform/query/recurring.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import { keyword, ready, rowArrays, rows, run, sql } from '../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../support/database.ts';
import { preparedNames } from '../support/prepared-names.ts';
import { objectFile, setOf } from './schema/builders.ts';
import { changed, makeWorld, withField } from './schema/world.ts';

const SIZE = 3;
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

describe('names of prepared statements', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeTestDatabase({ poolSize: SIZE });
  });
  after(() => database.drop());

  const most = async (db = database.db): Promise<number> => Math.max(...(await preparedNames(db, SIZE)).map((names) => names.length));

  it('are given back after 10,000 texts, outside of transactions and in them, and each is answered as it should be', async () => {
    const { db } = database;
    for (const block of numbers(100)) {
      const answers = await Promise.all(
        numbers(100).map(async (entry) => {
          const number = block * 100 + entry;
          const text = `select ${String(number)} as n, ?::text as t`;
          const name = `names_test_${String(number)}`;
          if (number % 3 === 0) return (await rowArrays(db, ready(text, name), ['a']))[0]?.[0];
          return inTransaction(db, async (tx) => {
            if (number % 3 === 1) return (await rowArrays(tx, ready(text, name), ['a']))[0]?.[0];
            return (await rows(tx, sql`select ${keyword(String(number))} as n, ${'a'}::text as t`, { name }))[0]?.['n'];
          });
        }),
      );
      expect(answers).to.deep.equal(numbers(100).map((entry) => block * 100 + entry));
    }
    expect(await most()).to.be.within(MOST_NAMES / 2, MOST_NAMES);
  });

  it('stay with what is in use while others come and go', async () => {
    const { db } = database;
    const used = ready('select ?::int + 1', 'names_test_used');
    await inTransaction(db, async (tx) => {
      const since = async (): Promise<unknown> => (await rows(tx, sql`select prepare_time from pg_prepared_statements where name = 'names_test_used'`))[0];
      await rowArrays(tx, used, [1]);
      const first = await since();
      for (const number of numbers(MOST_NAMES * 2)) {
        await rowArrays(tx, ready(`select ${String(number)}, 'passing'`, `names_test_passing_${String(number)}`), []);
        if (number % 50 === 0) expect(await rowArrays(tx, used, [number])).to.deep.equal([[number + 1]]);
      }
      expect(await since()).to.deep.equal(first);
      expect(first).to.have.property('prepare_time');
    });
  });

  it('are given back by a connection whose transaction failed', async () => {
    const { db } = database;
    const failed = await inTransaction(db, async (tx) => {
      await run(tx, sql`select 1 / 0`).catch(() => 0);
      for (const number of numbers(MOST_NAMES + 10)) await rowArrays(tx, ready(`select ${String(number)}, 'lost'`, `names_test_lost_${String(number)}`), []);
    }).then(String, String);
    expect(failed).to.contain('current transaction is aborted');
    for (const number of numbers(MOST_NAMES * SIZE)) {
      const statement = ready(`select ${String(number)}, 'kept'`, `names_test_kept_${String(number)}`);
      expect(await rowArrays(db, statement, [])).to.deep.equal([[number, 'kept']]);
    }
    expect(await most()).to.be.at.most(MOST_NAMES);
  });

  it('go on to be given to texts that recur, however many there were before', async () => {
    const { db } = database;
    const send = (text: string): Promise<unknown> => inTransaction(db, (tx) => runRecurring(tx, ready(text), [7]));
    for (const number of numbers(1_500)) for (let time = 0; time < 5; time += 1) await send(`select ${String(number)} + ?::int, 'recurs'`);
    expect(await most()).to.be.at.most(MOST_NAMES);
    const late = `select 'late' || ?::int`;
    const prepared = async (): Promise<number> => {
      const [row] = await rows(db, sql`select count(*)::int as n from pg_prepared_statements where statement like 'select ''late''%'`);
      return Number(row?.['n']);
    };
    await inTransaction(db, async (tx) => {
      for (let time = 0; time < 4; time += 1) expect(await runRecurring(tx, ready(late), [7])).to.deep.equal([['late7']]);
      expect(await rows(tx, sql`select 1 from pg_prepared_statements where statement like 'select ''late''%'`)).to.have.length(0);
      expect(await runRecurring(tx, ready(late), [7])).to.deep.equal([['late7']]);
      expect(await rows(tx, sql`select 1 from pg_prepared_statements where statement like 'select ''late''%'`)).to.have.length(1);
    });
    expect(await prepared()).to.be.at.most(1);
  });

  it('a statement whose columns changed is prepared once more on the connection that had it', async () => {
    const one = await makeTestDatabase({ poolSize: 1 });
    try {
      await run(one.db, sql`create table kept (id int)`);
      const whole = ready('select * from kept', 'names_test_star');
      expect(await rowArrays(one.db, whole, [])).to.deep.equal([]);
      await run(one.db, sql`alter table kept add column more text default 'x'`);
      await run(one.db, sql`insert into kept values (1)`);
      expect(await rowArrays(one.db, whole, []).then(String, String)).to.contain('cached plan must not change result type');
      for (let time = 0; time < 2; time += 1) expect(await rowArrays(one.db, whole, [])).to.deep.equal([[1, 'x']]);
      await run(one.db, sql`deallocate all`);
      expect(await rowArrays(one.db, whole, []).then(String, String)).to.contain('does not exist');
      for (let time = 0; time < 2; time += 1) expect(await rowArrays(one.db, whole, [])).to.deep.equal([[1, 'x']]);
    } finally {
      await one.drop();
    }
  });

  it('of Models that are no longer in force leave the connections, and those of the hundredth are prepared', async () => {
    const world = await makeWorld({ poolSize: SIZE });
    const { db } = world.database;
    const engine = makeRecordEngine();
    try {
      let set = setOf({ Garden: objectFile('Garden', { name: { type: 'string', 'x-id': 'gardenname01', 'x-search': true } }) });
      for (const number of numbers(100)) {
        const values = { name: `Bed ${String(number)}` };
        set =
          number % 20 === 0
            ? withField(set, 'Garden', `size${String(number)}`, { type: 'integer', 'x-id': `gardensize${String(number).padStart(2, '0')}` })
            : changed(set, 'Garden', (file) => ({ ...file, description: values.name }));
        await world.store.apply(set, 'test');
        const context = systemCall(await world.store.load(), systemClock, randomBytes, 'test');
        const { id } = await engine.writeOne(db, context, 'Garden', { kind: 'create', values });
        await engine.writeOne(db, context, 'Garden', { kind: 'update', id, version: 1, values: { name: 'Other' } });
        await inTransaction(db, (tx) => engine.write(tx, context, 'Garden', [{ kind: 'update', id, version: 2, values }], { mode: 'atomic' }));
        for (let time = 0; time < 6; time += 1) expect((await getRecord(db, context, 'Garden', id))['name']).to.equal(values.name);
        for (let time = 0; time < 6; time += 1)
          expect((await listRecords(db, context, { object: 'Garden', limit: 5, filter: `name == "Bed ${String(number)}"` })).data).to.have.length(1);
      }
      const names = await preparedNames(db, SIZE);
      expect(Math.max(...names.map((entry) => entry.length))).to.be.at.most(MOST_NAMES);
      expect(names.flat().filter((name) => /_1_[0-9a-f]{12}$/.test(name))).to.deep.equal([]);
      const version = String((await world.store.load()).version);
      expect(Number(version)).to.equal(100);
      for (const kind of ['direct', 'update', 'lock'])
        expect(
          names.flat().some((name) => name.startsWith(`${kind}_`) && name.includes(`_${version}`)),
          kind,
        ).to.equal(true);
    } finally {
      await world.drop();
    }
  });
});
