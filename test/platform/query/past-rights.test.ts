import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { displayName } from '../../../src/platform/query/display-name.ts';
import type { GetOptions } from '../../../src/platform/query/list.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { succeedRecord, type Succession } from '../../../src/platform/record/succeed.ts';
import { makeClub, type Club } from '../record/fixtures/club.ts';
import { callOf } from '../record/fixtures/gardens.ts';

const PAIRS = 600;
const SEED = 20_270_402;
const LATER = '2027-09-01T00:00:00.000Z';
/** Fields that a caller may have to do without. */
const FIELDS = ['person', 'section', 'board', 'since', 'until', 'number', 'badge'] as const;

const engine = makeRecordEngine();
const reader = makeReader();

/** What each kind of caller may read of a place as it stands now; null = nothing. */
const CALLERS: Readonly<Record<string, { readonly sets: readonly string[]; readonly may: (now: RecordData) => ReadonlySet<string> | null }>> = {
  'rows of one section': { sets: ['gohead'], may: (now) => (now['section'] === 'go' ? new Set(['person', 'section', 'board', 'since', 'until']) : null) },
  'no days': { sets: ['doorkeeper'], may: () => new Set(['person', 'section']) },
  'days in some rows': {
    sets: ['doorkeeper', 'gohead'],
    may: (now) => new Set(now['section'] === 'go' ? ['person', 'section', 'board', 'since', 'until'] : ['person', 'section']),
  },
};

