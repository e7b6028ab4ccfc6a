import { expect } from 'chai';
import fc from 'fast-check';
import { Readable } from 'node:stream';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { withCheckDigit } from '../../../src/network/npi/npi.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { makeImporter } from '../../../src/platform/import/import.ts';
import { makeImportJobs, type ImportJobs } from '../../../src/platform/import/jobs.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

/** The same cases every time; more and others by the environment, as IMPORT_UNDO_CASES=2000. */
const CASES = process.env['IMPORT_UNDO_CASES'];
const RUNS = Number(CASES ?? 50);
const SEED = CASES === undefined ? { seed: 20_271_123 } : {};

const FILLED = ['firstName', 'lastName', 'practiceCity', 'phone'] as const;
/** What an undo or its engine keeps by itself. */
const KEPT_BY_ENGINE = new Set(['version', 'updatedAt', 'updatedBy']);
const PHONES = ['413 555 0100', '413 555 0101', '413 555 0102'];
const WORDS = ['Ana', 'Bo', 'Cleo'];

type Values = Readonly<Record<string, unknown>>;
/** Live records of one case by their place, as they may be read. */
type State = ReadonlyMap<number, Values>;

const valuesOf = fc.record({ first: fc.nat(2), last: fc.nat(2), city: fc.nat(3), phone: fc.nat(2) }).map(({ first, last, city, phone }): Values => {
  const word = (index: number): string => WORDS[index] ?? '';
  return { firstName: word(first), lastName: word(last), practiceCity: city === 3 ? null : word(city), phone: PHONES[phone] ?? '' };
});

/** Places 0 to 3 are records from before the import, 4 to 7 come with it if a row of the file names them. */
const [EXISTING, PLACES] = [4, 8];
const rowOf = fc.record({ place: fc.nat(PLACES - 1), values: valuesOf, fault: fc.constantFrom('none', 'none', 'none', 'state', 'digit', 'cells') });
const editOf = fc.record({
  place: fc.nat(PLACES - 1),
  other: fc.nat(PLACES - 1),
  kind: fc.constantFrom('filled', 'filled', 'notes', 'delete', 'task', 'referredBy', 'back'),
  field: fc.constantFrom(...FILLED),
  word: fc.nat(2),
});
const caseOf = fc.record({
  before: fc.array(valuesOf, { minLength: EXISTING, maxLength: EXISTING }),
  file: fc.uniqueArray(rowOf, { selector: ({ place }) => place, minLength: 3, maxLength: PLACES }),
  edits: fc.array(editOf, { maxLength: 5 }),
  mode: fc.constantFrom('upsert', 'upsert', 'upsert', 'create', 'update'),
});
type Case = typeof caseOf extends fc.Arbitrary<infer T> ? T : never;
type Edit = Case['edits'][number];

