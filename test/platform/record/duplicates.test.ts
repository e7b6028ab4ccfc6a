import { expect } from 'chai';
import { seededRandom } from '../../../src/platform/ids.ts';
import type { MatchingFile } from '../../../src/platform/metadata/matching-types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { jaroWinkler, likeness } from '../../../src/platform/record/likeness.ts';
import { makeMatchBacklog } from '../../../src/platform/record/match-backlog.ts';
import { openPairs, recordsWithKeys } from '../../../src/platform/record/match.sql.ts';
import { mergeRecords } from '../../../src/platform/record/merge.ts';
import { undoChange } from '../../../src/platform/record/undo.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { addPeople, contextOf, SYSTEM, type ContextOptions, type Library } from './fixtures/library.ts';
import { makeClinic } from './fixtures/clinic.ts';
import { refused } from './fixtures/refused.ts';

const MATCHING: MatchingFile = {
  name: 'people',
  id: 'people000001',
  label: 'People',
  object: 'Person',
  rules: [
    {
      name: 'same-person',
      label: 'the same name, born on the same day in the same city',
      keys: ['city', 'substring(name, 0, 1)'],
      compare: [
        { field: 'name', as: 'name', weight: 3 },
        { field: 'code', as: 'text', weight: 0.001 },
      ],
      threshold: 0.88,
      action: 'refuse',
    },
    { name: 'alike', label: 'the same name', keys: ['name'], action: 'report' },
  ],
};

