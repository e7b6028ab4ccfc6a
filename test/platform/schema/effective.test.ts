import { expect } from 'chai';
import { systemClock } from '../../../src/platform/clock.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { reportDrift } from '../../../src/platform/schema/drift.ts';
import { draftPlan } from '../../../src/platform/schema/plan.ts';
import { makeModelStore, type ModelStore } from '../../../src/platform/schema/store.ts';
import { keyword, rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { callOf } from '../record/fixtures/gardens.ts';
import { objectFile, setOf } from './builders.ts';

const day: FieldSchema = { type: 'string', format: 'date' };

function rates(key: readonly string[] | null): MetadataSet {
  const dated = key === null ? {} : { 'x-effective': { from: 'since', through: 'until', key } };
  return setOf({
    Rate: objectFile('Rate', { code: { type: 'string' }, place: { type: 'string' }, since: day, until: day }, { required: ['since'], ...dated }),
  });
}

describe('the constraint of effective-dated objects', () => {
  let database: TestDatabase;
  let store: ModelStore;
  before(async () => {
    database = await makeTestDatabase();
    store = makeModelStore({ db: database.db, clock: systemClock, extensions: {} });
  });
  after(() => database.drop());

  const constraints = async (): Promise<readonly string[]> =>
    (
      await rows(database.db, sql`select pg_get_constraintdef(oid) as text from pg_constraint where contype = 'x' and connamespace = 'credenza'::regnamespace`)
    ).map((row) => String(row['text']));
  const make = async (values: Readonly<Record<string, unknown>>): Promise<string> =>
    (await makeRecordEngine().writeOne(database.db, callOf(await store.load()), 'Rate', { kind: 'create', values })).id;

  it('comes, changes and goes with the metadata, and a second plan is empty', async () => {
    await store.apply(rates(null), 'test');
    const first = await make({ code: 'a', place: 'x', since: '2027-01-01' });
    await make({ code: 'a', place: 'y', since: '2027-01-01', until: '2027-06-30' });
    const refused = await store.apply(rates(['code']), 'test').then(
      () => null,
      (error: unknown) => error,
    );
    expect(isAppError(refused, 'schema_refused') && refused.message).to.match(/Rate cannot become effective-dated: 1 record has days that overlap/);
    expect(await constraints()).to.deep.equal([]);
    const plan = await store.plan(rates(['code', 'place']));
    expect(plan.steps.map((step) => [step.class, step.description])).to.deep.equal([
      ['instant', 'Keep the days of Rate apart'],
      ['metadata', 'Change the object Rate'],
    ]);
    await store.apply(rates(['code', 'place']), 'test');
    expect(await constraints()).to.have.length(1);
    expect((await store.plan(rates(['code', 'place']))).steps).to.deep.equal([]);
    expect(await make({ code: 'a', place: 'x', since: '2028-01-01' }).catch((error: unknown) => error)).to.have.property('code', 'conflict_unique');
    expect((await reportDrift(database.db)).drift).to.deep.equal([]);
    const name = keyword(
      (await rows(database.db, sql`select conname from pg_constraint where contype = 'x'`)).map((row) => `"${String(row['conname'])}"`).join(),
    );
    const table = keyword(
      `credenza.${(await rows(database.db, sql`select relname from pg_class c join pg_constraint x on x.conrelid = c.oid where x.contype = 'x'`)).map((row) => String(row['relname'])).join()}`,
    );
    await rows(database.db, sql`alter table ${table} drop constraint ${name}`);
    expect((await reportDrift(database.db)).drift.map((entry) => [entry.what, entry.detail])).to.deep.equal([
      ['missing', 'The database does not hold writers to the rule that days do not overlap.'],
    ]);
    await makeRecordEngine().writeOne(database.db, callOf(await store.load()), 'Rate', { kind: 'delete', id: first });
    await store.apply(rates(['code']), 'test');
    expect((await constraints()).join()).to.match(/^EXCLUDE USING gist \(COALESCE\(code_\w+, ''::text\) WITH =, daterange/);
    await store.apply(rates(null), 'test');
    expect(await constraints()).to.deep.equal([]);
  });

  it('is refused in clear words where the server has no btree_gist', () => {
    const wanted = completeIds(rates(['code']));
    const physical = planPhysicalNames(wanted, new Map());
    const stands = (obstacle: string | null): readonly string[] =>
      draftPlan({
        schema: 'credenza',
        now: '2027-01-01T00:00:00.000Z',
        recorded: emptySet(),
        wanted,
        remembered: { names: new Map(), kept: [], fills: [] },
        physical,
        live: {
          tables: new Map(),
          indexes: new Map(),
          constraints: new Map(),
          triggers: new Set(),
          filled: new Map(),
          columnsEver: new Map(),
          extensions: new Map([['btree_gist', obstacle]]),
        },
        retypes: [],
        fillers: new Map(),
        mentions: () => [],
        allowDestructive: false,
        isReturn: false,
      }).flatMap(({ step }) => (step.class === 'refused' ? [`${step.description} ${step.fix ?? ''}`] : []));
    expect(stands(null)).to.deep.equal([]);
    expect(stands('the server does not have it')).to.deep.equal([
      `Rate is effective-dated, which needs PostgreSQL's extension btree_gist: the server does not have it. Install it (it comes with PostgreSQL's contrib package) and run "create extension btree_gist" in this database, or take "x-effective" out.`,
    ]);
  });
});
