import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { AppError } from '../../../src/platform/errors.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { displayName } from '../../../src/platform/query/display-name.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { mergeRecords } from '../../../src/platform/record/merge.ts';
import { succeedRecord } from '../../../src/platform/record/succeed.ts';
import { undoChange } from '../../../src/platform/record/undo.ts';
import { makeClub, type Club } from '../record/fixtures/club.ts';
import { callOf } from '../record/fixtures/gardens.ts';
import { objectFile, setOf } from '../schema/builders.ts';

const OPERATIONS = 260;
const PAIRS = 1_000;
const SEED = 20_270_401;

const engine = makeRecordEngine();
const reader = makeReader();

/** All live records at a moment, as they were read at that very moment: object -> id -> record. */
type Snapshot = ReadonlyMap<string, ReadonlyMap<string, RecordData>>;

const which = fc.nat(10_000);
const day = fc.integer({ min: 0, max: 700 }).map((days) => new Date(Date.UTC(2026, 0, 1) + days * 86_400_000).toISOString().slice(0, 10));
const section = fc.constantFrom('chess', 'go', null);
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('person' as const), name: fc.constantFrom('Ann', 'Bob', 'Cy') }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('place' as const), which, section, since: day, length: fc.option(fc.nat(200)) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('succeed' as const), which, since: day, board: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rename' as const), which, name: fc.constantFrom('Dee', 'Eli', null) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sponsor' as const), which, other: fc.option(which) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('move' as const), which, other: which }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('board' as const), which, board: fc.option(fc.nat(9)), until: fc.option(day) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pay' as const), which, amount: fc.constantFrom('1', '2.5') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('repay' as const), which, other: fc.option(which) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('merge' as const), object: fc.constantFrom('Person', 'Place'), which, other: which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('undo' as const), object: fc.constantFrom('Person', 'Place', 'Payment'), which }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('trash' as const, 'restore' as const), object: fc.constantFrom('Person', 'Place', 'Payment'), which }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

