import { Readable } from 'node:stream';
import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { makeImporter, type RejectedRow } from '../../../src/platform/import/import.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { succeedRecord } from '../../../src/platform/record/succeed.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeClub, type Club } from './fixtures/club.ts';
import { callOf } from './fixtures/gardens.ts';

const engine = makeRecordEngine();
const reader = makeReader();

describe('effective-dated objects', () => {
  let club: Club;
  before(async () => {
    club = await makeClub();
  });
  after(() => club.drop());

  const at = (now?: string, sets: readonly string[] | null = null): CallContext => callOf(club.model, sets, now);
  const write = (
    object: string,
    item: WriteItem,
    now?: string,
  ): Promise<{ readonly id: string; readonly version: number; readonly record: RecordData | null }> => engine.writeOne(club.db, at(now), object, item);
  const person = async (name: string): Promise<string> => (await write('Person', { kind: 'create', values: { name } })).id;
  const place = async (of: string, since: string, until: string | null, more: Readonly<Record<string, unknown>> = {}): Promise<string> =>
    (await write('Place', { kind: 'create', values: { person: of, section: 'chess', since, until, ...more } })).id;
  const failure = async (work: Promise<unknown>): Promise<AppError> => {
    const found: unknown = await work.then(
      () => null,
      (error: unknown) => error,
    );
    if (!(found instanceof AppError)) throw new Error(`expected a refusal, not ${String(found)}`);
    return found;
  };

  it('refuse days that another record of the same key has, at every way in', async () => {
    const ann = await person('Ann');
    const first = await place(ann, '2027-01-01', '2027-03-31');
    const overlap = await failure(place(ann, '2027-03-31', null));
    expect(overlap.code).to.equal('conflict_unique');
    expect(overlap.errors.map((error) => [error.pointer, error.code])).to.deep.equal([
      ['/since', 'overlap'],
      ['/until', 'overlap'],
    ]);
    expect(overlap.message).to.equal('Another Place with the same Person and Section is in force on some of these days.');
    // Inclusive days: the day after the last is free, and an empty end has no end.
    const second = await place(ann, '2027-04-01', null);
    expect((await failure(place(ann, '2090-01-01', null))).code).to.equal('conflict_unique');
    expect((await failure(write('Place', { kind: 'update', id: first, values: { until: null } }))).code).to.equal('conflict_unique');
    // Another key, also one with an empty part, which is equal to itself.
    await place(ann, '2027-01-01', null, { section: null });
    expect((await failure(place(ann, '2028-01-01', null, { section: null }))).code).to.equal('conflict_unique');
    await place(await person('Bob'), '2027-01-01', null);
    // The trash does not count, and what comes back does.
    await write('Place', { kind: 'delete', id: second });
    const third = await place(ann, '2027-05-01', '2027-05-31');
    expect((await failure(write('Place', { kind: 'restore', id: second }))).code).to.equal('conflict_unique');
    await write('Place', { kind: 'delete', id: third });
    await write('Place', { kind: 'restore', id: second });
    // One by one, the others go in.
    const items = ['2026-01-01', '2026-06-01'].map((since): WriteItem => ({
      kind: 'create',
      values: { person: ann, section: 'chess', since, until: '2026-07-01' },
    }));
    const outcomes = await inTransaction(club.db, (tx) => engine.write(tx, at(), 'Place', items, { mode: 'each' }));
    expect(outcomes.map((outcome) => outcome.ok)).to.deep.equal([true, false]);
    expect(outcomes[1]).to.include({ code: 'conflict_unique' });
  });

  it('refuse a last day before the first, and a missing first', async () => {
    const ann = await person('Cleo');
    const backwards = await failure(place(ann, '2027-02-01', '2027-01-31'));
    expect(backwards.errors).to.deep.equal([
      {
        pointer: '/until',
        code: 'check',
        detail: 'Through is before From.',
        rule: 'effective-days',
        fix: 'Choose a day from From on, or leave it empty.',
      },
    ]);
    expect((await failure(write('Place', { kind: 'create', values: { person: ann } }))).errors[0]?.pointer).to.equal('/since');
    await place(ann, '2027-02-01', '2027-02-01');
  });

  it('let two writers at once have one fact only', async () => {
    const ann = await person('Dora');
    const tries = await Promise.allSettled(Array.from({ length: 5 }, (_, index) => place(ann, `2027-0${String(index + 1)}-01`, null)));
    expect(tries.filter((entry) => entry.status === 'fulfilled')).to.have.length(1);
    for (const entry of tries) if (entry.status === 'rejected') expect(entry.reason).to.have.property('code', 'conflict_unique');
  });

  it('let one of two hundred writers at once have its fact, and surface no deadlock', async () => {
    const wide = await makeClub(20);
    try {
      const call = callOf(wide.model);
      const of = (await engine.writeOne(wide.db, call, 'Person', { kind: 'create', values: { name: 'Gil' } })).id;
      const codes = await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const since = new Date(Date.UTC(2027, 0, 1 + (index % 60))).toISOString().slice(0, 10);
          const values = { person: of, section: 'go', since };
          return engine.writeOne(wide.db, call, 'Place', { kind: 'create', values }).then(
            () => 'written',
            (error: unknown) => (error instanceof AppError ? error.code : String(error)),
          );
        }),
      );
      const counts = Object.fromEntries([...new Set(codes)].sort().map((code) => [code, codes.filter((other) => other === code).length]));
      expect(counts).to.deep.equal({ conflict_unique: 199, written: 1 });
      expect((await reader.list(wide.db, call, { object: 'Place' })).data).to.have.length(1);
    } finally {
      await wide.drop();
    }
  });

  it('reject just the overlapping rows of an import, each by its line', async () => {
    const ann = await person('Import');
    await place(ann, '2027-01-01', '2027-01-31', { section: 's7' });
    const lines = Array.from(
      { length: 1_200 },
      (_, index) => `${ann},s${String(index % 400)},20${String(30 + Math.floor(index / 400))}-01-01,20${String(30 + Math.floor(index / 400))}-12-31`,
    );
    // Against a record that is there, against a row before, against itself, and a row after all of them.
    const planted = new Map([
      [100, `${ann},s7,2027-01-31,2027-02-28`],
      [700, `${ann},s5,2030-06-01,2030-06-30`],
      [900, `${ann},s9,2040-02-01,2040-01-01`],
    ]);
    for (const [at, line] of planted) lines.splice(at, 0, line);
    lines.push(`${ann},s399,2032-12-31,`);
    const rejected: RejectedRow[] = [];
    const content = Readable.from([['person,section,since,until', ...lines].join('\n')]);
    const importer = makeImporter({ engine });
    const result = await importer.run(club.db, at(), { object: 'Place', map: null, fileName: 'places.csv', content }, (row) => void rejected.push(row));
    expect(result).to.deep.equal({ read: 1_204, created: 1_200, updated: 0, unchanged: 0, rejected: 4 });
    expect(rejected.map(({ line }) => line).sort((left, right) => left - right)).to.deep.equal([102, 702, 902, 1_205]);
    const overlap = 'Another Place with the same Person and Section is in force on some of these days.';
    expect(rejected.filter(({ reason }) => reason.includes(overlap))).to.have.length(3);
    expect(rejected.find(({ line }) => line === 902)?.reason).to.include('Through is before From.');
  });

  it('close one fact and open the next in one operation', async () => {
    const ann = await person('Eve');
    const first = await place(ann, '2027-01-01', '2027-12-31', { board: 3, badge: 'E-1' });
    await write('Payment', { kind: 'create', values: { place: first, amount: '10' } });
    const steward = at('2027-05-05T10:00:00.000Z', ['steward']);
    const made = await succeedRecord(engine, club.db, steward, 'Place', { id: first, version: 1, values: { since: '2027-06-01', board: 4 } });
    expect(made.closed).to.deep.equal({ id: first, version: 2 });
    expect(made.record).to.include({ person: ann, section: 'chess', board: 4, since: '2027-06-01', until: '2027-12-31', version: 1, badge: null });
    expect(made.record?.['number']).to.match(/^P-\d+$/);
    const closed = await reader.get(club.db, at(), 'Place', first);
    expect(closed).to.include({ until: '2027-05-31', board: 3, badge: 'E-1', version: 2 });
    expect((await reader.history(club.db, at(), 'Place', first)).map((entry) => entry.changes.map((change) => change.field))).to.deep.equal([['until'], []]);
    // A gap: what has ended stays ended, and the next has no end unless one is sent.
    const later = await succeedRecord(engine, club.db, at(), 'Place', { id: made.id, values: { since: '2028-03-01' } });
    expect(later.record).to.include({ since: '2028-03-01', until: null, board: 4 });
    expect(later.closed).to.deep.equal({ id: made.id, version: 1 });
    expect((await failure(succeedRecord(engine, club.db, at(), 'Place', { id: first, values: { since: '2027-05-15', until: null } }))).code).to.equal(
      'conflict_unique',
    );
    expect(await reader.get(club.db, at(), 'Place', first)).to.include({ until: '2027-05-31', version: 2 });
  });

  it('refuse a succession that cannot be, and change nothing', async () => {
    const ann = await person('Fay');
    const first = await place(ann, '2027-01-01', null);
    const succeed = (values: Readonly<Record<string, unknown>>, version = 1, sets: readonly string[] | null = ['steward']): Promise<AppError> =>
      failure(succeedRecord(engine, club.db, at(undefined, sets), 'Place', { id: first, version, values }));
    expect((await succeed({})).errors[0]).to.include({ pointer: '/since', code: 'required' });
    expect((await succeed({ since: 'soon' })).errors[0]).to.include({ pointer: '/since', code: 'not_a_date' });
    expect((await succeed({ since: '2027-01-01' })).errors[0]).to.include({ pointer: '/since', code: 'order' });
    expect((await succeed({ since: '2027-02-01' }, 7)).code).to.equal('conflict_version');
    expect((await succeed({ since: '2027-02-01', until: '2027-01-15' })).errors[0]).to.include({ pointer: '/until' });
    expect((await succeed({ since: '2027-02-01' }, 1, ['reader'])).code).to.equal('forbidden');
    expect((await succeed({ since: '2027-02-01' }, 1, ['changer'])).code).to.equal('forbidden');
    expect((await failure(succeedRecord(engine, club.db, at(), 'Person', { id: ann, values: {} }))).code).to.equal('bad_request');
    expect((await failure(succeedRecord(engine, club.db, at(), 'Place', { id: ann, values: {} }))).code).to.equal('not_found');
    expect(await reader.get(club.db, at(), 'Place', first)).to.include({ version: 1, until: null });
    expect((await reader.list(club.db, at(), { object: 'Place', filter: `person == '${ann}'` })).data).to.have.length(1);
  });

  it('are read as they were in force on a day, in lists, counts, filters, formulas and what is expanded', async () => {
    const [gus, hal] = [await person('Gus'), await person('Hal')];
    const first = await place(gus, '2027-01-01', '2027-03-31', { board: 1 });
    const second = await place(gus, '2027-04-01', null, { board: 2 });
    await place(hal, '2027-02-01', '2027-02-28', { board: 7 });
    await write('Payment', { kind: 'create', values: { place: first, amount: '5' } });
    const both = `person == '${gus}' || person == '${hal}'`;
    const boards = async (effectiveOn?: string): Promise<readonly unknown[]> => {
      const query = { object: 'Place', filter: both, sort: ['board'], count: 'exact', ...(effectiveOn === undefined ? {} : { effectiveOn }) } as const;
      const found = await reader.list(club.db, at(), query);
      expect(found.meta.count).to.equal(found.data.length);
      return found.data.map((record) => record['board']);
    };
    expect(await boards()).to.deep.equal([1, 2, 7]);
    expect(await boards('2026-12-31')).to.deep.equal([]);
    expect(await boards('2027-01-01')).to.deep.equal([1]);
    expect(await boards('2027-02-28')).to.deep.equal([1, 7]);
    expect(await boards('2027-03-31')).to.deep.equal([1]);
    expect(await boards('2027-04-01')).to.deep.equal([2]);
    expect(await boards('2099-01-01')).to.deep.equal([2]);
    const named = async (filter: string, effectiveOn: string): Promise<readonly unknown[]> =>
      (await reader.list(club.db, at(), { object: 'Person', filter: `(${filter}) && (name == 'Gus' || name == 'Hal')`, sort: ['name'], effectiveOn })).data.map(
        (record) => record['name'],
      );
    expect(await named('places.exists(p, p.board > 0)', '2027-02-01')).to.deep.equal(['Gus', 'Hal']);
    expect(await named('places.exists(p, p.board > 0)', '2027-03-01')).to.deep.equal(['Gus']);
    expect(await named('playing', '2027-03-01')).to.deep.equal(['Gus']);
    expect(await reader.get(club.db, at(), 'Person', hal, { fields: ['playing'], effectiveOn: '2027-03-01' })).to.include({ playing: false });
    expect(await reader.get(club.db, at(), 'Person', hal, { fields: ['playing'], effectiveOn: '2027-02-10' })).to.include({ playing: true });
    const expanded = await reader.get(club.db, at(), 'Person', gus, { expand: ['places', 'places.payments'], effectiveOn: '2027-03-15' });
    expect(JSON.stringify(expanded['expanded'])).to.include(first).and.to.include('"amount":"5"');
    expect(JSON.stringify(expanded['expanded'])).not.to.include(second);
    const sums = await reader.aggregate(club.db, at(), {
      object: 'Place',
      filter: both,
      measures: [{ as: 'n', op: 'sum', field: 'board' }],
      effectiveOn: '2027-02-15',
    });
    expect(sums.data).to.deep.equal([{ n: '8' }]);
    expect((await failure(reader.get(club.db, at(), 'Place', first, { effectiveOn: '2027-04-01' }))).code).to.equal('not_found');
    expect(await reader.get(club.db, at(), 'Place', first, { effectiveOn: '2027-03-31' })).to.include({ board: 1 });
    expect((await failure(reader.list(club.db, at(), { object: 'Place', effectiveOn: '2027-02-30' }))).code).to.equal('invalid_query');
    // Callers with fewer rights see the same days, and no more.
    const few = await reader.list(club.db, at(undefined, ['reader']), { object: 'Place', filter: both, effectiveOn: '2027-02-15' });
    expect(few.data.map((record) => Object.keys(record).includes('board'))).to.deep.equal([false, false]);
    // A page belongs to its day.
    const page = await reader.list(club.db, at(), { object: 'Place', filter: both, effectiveOn: '2027-02-15', limit: 1, sort: ['board'] });
    const cursor = page.page.next ?? '';
    expect(
      (await failure(reader.list(club.db, at(), { object: 'Place', filter: both, effectiveOn: '2027-03-15', limit: 1, sort: ['board'], cursor }))).code,
    ).to.equal('invalid_query');
    const next = await reader.list(club.db, at(), { object: 'Place', filter: both, effectiveOn: '2027-02-15', limit: 1, sort: ['board'], cursor });
    expect(next.data.map((record) => record['board'])).to.deep.equal([7]);
  });

  it('are kept apart by a constraint that the database itself holds', async () => {
    const found = await rows(
      club.db,
      sql`select pg_get_constraintdef(oid) as text from pg_constraint where contype = 'x' and connamespace = 'credenza'::regnamespace`,
    );
    expect(String(found[0]?.['text'])).to.match(
      /^EXCLUDE USING gist \(COALESCE\(person_.* WITH =, .*daterange\(since_\w+, \(until_\w+ \+ 1\), '\[\)'::text\) WITH &&\) WHERE \(\(\(deleted_at IS NULL\) AND \(since_\w+ IS NOT NULL\)\)\)$/,
    );
  });
});
