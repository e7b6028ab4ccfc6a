import { expect } from 'chai';
import fc from 'fast-check';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { restoreRecord, type Restored } from '../../../src/platform/record/restore.ts';
import { addPeople, contextOf, type ContextOptions, type Library } from './fixtures/library.ts';
import { graphOf, makeClinic } from './fixtures/clinic.ts';
import { refused } from './fixtures/refused.ts';

describe('restoring with relations', () => {
  const engine = makeRecordEngine();
  let clinic: Library;
  before(async () => {
    clinic = await makeClinic();
    await addPeople(clinic.db);
  });
  after(() => clinic.drop());

  let number = 0;
  const next = (): string => `n${String((number += 1))}`;
  const clerk = (options: ContextOptions = {}) => contextOf(clinic, options);
  const create = async (object: string, values: Record<string, unknown>): Promise<string> =>
    (await engine.writeOne(clinic.db, clerk(), object, { kind: 'create', values })).id;
  const trash = async (object: string, id: string, version: number): Promise<number> =>
    (await engine.writeOne(clinic.db, clerk(), object, { kind: 'delete', id, version })).version;
  const update = (object: string, id: string, version: number, values: Record<string, unknown>) =>
    engine.writeOne(clinic.db, clerk(), object, { kind: 'update', id, version, values });
  const restore = (object: string, id: string, version: number, relations = true, options: ContextOptions = {}): Promise<Restored> =>
    restoreRecord(engine, clinic.db, clerk(options), object, { id, version, relations });

  it('brings back the whole graph of a person with forty relations', async () => {
    const person = await create('Person', { code: next(), name: 'Ada' });
    for (let index = 0; index < 8; index += 1) {
      const visit = await create('Visit', { person, day: '2026-03-01' });
      await create('Item', { visit, person, text: `item ${String(index)}` });
      await create('Item', { visit, text: `other ${String(index)}` });
      await create('Letter', { person, subject: next() });
      await create('Mark', { text: next(), about: { object: index % 2 === 0 ? 'Person' : 'Visit', id: index % 2 === 0 ? person : visit } });
    }
    const before = await graphOf(clinic);
    const version = await trash('Person', person, 1);
    expect(Object.values(await graphOf(clinic)).filter((record) => Object(record).trashed === true)).to.have.length(1 + 8 + 16);
    const back = await restore('Person', person, version);
    expect([back.restored.length, back.relinked.length, back.left.length]).to.deep.equal([24, 16, 0]);
    expect(await graphOf(clinic)).to.deep.equal(before);
  });

  it('trashes what two ways lead to once, and restores it once', async () => {
    const person = await create('Person', { code: next() });
    const visit = await create('Visit', { person });
    await create('Item', { visit, person });
    const version = await trash('Person', person, 1);
    const back = await restore('Person', person, version);
    expect(back.restored.map(({ object }) => object).sort()).to.deep.equal(['Item', 'Visit']);
  });

  it('brings back records that point at each other', async () => {
    const person = await create('Person', { code: next() });
    const visit = await create('Visit', { person });
    const first = await create('Item', { visit });
    const second = await create('Item', { visit, after: first });
    await update('Item', first, 1, { after: second });
    const before = await graphOf(clinic);
    const back = await restore('Person', person, await trash('Person', person, 1));
    expect([back.restored.length, back.left]).to.deep.equal([3, []]);
    expect(await graphOf(clinic)).to.deep.equal(before);
  });

  it('without relations takes the record only', async () => {
    const person = await create('Person', { code: next() });
    await create('Visit', { person });
    const letter = await create('Letter', { person, subject: next() });
    const back = await restore('Person', person, await trash('Person', person, 1), false);
    expect([back.record?.['code'], back.restored, back.relinked, back.left]).to.deep.equal([`n${String(number - 1)}`, [], [], []]);
    expect(Object((await graphOf(clinic))[`Letter ${letter}`]).person?.[0]).to.equal(null);
  });

  it('leaves what somebody changed or took meanwhile, and says so', async () => {
    const [person, other] = [await create('Person', { code: next() }), await create('Person', { code: next() })];
    const taken = await create('Letter', { person, subject: next() });
    const gone = await create('Letter', { person, subject: next() });
    const visit = await create('Visit', { person });
    const version = await trash('Person', person, 1);
    await update('Letter', taken, 2, { person: other });
    await trash('Letter', gone, 2);
    await restore('Visit', visit, 2, false).then(
      () => expect.fail('a visit came back without its person'),
      (error: unknown) => expect(String(error)).to.match(/Person points to a record that is gone/),
    );
    const back = await restore('Person', person, version);
    expect(back.restored).to.deep.equal([{ object: 'Visit', id: visit }]);
    expect(back.relinked).to.deep.equal([]);
    // The one in the trash may not be seen by those who may not delete; the clerk may.
    expect(back.left.map(({ id, code }) => `${id} ${code}`).sort()).to.deep.equal([`${gone} conflict_state`, `${taken} conflict_state`].sort());
  });

  it('names everything that stands against the record itself, at once, and changes nothing', async () => {
    const mentor = await create('Person', { code: next() });
    const code = next();
    const person = await create('Person', { code, mentor });
    const version = await trash('Person', person, 1);
    await trash('Person', mentor, 1);
    await create('Person', { code });
    const before = await graphOf(clinic);
    const error = await refused(restore('Person', person, version));
    expect(error.code).to.be.oneOf(['conflict_unique', 'conflict_reference']);
    expect(error.errors.map(({ pointer, code: found }) => `${pointer} ${found}`)).to.deep.equal(['/code unique', '/mentor reference']);
    expect(await graphOf(clinic)).to.deep.equal(before);
  });

  it('lists only what the caller may see, and needs the right to restore', async () => {
    const person = await create('Person', { code: next() });
    await create('Visit', { person });
    const letter = await create('Letter', { person, subject: next() });
    const version = await trash('Person', person, 1);
    expect((await refused(restore('Person', person, version, true, { sets: ['watcher'] }))).code).to.equal('forbidden');
    const back = await restore('Person', person, version, true, { sets: ['narrow'] });
    expect([back.restored, back.relinked, back.left]).to.deep.equal([[], [{ object: 'Letter', id: letter }], []]);
  });

  it('gives the graph back as it was, for random graphs', async () => {
    const link = fc.option(fc.nat({ max: 3 }), { nil: null });
    const shape = fc.record({
      mentors: fc.array(link, { minLength: 4, maxLength: 4 }),
      visits: fc.array(fc.nat({ max: 3 }), { maxLength: 5 }),
      items: fc.array(fc.tuple(fc.nat({ max: 4 }), link), { maxLength: 6 }),
      letters: fc.array(link, { maxLength: 4 }),
      marks: fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 4 })), { maxLength: 4 }),
      gone: fc.nat({ max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ mentors, visits, items, letters, marks, gone }) => {
        const people: string[] = [];
        for (const mentor of mentors) people.push(await create('Person', { code: next(), mentor: mentor === null ? null : (people[mentor] ?? null) }));
        const person = (index: number | null): string | null => (index === null ? null : (people[index] ?? null));
        const made: string[] = [];
        for (const index of visits) made.push(await create('Visit', { person: person(index) }));
        for (const [visit, whose] of items) if (made[visit] !== undefined) await create('Item', { visit: made[visit], person: person(whose), text: next() });
        for (const whose of letters) await create('Letter', { person: person(whose), subject: next() });
        for (const [isPerson, index] of marks) {
          const id = isPerson ? person(index) : made[index];
          if (id !== null && id !== undefined) await create('Mark', { text: next(), about: { object: isPerson ? 'Person' : 'Visit', id } });
        }
        const before = await graphOf(clinic);
        const root = people[gone] ?? '';
        const back = await restore('Person', root, await trash('Person', root, 1));
        expect(back.left).to.deep.equal([]);
        expect(await graphOf(clinic)).to.deep.equal(before);
      }),
      { numRuns: 60 },
    );
  }).timeout(240_000);
});