describe('undoing an import: whatever was imported and edited since', () => {
  let database: TestDatabase;
  let context: CallContext;
  let jobs: ImportJobs;
  const engine = makeRecordEngine();
  const reader = makeReader();
  const clock = makeVirtualClock('2026-11-16T15:00:00.000Z');

  before(async () => {
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), clock, seededRandom(1), 'test');
    const random = seededRandom(2);
    const contextFor = async (_who: unknown, job: string): Promise<CallContext> => ({
      ...systemCall(await store.current(), clock, random, 'test'),
      cause: { kind: 'import', job },
    });
    jobs = makeImportJobs({ engine, clock, log: makeLog('silent'), contextFor, limitBytes: 1e9 });
  });
  after(() => database.drop());

  let cases = 0;
  const total = { rows: 0, rejected: 0, edits: 0, removed: 0, restored: 0, kept: 0 };
  const npiOf = (place: number): string => withCheckDigit(String(100_000_000 + cases * 10 + place));

  async function stateNow(): Promise<State> {
    const places = Array.from({ length: PLACES }, (_, place) => place);
    const found = await Promise.all(
      places.map(async (place) => (await reader.list(database.db, context, { object: 'Lead', equals: { npi: npiOf(place) } })).data[0]),
    );
    return new Map(found.flatMap((record, place) => (record === undefined ? [] : [[place, record] as const])));
  }

  async function importFile({ file, mode }: Case): Promise<string> {
    let jobId = '';
    const lines = file.map(({ place, values, fault }) => {
      const npi = fault === 'digit' ? `${npiOf(place).slice(0, 9)}${String((Number(npiOf(place).at(-1)) + 1) % 10)}` : npiOf(place);
      const cells = [npi, 'individual', `Lead ${String(place)}`, ...FILLED.map((field) => String(values[field] ?? ''))];
      return [...cells, fault === 'state' ? 'Atlantis' : 'MA', ...(fault === 'cells' ? ['more'] : [])].join(',');
    });
    const content = `npi,entityType,name,${FILLED.join(',')},practiceState\n${lines.join('\n')}\n`;
    const result = await makeImporter({ engine }).run(database.db, context, {
      object: 'Lead',
      map: null,
      fileName: `case-${String(cases)}.csv`,
      content: Readable.from([content]),
      existing: mode === 'create' ? 'skip' : 'update',
      missing: mode === 'update' ? 'skip' : 'create',
      onJob: (id) => void (jobId = id),
    });
    const faulty = file.filter(({ fault }) => fault !== 'none').length;
    // A faulty row that the mode leaves out anyway is skipped and not rejected.
    if (mode === 'upsert') expect(result.rejected).to.equal(faulty);
    else expect(result.rejected).to.be.within(faulty - (result.skipped ?? 0), faulty);
    total.rows += result.read;
    total.rejected += result.rejected;
    return jobId;
  }

  /** Does one edit as a person would, where it is possible; answers true when it wrote something. */
  async function edit({ place, other, kind, field, word }: Edit, state: State): Promise<boolean> {
    const [id, otherId] = [state.get(place)?.['id'], state.get(other)?.['id']];
    if (typeof id !== 'string') return false;
    const update = (values: Values) => engine.writeOne(database.db, context, 'Lead', { kind: 'update', id, values });
    switch (kind) {
      case 'filled':
        await update({ [field]: field === 'phone' ? PHONES[word] : WORDS[word] });
        return true;
      case 'back':
        await update({ [field]: field === 'phone' ? '413 555 0199' : 'Another' });
        await update({ [field]: state.get(place)?.[field] ?? null });
        return true;
      case 'notes':
        await update({ notes: `Called ${String(word)} times` });
        return true;
      case 'referredBy':
        if (typeof otherId !== 'string' || otherId === id) return false;
        await update({ referredBy: otherId });
        return true;
      case 'task':
        await engine.writeOne(database.db, context, 'Task', { kind: 'create', values: { subject: 'Call', queue: 'recruiting', lead: id } });
        return true;
      case 'delete': {
        const isHeld = [...state.values()].some((record) => record['referredBy'] === id);
        if (isHeld) return false;
        await engine.writeOne(database.db, context, 'Lead', { kind: 'delete', id });
        return true;
      }
    }
  }

  const differing = (left: Values, right: Values): readonly string[] =>
    [...new Set([...Object.keys(left), ...Object.keys(right)])].filter(
      (name) => !KEPT_BY_ENGINE.has(name) && JSON.stringify(left[name]) !== JSON.stringify(right[name]),
    );
  const history = () => rows(database.db, sql`select record_id, version, kind, changes, at from credenza.record_history order by record_id, version`);

  /** Does the edits one by one; answers the state they leave, which fields of which places they wrote, and what is pointed at. */
  async function editAll(edits: readonly Edit[], imported: State) {
    const touched = new Map<number, Set<string>>();
    const pointed = new Set<number>();
    let edited = imported;
    for (const one of edits) {
      const was = edited;
      if (!(await edit(one, was))) continue;
      total.edits += 1;
      edited = await stateNow();
      for (const [place, record] of edited)
        for (const name of differing(was.get(place) ?? {}, record)) touched.set(place, (touched.get(place) ?? new Set()).add(name));
      if (one.kind === 'back') touched.set(one.place, (touched.get(one.place) ?? new Set()).add(one.field));
      if (one.kind === 'task') pointed.add(one.place);
    }
    // What a record points at that people left pointing.
    for (const record of edited.values()) for (const [place, { id }] of edited) if (record['referredBy'] === id) pointed.add(place);
    return { edited, touched, pointed };
  }

  it(`restores what nobody touched, protects and reports every later edit, in ${String(RUNS)} cases`, async function () {
    this.timeout(RUNS * 5_000);
    const property = fc.asyncProperty(caseOf, async (given) => {
      cases += 1;
      for (const [place, values] of given.before.entries())
        await engine.writeOne(database.db, context, 'Lead', { kind: 'create', values: { ...values, npi: npiOf(place), name: `Lead ${String(place)}` } });
      const original = await stateNow();
      const job = await importFile(given);
      const imported = await stateNow();
      const { edited, touched, pointed } = await editAll(given.edits, imported);
      const written = await history();

      await jobs.undo(database.db, context, job);
      while ((await jobs.run(database.db)) > 0);
      const after = await stateNow();
      const kept = new Set((await jobs.kept(database.db, context, job)).map(({ recordId }) => recordId));
      const expected = { removed: 0, restored: 0, kept: 0 };
      for (const [place, record] of imported) {
        const [old, last, now] = [original.get(place), edited.get(place), after.get(place)];
        const own = touched.get(place) ?? new Set();
        const what = `place ${String(place)}`;
        const changed = old === undefined ? [] : differing(old, record);
        const isHeld = last !== undefined && (old === undefined ? own.size > 0 || pointed.has(place) : changed.some((name) => own.has(name)));
        const isReported = isHeld || (last === undefined && changed.length > 0);
        expect(kept.has(String(record['id'])), `${what} is reported`).to.equal(isReported);
        if (isReported) expected.kept += 1;
        if (last === undefined) {
          expect(now, `${what} stays in the trash`).to.equal(undefined);
        } else if (old === undefined) {
          if (isHeld) expect(differing(last, now ?? {}), `${what} stays as it was edited`).to.deep.equal([]);
          else {
            expect(now, `${what} is gone`).to.equal(undefined);
            expected.removed += 1;
          }
        } else {
          const back = changed.filter((name) => !own.has(name));
          const wanted = { ...last, ...Object.fromEntries(back.map((name) => [name, old[name]])) };
          expect(differing(wanted, now ?? {}), `${what} is as before but for what was edited`).to.deep.equal([]);
          if (back.length > 0) expected.restored += 1;
        }
      }
      const { undone } = await jobs.get(database.db, context, job);
      expect(undone).to.deep.equal(expected);
      const known = new Map((await history()).map((row) => [`${String(row['record_id'])} ${String(row['version'])}`, JSON.stringify(row)]));
      for (const row of written) expect(known.get(`${String(row['record_id'])} ${String(row['version'])}`)).to.equal(JSON.stringify(row));
      for (const name of ['removed', 'restored', 'kept'] as const) total[name] += expected[name];
    });
    await fc.assert(property, { ...SEED, numRuns: RUNS });
    const { removed, restored, kept } = total;
    process.stdout.write(
      `      ${String(cases)} cases: ${String(total.rows)} rows (${String(total.rejected)} rejected), ${String(total.edits)} edits; ${String(removed)} removed, ${String(restored)} restored, ${String(kept)} kept\n`,
    );
    expect(Math.min(removed, restored, kept, total.rejected), 'cases of every sort came up').to.be.greaterThan(RUNS / 5);
  });
});