describe('records as they were', function () {
  this.timeout(300_000);
  let club: Club;
  const snapshots: { readonly at: string; readonly state: Snapshot }[] = [];
  const ids: Record<string, string[]> = { Person: [], Place: [], Payment: [] };
  let written = 0;
  const done = { merge: 0, undo: 0 };

  before(async () => {
    club = await makeClub();
    const times = fc.sample(fc.tuple(operation, fc.constantFrom(0, 1, 60_000)), { numRuns: OPERATIONS, seed: SEED });
    let ms = Date.UTC(2026, 5, 1);
    for (const [step, pause] of times) {
      ms += pause;
      const now = new Date(ms).toISOString();
      try {
        await carryOut(step, callOf(club.model, null, now));
        written += 1;
      } catch (error) {
        // Days that overlap, records in the trash: refused, and nothing written.
        if (!(error instanceof AppError) || error.code === 'internal') throw error;
      }
      const state = await readAll();
      if (snapshots.at(-1)?.at === now) snapshots.pop();
      snapshots.push({ at: now, state });
    }
  });
  after(() => club.drop());

  const pick = (object: string, at: number): string => ids[object]?.[at % Math.max(1, ids[object].length)] ?? '00000000-0000-7000-8000-000000000000';

  async function carryOut(step: Operation, call: CallContext): Promise<void> {
    const { db } = club;
    const create = async (object: string, values: Readonly<Record<string, unknown>>): Promise<void> =>
      void ids[object]?.push((await engine.writeOne(db, call, object, { kind: 'create', values })).id);
    const update = async (object: string, at: number, values: Readonly<Record<string, unknown>>): Promise<void> =>
      void (await engine.writeOne(db, call, object, { kind: 'update', id: pick(object, at), values }));
    switch (step.kind) {
      case 'person':
        return create('Person', { name: step.name });
      case 'place': {
        const until = step.length === null ? null : new Date(Date.parse(`${step.since}T00:00:00Z`) + step.length * 86_400_000).toISOString().slice(0, 10);
        return create('Place', { person: pick('Person', step.which), section: step.section, since: step.since, until });
      }
      case 'succeed': {
        const made = await succeedRecord(engine, db, call, 'Place', { id: pick('Place', step.which), values: { since: step.since, board: step.board } });
        ids['Place']?.push(made.id);
        return;
      }
      case 'rename':
        return update('Person', step.which, { name: step.name });
      case 'sponsor':
        return update('Person', step.which, { sponsor: step.other === null ? null : pick('Person', step.other) });
      case 'move':
        return update('Place', step.which, { person: pick('Person', step.other) });
      case 'board':
        return update('Place', step.which, { board: step.board, until: step.until });
      case 'pay':
        return create('Payment', { place: pick('Place', step.which), amount: step.amount });
      case 'repay':
        return update('Payment', step.which, { place: step.other === null ? null : pick('Place', step.other) });
      case 'merge': {
        const [survivor, source] = [await versioned(step.object, step.which), await versioned(step.object, step.other)];
        await mergeRecords({ engine, reader }, db, call, step.object, { survivor, sources: [source], fields: {}, fill: true, preview: false });
        done.merge += 1;
        return;
      }
      case 'undo': {
        await undoChange({ engine, reader }, db, call, step.object, { ...(await versioned(step.object, step.which)), merge: null });
        done.undo += 1;
        return;
      }
      case 'trash':
      case 'restore':
        await engine.writeOne(db, call, step.object, { kind: step.kind === 'trash' ? 'delete' : 'restore', id: pick(step.object, step.which) });
    }
  }

  async function versioned(object: string, at: number): Promise<{ readonly id: string; readonly version: number }> {
    const { id, version } = await reader.get(club.db, callOf(club.model), object, pick(object, at), { fields: ['id'] });
    return { id, version };
  }

  async function readAll(): Promise<Snapshot> {
    const state = new Map<string, ReadonlyMap<string, RecordData>>();
    for (const object of ['Person', 'Place', 'Payment']) {
      const found = await reader.list(club.db, callOf(club.model), { object, limit: 500, sort: ['id'] });
      state.set(object, new Map(found.data.map((record) => [record.id, without(record, ['playing'])])));
    }
    return state;
  }

  const stateAt = (moment: string): Snapshot => snapshots.filter((snapshot) => snapshot.at <= moment).at(-1)?.state ?? new Map();

  it(`equal what was read at the time, for ${String(PAIRS)} pairs of a day and a moment`, async () => {
    const wanted = fc.record({
      object: fc.constantFrom('Person', 'Person', 'Place', 'Payment'),
      which,
      moment: fc.nat(OPERATIONS + 5),
      shift: fc.constantFrom(0, 0, -1, 1),
      day: fc.option(day),
    });
    let found = 0;
    let lists = 0;
    for (const pair of fc.sample(wanted, { numRuns: PAIRS, seed: SEED + 1 })) {
      const id = pick(pair.object, pair.which);
      const base = snapshots[Math.min(pair.moment, snapshots.length - 1)]?.at ?? '';
      const recordedAt = new Date(Date.parse(base) + pair.shift).toISOString();
      const state = stateAt(recordedAt);
      const expand = EXPANDED[pair.object] ?? [];
      const should = expected(state, pair.object, id, pair.day, expand);
      const options = { recordedAt, expand, ...(pair.day === null ? {} : { effectiveOn: pair.day }) };
      const is = await reader.get(club.db, callOf(club.model, null, '2027-01-01T00:00:00.000Z'), pair.object, id, options).then(
        (record) => record,
        (error: unknown) => {
          if (error instanceof AppError && error.code === 'not_found') return null;
          throw error;
        },
      );
      expect(is, `${pair.object} ${id} at ${recordedAt} on ${String(pair.day)}`).to.deep.equal(should);
      if (should !== null) found += 1;
      if (JSON.stringify(should).includes('"data":[{')) lists += 1;
    }
    process.stdout.write(
      `      ${String(written)} of ${String(OPERATIONS)} operations written, ${String(done.merge)} merges and ${String(done.undo)} undone among them; ${String(PAIRS)} pairs, ${String(found)} with a record, ${String(lists)} with related records\n`,
    );
    expect(Math.min(done.merge, done.undo)).to.be.greaterThan(3);
    expect(found).to.be.greaterThan(PAIRS / 4);
    expect(lists).to.be.greaterThan(PAIRS / 20);
  });

  it('equal the present slice when the moment is now, and lists agree with it', async () => {
    const call = callOf(club.model, null, '2027-01-01T00:00:00.000Z');
    const state = await readAll();
    for (const on of fc.sample(day, { numRuns: 60, seed: SEED + 2 })) {
      const listed = await reader.list(club.db, call, { object: 'Place', limit: 500, sort: ['id'], effectiveOn: on });
      const should = [...(state.get('Place')?.values() ?? [])].filter((record) => isInForce(record, on));
      expect(listed.data).to.deep.equal(should);
      for (const record of should.slice(0, 3)) {
        expect(await reader.get(club.db, call, 'Place', record.id, { effectiveOn: on })).to.deep.equal(record);
        expect(await reader.get(club.db, call, 'Place', record.id, { effectiveOn: on, recordedAt: call.now })).to.deep.equal(record);
      }
    }
  });

  it("take a day for its end in the plan's zone, and asOf for both axes", async () => {
    const call = callOf(club.model, null, '2027-01-01T00:00:00.000Z');
    const made = await engine.writeOne(club.db, callOf(club.model, null, '2027-02-02T04:59:59.999Z'), 'Person', { kind: 'create', values: { name: 'Zoe' } });
    await engine.writeOne(club.db, callOf(club.model, null, '2027-02-02T05:00:00.000Z'), 'Person', { kind: 'update', id: made.id, values: { name: 'Zoey' } });
    const name = async (options: Readonly<Record<string, string>>): Promise<unknown> =>
      (await reader.get(club.db, call, 'Person', made.id, { fields: ['name', 'greeting'], ...options }))['greeting'];
    expect(await name({ recordedAt: '2027-02-01' })).to.equal('Dear Zoe');
    expect(await name({ recordedAt: '2027-02-02' })).to.equal('Dear Zoey');
    expect(await name({ asOf: '2027-02-01' })).to.equal('Dear Zoe');
    expect(await name({ asOf: '2027-02-02T05:00:00+00:00' })).to.equal('Dear Zoey');
    const refused = async (options: Readonly<Record<string, unknown>>): Promise<string> => {
      const error: unknown = await reader.get(club.db, call, 'Person', made.id, options).then(
        () => null,
        (reason: unknown) => reason,
      );
      return error instanceof AppError ? `${error.code} ${error.errors[0]?.pointer ?? ''}` : 'read';
    };
    expect(await refused({ recordedAt: '2027-01-31' })).to.equal('not_found ');
    expect(await refused({ recordedAt: 'yesterday' })).to.equal('invalid_query /recordedAt');
    expect(await refused({ recordedAt: '2027-02-02T05:00:00' })).to.equal('invalid_query /recordedAt');
    expect(await refused({ asOf: '2027-02-02', effectiveOn: '2027-02-02' })).to.equal('invalid_query /asOf');
    expect(await refused({ effectiveOn: '2027-02-30' })).to.equal('invalid_query /effectiveOn');
    expect(await refused({ recordedAt: '2027-02-02', fields: ['playing'] })).to.equal('invalid_query /fields/0');
  });

  it('stand in the list they stood in, also when the list was named only after they left it', async () => {
    const unnamed = (as: string | null): MetadataSet => {
      const object = objectFile('Card', {
        holder: { type: 'string', format: 'uuid', 'x-ref': { to: 'Holder', onDelete: 'clear', ...(as === null ? {} : { as }) } },
      });
      return setOf({ Card: object, Holder: objectFile('Holder', { name: { type: 'string' } }) });
    };
    const cards = await makeClub(2, unnamed(null));
    try {
      const call = (now: string, model = cards.model): CallContext => callOf(model, null, now);
      const create = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> =>
        (await engine.writeOne(cards.db, call('2027-01-01T00:00:00.000Z'), object, { kind: 'create', values })).id;
      const [left, right] = [await create('Holder', { name: 'L' }), await create('Holder', { name: 'R' })];
      const [moved, cleared] = [await create('Card', { holder: left }), await create('Card', { holder: left })];
      await engine.writeOne(cards.db, call('2027-02-01T00:00:00.000Z'), 'Card', { kind: 'update', id: moved, values: { holder: right } });
      await engine.writeOne(cards.db, call('2027-02-01T00:00:00.000Z'), 'Card', { kind: 'update', id: cleared, values: { holder: null } });
      const model = await cards.apply(unnamed('cards'));
      const held = async (holder: string, recordedAt: string): Promise<readonly string[]> => {
        const text = JSON.stringify(await reader.get(cards.db, call('2027-03-01T00:00:00.000Z', model), 'Holder', holder, { recordedAt, expand: ['cards'] }));
        return [moved, cleared].filter((id) => text.includes(id));
      };
      expect(await held(left, '2027-01-15T00:00:00Z')).to.deep.equal([moved, cleared]);
      expect(await held(right, '2027-01-15T00:00:00Z')).to.deep.equal([]);
      expect(await held(left, '2027-02-15T00:00:00Z')).to.deep.equal([]);
      expect(await held(right, '2027-02-15T00:00:00Z')).to.deep.equal([moved]);
    } finally {
      await cards.drop();
    }
  });

  it('show no more than the caller may see today', async () => {
    const call = callOf(club.model, null, '2027-03-01T00:00:00.000Z');
    const made = await engine.writeOne(club.db, call, 'Person', { kind: 'create', values: { name: 'Una' } });
    await engine.writeOne(club.db, call, 'Place', { kind: 'create', values: { person: made.id, section: 'go', board: 5, since: '2027-01-01' } });
    const few = callOf(club.model, ['reader'], '2027-03-02T00:00:00.000Z');
    const seen = await reader.get(club.db, few, 'Person', made.id, { recordedAt: few.now, expand: ['places'] });
    expect(Object.keys(seen)).to.include('name').and.not.include('sponsor');
    expect(JSON.stringify(seen)).to.include('"section":"go"');
    expect(JSON.stringify(seen)).not.to.include('"board":5');
    await engine.writeOne(club.db, call, 'Person', { kind: 'delete', id: made.id });
    await reader.get(club.db, few, 'Person', made.id, { recordedAt: '2027-03-01T00:00:00.000Z' }).then(
      () => expect.fail('the trash is not for readers'),
      (error: unknown) => expect(error).to.have.property('code', 'not_found'),
    );
    expect(await reader.get(club.db, call, 'Person', made.id, { recordedAt: '2027-02-28T00:00:00.000Z' }).catch((error: unknown) => error)).to.have.property(
      'code',
      'not_found',
    );
  });

  const EXPANDED: Readonly<Record<string, readonly string[]>> = {
    Person: ['places', 'sponsor', 'sponsored', 'places.payments'],
    Place: ['person', 'payments'],
    Payment: ['place', 'place.person'],
  };

  const RELATIONS: Readonly<Record<string, Readonly<Record<string, { readonly object: string; readonly via: string | null }>>>> = {
    Person: { places: { object: 'Place', via: 'person' }, sponsor: { object: 'Person', via: null }, sponsored: { object: 'Person', via: 'sponsor' } },
    Place: { person: { object: 'Person', via: null }, payments: { object: 'Payment', via: 'place' } },
    Payment: { place: { object: 'Place', via: null } },
  };

  /** The record and what is expanded, by looking into what was read at the time. */
  function expected(state: Snapshot, object: string, id: string, on: string | null, expand: readonly string[]): RecordData | null {
    const record = state.get(object)?.get(id);
    if (record === undefined || !isInForce(record, on)) return null;
    const names = [...new Set(expand.map((path) => path.split('.')[0] ?? ''))];
    if (names.length === 0) return record;
    const expanded: Record<string, unknown> = {};
    for (const name of names) {
      const relation = RELATIONS[object]?.[name];
      if (relation === undefined) throw new Error(`no relation ${name}`);
      const inner = expand.filter((path) => path.startsWith(`${name}.`)).map((path) => path.slice(name.length + 1));
      const named = (other: string): RecordData | null => {
        const found = expected(state, relation.object, other, on, inner);
        return found === null ? null : { ...found, displayName: nameOf(state, relation.object, other, on) };
      };
      if (relation.via === null) expanded[name] = typeof record[name] === 'string' ? named(record[name]) : null;
      else {
        const via = relation.via;
        const data = [...(state.get(relation.object)?.values() ?? [])].flatMap((child) => (child[via] === id ? (named(child.id) ?? []) : []));
        expanded[name] = { data, more: false };
      }
    }
    return { ...record, expanded };
  }

  function nameOf(state: Snapshot, object: string, id: string, on: string | null): string {
    const model = club.model.objects.get(object);
    const record = state.get(object)?.get(id);
    if (model === undefined || record === undefined || !isInForce(record, on)) return '';
    const place = record['place'];
    return displayName(model, record, typeof place === 'string' ? new Map([[place, nameOf(state, 'Place', place, on)]]) : new Map());
  }

  function isInForce(record: RecordData, on: string | null): boolean {
    if (on === null || !('since' in record)) return true;
    return String(record['since']) <= on && (record['until'] === null || String(record['until']) >= on);
  }

  function without(record: RecordData, names: readonly string[]): RecordData {
    return { ...Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name))), id: record.id, version: record.version };
  }
});