describe('duplicate rules', () => {
  const engine = makeRecordEngine();
  const reader = makeReader();
  let clinic: Library;
  before(async () => {
    clinic = await makeClinic([MATCHING]);
    await addPeople(clinic.db);
  });
  after(() => clinic.drop());

  let number = 0;
  const next = (): string => `d${String((number += 1))}`;
  const clerk = (options: ContextOptions = {}) => contextOf(clinic, options);
  const person = (values: Record<string, unknown>, options: ContextOptions = {}): Promise<string> =>
    engine.writeOne(clinic.db, clerk(options), 'Person', { kind: 'create', values: { code: next(), ...values } }).then(({ id }) => id);
  const inCity = async (city: string): Promise<number> => (await reader.list(clinic.db, clerk(), { object: 'Person', equals: { city } })).data.length;

  it('lets one of two simultaneous saves stand, and of ten', async () => {
    for (let round = 0; round < 10; round += 1) {
      const city = `race ${String(round)}`;
      const saves = await Promise.allSettled(
        Array.from({ length: round === 9 ? 10 : 2 }, (_, index) => person({ name: index % 2 === 0 ? 'Ada Byron' : 'ADA  Byrón', city })),
      );
      expect(saves.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      expect(await inCity(city)).to.equal(1);
    }
  });

  it('refuses on create, change, restore and by the system, and names the record that is there to those who may see it', async () => {
    const first = await person({ name: 'Grace Hopper', city: 'Arlington' });
    const error = await refused(person({ name: 'Grace Hoper', city: 'arlington' }));
    expect([error.code, error.errors[0]?.code, error.errors[0]?.rule]).to.deep.equal(['conflict_unique', 'duplicate', 'same-person']);
    expect(error.extra['duplicates']).to.have.nested.property('0.id', first);
    expect((await refused(person({ name: 'G. Hopper', city: 'Arlington' }, { principal: SYSTEM }))).errors[0]?.code).to.equal('duplicate');
    const other = await person({ name: 'Grace Hopper', city: 'Boston' });
    const move = { kind: 'update', id: other, version: 1, values: { city: 'Arlington' } } as const;
    expect((await refused(engine.writeOne(clinic.db, clerk(), 'Person', move))).errors[0]?.code).to.equal('duplicate');
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'update', id: other, version: 1, values: { score: '1' } });
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'delete', id: first, version: 1 });
    const second = await person({ name: 'Grace Hopper', city: 'Arlington' });
    expect((await refused(engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'restore', id: first, version: 2 }))).errors[0]?.code).to.equal('duplicate');
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'update', id: second, version: 1, values: { city: 'Zug' } });
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'restore', id: first, version: 2 });
  });

  it('holds the items of a batch against each other', async () => {
    const item = (name: string) => ({ kind: 'create', values: { code: next(), name, city: 'Bulk' } }) as const;
    const outcomes = await clinic.db.transaction((tx) =>
      engine.write(tx, clerk(), 'Person', [item('Alan Turing'), item('Alan Turing'), item('Alonzo Church'), item('Alan Turin')], { mode: 'each' }),
    );
    expect(outcomes.map(({ ok }) => ok)).to.deep.equal([true, false, true, false]);
    expect(await inCity('Bulk')).to.equal(2);
  });

  it('lists what is only to be reported, once', async () => {
    const [first, second] = [await person({ name: 'Mary Jackson', city: 'Hampton' }), await person({ name: 'Mary Jackson', city: 'Newport' })];
    const pairs = await openPairs(clinic.db, { object: 'Person', record: second, limit: 10 });
    expect(pairs.map(({ rule, score }) => [rule, score])).to.deep.equal([['alike', 1]]);
    expect(new Set([pairs[0]?.first, pairs[0]?.second])).to.deep.equal(new Set([first, second]));
  });

  it('lets merging and parting pass', async () => {
    const [first, second] = [await person({ name: 'Katherine Johnson', city: 'Hampton' }), await person({ name: 'K. Johnson', city: 'White Sulphur' })];
    const merged = await mergeRecords({ engine, reader }, clinic.db, clerk(), 'Person', {
      survivor: { id: first, version: 1 },
      sources: [{ id: second, version: 1 }],
      fields: { city: second },
      fill: true,
      preview: false,
    });
    const undone = await undoChange({ engine, reader }, clinic.db, clerk(), 'Person', { id: first, version: merged.version, merge: merged.merge });
    expect(undone.record?.['city']).to.equal('Hampton');
  });

  it('finds records that were there before the rule, and forgets the keys of rules that are gone', async () => {
    const [first, second] = [await person({ name: 'Old One', city: 'Old' }), await person({ name: 'Old One', city: 'Older' })];
    await run(clinic.db, sql`delete from credenza.match_key`);
    await run(clinic.db, sql`delete from credenza.duplicate_pair`);
    await run(clinic.db, sql`insert into credenza.match_key (rule, key, record_id) values ('gone', 'k', ${first}::uuid)`);
    await person({ name: 'Old One', city: 'Old' });
    const backlog = makeMatchBacklog({ context: () => Promise.resolve(clerk({ principal: SYSTEM })) });
    while ((await backlog.run(clinic.db)) > 0);
    expect((await refused(person({ name: 'Old Onne', city: 'Old' }))).errors[0]?.code).to.equal('duplicate');
    const pairs = await openPairs(clinic.db, { object: 'Person', record: second, limit: 10 });
    expect(pairs).to.have.length(2);
    expect(await rows(clinic.db, sql`select 1 from credenza.match_key where rule = 'gone'`)).to.deep.equal([]);
    expect(await backlog.run(clinic.db)).to.equal(0);
  });

  it('compares names by words, initials, order and slips of the pen', () => {
    for (const [left, right] of [
      ['Byron, Ada', 'Ada Byron'],
      ['J. Smith', 'John Smith'],
      ['Müller', 'MULLER'],
      ['Jonathon', 'Jonathan'],
    ] as const)
      expect(likeness('name', left, right), `${left} / ${right}`).to.be.greaterThan(0.9);
    expect(likeness('name', 'John Smith', 'Mary Jones')).to.be.lessThan(0.7);
    expect([likeness('digits', '+1 (617) 555-0100', '617.555.0100'), likeness('exact', 'A-1', 'a 1')]).to.deep.equal([1, 1]);
    expect(likeness('text', '12 Main Street', '12 Main St')).to.be.within(0.6, 0.95);
    expect(jaroWinkler('martha', 'marhta')).to.be.closeTo(0.9611, 0.0001);
    expect(jaroWinkler('dixon', 'dicksonx')).to.be.closeTo(0.8133, 0.0001);
  });

  it('has precision and recall of at least 0.95 on a labelled set of 400 people', async () => {
    const random = seededRandom(5);
    const pick = <T>(list: readonly T[]): T => {
      const chosen = list[(random(1)[0] ?? 0) % list.length];
      if (chosen === undefined) throw new Error('Nothing to choose from.');
      return chosen;
    };
    const given = ['Anna', 'Bertram', 'Claudia', 'Dominic', 'Eleanor', 'Frederick', 'Gabrielle', 'Harold', 'Isabella', 'Jonathan', 'Katharina', 'Leonard'];
    const family = [
      'Abernathy',
      'Blackwood',
      'Castellano',
      'Donnelly',
      'Eriksson',
      'Fitzgerald',
      'Gutierrez',
      'Hawthorne',
      'Ivanova',
      'Johansson',
      'Kowalski',
      'Lindqvist',
    ];
    const cities = ['Amherst', 'Brockton', 'Chelsea', 'Dedham', 'Everett', 'Falmouth', 'Gardner', 'Holyoke'];
    const slip = (name: string): string => {
      const at = 1 + ((random(1)[0] ?? 0) % (name.length - 2));
      return pick([name.slice(0, at) + name.slice(at + 1), name.slice(0, at) + (name[at] ?? '') + name.slice(at), name.toUpperCase(), `${name} Jr`]);
    };
    const seen = new Set<string>();
    let [right, wrong, missed] = [0, 0, 0];
    while (seen.size < 400) {
      const [name, city] = [`${pick(given)} ${pick(family)}`, `${pick(cities)} ${String(seen.size % 5)}`];
      if (seen.has(`${name} ${city}`)) continue;
      seen.add(`${name} ${city}`);
      const save = (as: string): Promise<boolean> =>
        person({ name: as, city }).then(
          () => true,
          () => false,
        );
      if (!(await save(name))) wrong += 1;
      if (await save(slip(name))) missed += 1;
      else right += 1;
    }
    const [precision, recall] = [right / (right + wrong), right / (right + missed)];
    process.stdout.write(`      precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)}\n`);
    expect(precision).to.be.at.least(0.95);
    expect(recall).to.be.at.least(0.95);
  }).timeout(180_000);

  it('are looked up by rule and key together, also where many records have other keys', async () => {
    await run(
      clinic.db,
      sql`insert into credenza.match_key (rule, key, record_id) select 'rule ' || n % 2, 'key ' || n, gen_random_uuid() from generate_series(1, 20000) n`,
    );
    await clinic.db.raw('analyze credenza.match_key');
    const looks: string[] = [];
    const note = (query: { readonly sql: string }): void => {
      if (query.sql.includes('cross join lateral')) looks.push(query.sql);
    };
    clinic.db.on('query', note);
    await recordsWithKeys(clinic.db, [{ rule: 'rule 1', key: 'key 777' }], []);
    clinic.db.off('query', note);
    const [look] = looks;
    const plan = await clinic.db.raw<{ readonly rows: readonly Readonly<Record<string, string>>[] }>(`explain ${(look ?? '').replaceAll(/\$\d/g, '?')}`, [
      ['rule 1'],
      ['key 777'],
      [],
    ]);
    expect(plan.rows.map((row) => row['QUERY PLAN']).join('\n')).to.match(/Index Cond: \(\(rule = .*\) AND \(key = /);
  });
});