describe('the rights of those who look back', function () {
  this.timeout(300_000);
  let club: Club;
  const people: string[] = [];
  const places: string[] = [];
  const moments: string[] = [];
  const day = fc.integer({ min: 0, max: 500 }).map((days) => new Date(Date.UTC(2027, 0, 1) + days * 86_400_000).toISOString().slice(0, 10));
  const section = fc.constantFrom('go', 'chess', null);
  const admin = (now = LATER): CallContext => callOf(club.model, null, now);

  const outcome = async <T>(work: Promise<T>): Promise<T | string> => {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'internal') throw error;
      return error.code;
    }
  };

  before(async () => {
    club = await makeClub();
    const steps = fc.sample(
      fc.record({ kind: fc.nat(9), which: fc.nat(999), other: fc.nat(999), section, since: day, until: fc.option(day), board: fc.nat(9) }),
      {
        numRuns: 160,
        seed: SEED,
      },
    );
    for (const [index, step] of steps.entries()) {
      const call = admin(new Date(Date.UTC(2027, 2, 1) + index * 3_600_000).toISOString());
      moments.push(call.now);
      const place = places[step.which % Math.max(1, places.length)];
      const person = people[step.other % Math.max(1, people.length)];
      const { section: to, since, until, board } = step;
      const done = await outcome(
        (async (): Promise<RecordData> => {
          if (person === undefined || people.length < 4) {
            const made = await engine.writeOne(club.db, call, 'Person', { kind: 'create', values: { name: `P${String(index)}` } });
            people.push(made.id);
            return made;
          }
          if (place === undefined || step.kind < 3) {
            const made = await engine.writeOne(club.db, call, 'Place', { kind: 'create', values: { person, section: to, since, until, board } });
            places.push(made.id);
            return made;
          }
          if (step.kind === 9) return engine.writeOne(club.db, call, 'Place', { kind: 'delete', id: place });
          const values = step.kind < 6 ? { section: to } : step.kind < 8 ? { person, board } : { since, until };
          return engine.writeOne(club.db, call, 'Place', { kind: 'update', id: place, values });
        })(),
      );
      if (typeof done === 'string') expect(['conflict_unique', 'validation_failed', 'not_found']).to.include(done);
    }
  });
  after(() => club.drop());

  /** What the caller may see of a place that an administrator read: naively, field by field. */
  const restrict = (record: RecordData, may: ReadonlySet<string>, isMasked: boolean): RecordData => {
    const kept = Object.entries(record).flatMap(([name, value]): readonly (readonly [string, unknown])[] => {
      if (name === 'displayName') return [];
      if (!FIELDS.some((field) => field === name) || may.has(name)) return [[name, value]];
      return isMasked && name !== 'number' && name !== 'badge' ? [[name, null]] : [];
    });
    return { ...Object.fromEntries(kept), id: record.id, version: record.version };
  };
  const named = (record: RecordData): RecordData => {
    const object = club.model.objects.get('Place');
    if (object === undefined) throw new Error('no Place');
    return { ...record, displayName: displayName(object, record, new Map()) };
  };
  const inForce = (record: RecordData, may: ReadonlySet<string>, on: string | null): boolean =>
    on === null || (may.has('since') && may.has('until') && String(record['since']) <= on && (record['until'] === null || String(record['until']) >= on));

  for (const [title, { sets, may }] of Object.entries(CALLERS)) {
    it(`give ${title} no more of the past than of the present, for ${String(PAIRS)} pairs`, async () => {
      const call = callOf(club.model, sets, LATER);
      const live = await reader.list(club.db, admin(), { object: 'Place', limit: 500 });
      const now = new Map(live.data.map((record) => [record.id, record]));
      const isMasked = sets.length > 1;
      const isDayless = sets.length === 1 && sets[0] === 'doorkeeper';
      const pairs = fc.record({ person: fc.boolean(), which: fc.nat(999), moment: fc.nat(moments.length - 1), day: fc.option(day) });
      let [found, hidden, listed] = [0, 0, 0];
      const expected = (record: RecordData, on: string | null): RecordData | null => {
        const present = now.get(record.id);
        const fields = present === undefined ? null : may(present);
        return fields === null || !inForce(record, fields, on) ? null : restrict(record, fields, isMasked);
      };
      for (const pair of fc.sample(pairs, { numRuns: PAIRS, seed: SEED + 1 })) {
        const recordedAt = moments[pair.moment] ?? '';
        const options: GetOptions = { recordedAt, ...(pair.day === null ? {} : { effectiveOn: pair.day }) };
        if (!pair.person) {
          const id = places[pair.which % places.length] ?? '';
          const full = await outcome(reader.get(club.db, admin(), 'Place', id, { recordedAt }));
          const is = await outcome(reader.get(club.db, call, 'Place', id, options));
          const should = isDayless && pair.day !== null ? 'invalid_query' : typeof full === 'string' ? full : (expected(full, pair.day) ?? 'not_found');
          expect(is, `${id} at ${recordedAt} on ${String(pair.day)}`).to.deep.equal(should);
          if (typeof should !== 'string') found += 1;
          else if (typeof full !== 'string') hidden += 1;
          continue;
        }
        const id = people[pair.which % people.length] ?? '';
        const full = await outcome(reader.get(club.db, admin(), 'Person', id, { recordedAt, expand: ['places'] }));
        const is = await outcome(reader.get(club.db, call, 'Person', id, { ...options, expand: ['places'] }));
        if (typeof full === 'string') {
          expect(is).to.equal(full);
          continue;
        }
        const all = placesOf(full).filter((record) => now.has(record.id));
        const should = all.flatMap((record) => expected(record, pair.day) ?? []).map(named);
        expect(typeof is === 'string' ? is : placesOf(is), `${id} at ${recordedAt} on ${String(pair.day)}`).to.deep.equal(should);
        expect(typeof is === 'string' ? [] : Object.keys(is)).not.to.include('sponsor');
        listed += should.length;
      }
      process.stdout.write(`      ${String(PAIRS)} pairs: ${String(found)} places read, ${String(hidden)} withheld, ${String(listed)} read in lists\n`);
      expect(hidden).to.be.greaterThan(20);
    });

    it(`give ${title} lists, counts and sums of a day that tell nothing of days they may not read`, async () => {
      const call = callOf(club.model, sets, LATER);
      const live = await reader.list(club.db, admin(), { object: 'Place', limit: 500, sort: ['id'] });
      for (const on of fc.sample(day, { numRuns: 40, seed: SEED + 2 })) {
        const query = { object: 'Place', limit: 500, sort: ['id'], fields: ['person', 'section'], count: 'exact', effectiveOn: on } as const;
        const measures = [{ as: 'n', op: 'count' }] as const;
        const should = live.data.flatMap((record) => {
          const fields = may(record);
          return fields !== null && inForce(record, fields, on) ? [record.id] : [];
        });
        if (sets.length === 1 && sets[0] === 'doorkeeper') {
          const refusal = await reader.list(club.db, call, query).catch((error: unknown) => error);
          expect(refusal).to.have.property('code', 'invalid_query');
          const sum = await reader.aggregate(club.db, call, { object: 'Place', measures, effectiveOn: on }).catch((error: unknown) => error);
          expect(sum).to.have.property('code', 'invalid_query');
        } else {
          const found = await reader.list(club.db, call, query);
          expect(found.data.map((record) => record.id)).to.deep.equal(should);
          expect(found.meta.count).to.equal(should.length);
          expect((await reader.aggregate(club.db, call, { object: 'Place', measures, effectiveOn: on })).data).to.deep.equal([{ n: should.length }]);
        }
        const having = await reader.list(club.db, call, {
          object: 'Person',
          limit: 500,
          sort: ['id'],
          filter: 'places.exists(p, p.section == p.section)',
          effectiveOn: on,
        });
        const holders = live.data.flatMap((record) => (should.includes(record.id) ? [String(record['person'])] : []));
        expect(having.data.map((record) => record.id)).to.deep.equal([...new Set(holders)].sort());
      }
    });
  }

  it('are asked for in a succession: hidden days, and hidden values that the new record would show', async () => {
    const person = (await engine.writeOne(club.db, admin(), 'Person', { kind: 'create', values: { name: 'Ida' } })).id;
    const place = async (board: number | null): Promise<string> =>
      (await engine.writeOne(club.db, admin(), 'Place', { kind: 'create', values: { person, section: `s${String(board)}`, board, since: '2027-01-01' } })).id;
    const succeed = (id: string, sets: readonly string[]): Promise<Succession | string> =>
      outcome(succeedRecord(engine, club.db, callOf(club.model, sets, LATER), 'Place', { id, version: 1, values: { since: '2027-06-01' } }));
    const secret = await place(7);
    expect(await succeed(secret, ['doorkeeper'])).to.equal('forbidden');
    expect(await succeed(secret, ['clerk', 'maker']), 'the maker of a record reads its board').to.equal('forbidden');
    expect(await reader.get(club.db, admin(), 'Place', secret)).to.include({ version: 1, until: null });
    expect(await succeed(await place(null), ['clerk', 'maker'])).to.have.property('version', 1);
    const carried = await succeed(secret, ['clerk']);
    if (typeof carried === 'string') throw new Error(carried);
    expect(await reader.get(club.db, admin(), 'Place', carried.id)).to.include({ board: 7, since: '2027-06-01' });
    expect(JSON.stringify(carried)).not.to.include('"board"');
  });

  function placesOf(record: RecordData): readonly RecordData[] {
    const expanded = record['expanded'];
    const list: unknown = typeof expanded === 'object' && expanded !== null && 'places' in expanded ? expanded.places : null;
    const data: unknown = typeof list === 'object' && list !== null && 'data' in list ? list.data : null;
    if (!Array.isArray(data)) throw new Error('nothing expanded');
    return data.filter((entry: unknown): entry is RecordData => typeof entry === 'object' && entry !== null && 'id' in entry && 'version' in entry);
  }
});
