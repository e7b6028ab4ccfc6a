import { expect } from 'chai';
import fc from 'fast-check';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { mergeRecords, type Merged } from '../../../src/platform/record/merge.ts';
import { undoChange, type Undone } from '../../../src/platform/record/undo.ts';
import { rows, run, sql } from '../../../src/platform/sql.ts';
import { addPeople, contextOf, type ContextOptions, type Library } from './fixtures/library.ts';
import { graphOf, makeClinic } from './fixtures/clinic.ts';
import { refused } from './fixtures/refused.ts';

describe('merging records', () => {
  const engine = makeRecordEngine();
  const reader = makeReader();
  const deps = { engine, reader };
  let clinic: Library;
  before(async () => {
    clinic = await makeClinic();
    await addPeople(clinic.db);
  });
  after(() => clinic.drop());

  let number = 0;
  const next = (): string => `m${String((number += 1))}`;
  const clerk = (options: ContextOptions = {}) => contextOf(clinic, options);
  const create = async (object: string, values: Record<string, unknown>): Promise<string> =>
    (await engine.writeOne(clinic.db, clerk(), object, { kind: 'create', values })).id;
  const versionOf = async (object: string, id: string): Promise<number> => (await reader.get(clinic.db, clerk(), object, id)).version;
  const update = async (object: string, id: string, values: Record<string, unknown>): Promise<void> => {
    await engine.writeOne(clinic.db, clerk(), object, { kind: 'update', id, version: await versionOf(object, id), values });
  };
  interface Options extends ContextOptions {
    readonly fields?: Readonly<Record<string, string>>;
    readonly fill?: boolean;
    readonly preview?: boolean;
  }
  async function merge(survivor: string, sources: readonly string[], { fields = {}, fill = true, preview = false, ...more }: Options = {}): Promise<Merged> {
    const versioned = async (id: string) => ({ id, version: await versionOf('Person', id) });
    const request = { survivor: await versioned(survivor), sources: await Promise.all(sources.map(versioned)), fields, fill, preview };
    return mergeRecords(deps, clinic.db, clerk(more), 'Person', request);
  }
  const undo = async (object: string, id: string, mergeId: string | null = null, version?: number): Promise<Undone> =>
    undoChange(deps, clinic.db, clerk(), object, { id, version: version ?? (await versionOf(object, id)), merge: mergeId });

  it('takes values field by field, fills what is lacking, moves every reference, and puts the others into the trash', async () => {
    const code = next();
    const [ada, copy, third] = [
      await create('Person', { code: next(), name: 'Ada', city: 'Bern' }),
      (
        await engine.writeOne(clinic.db, clerk({ sets: ['administrator'] }), 'Person', {
          kind: 'create',
          values: { code: next(), name: 'Ada B.', born: '1815-12-10', secret: 'hidden' },
        })
      ).id,
      await create('Person', { code, name: 'A. Byron', city: 'Zug', score: '4.5', tags: ['x'] }),
    ];
    const place = await create('Place', { name: next() });
    const post = await create('Post', { person: copy, place });
    const visit = await create('Visit', { person: third });
    const letter = await create('Letter', { person: copy, subject: next() });
    const mark = await create('Mark', { text: next(), about: { object: 'Person', id: third } });
    const pupil = await create('Person', { code: next(), mentor: copy });
    const merged = await merge(ada, [copy, third], { fields: { name: copy, city: third, code: third } });
    expect(merged.record).to.include({ id: ada, code, name: 'Ada B.', city: 'Zug', born: '1815-12-10', score: '4.5' });
    expect(merged.record).to.not.have.property('secret');
    expect(merged.moved).to.deep.equal([
      { object: 'Letter', field: 'person', count: 1 },
      { object: 'Mark', field: 'about', count: 1 },
      { object: 'Person', field: 'mentor', count: 1 },
      { object: 'Post', field: 'person', count: 1 },
      { object: 'Visit', field: 'person', count: 1 },
    ]);
    const graph = await graphOf(clinic);
    const at = (object: string, id: string, field: string): unknown => Object(graph[`${object} ${id}`])[field];
    for (const [object, id] of [
      ['Post', post],
      ['Visit', visit],
      ['Letter', letter],
    ] as const)
      expect(at(object, id, 'person')).to.deep.equal([ada, undefined]);
    expect(at('Mark', mark, 'about')).to.deep.equal(['Person', ada]);
    expect(at('Person', pupil, 'mentor')).to.deep.equal([ada, undefined]);
    expect(Object(at('Person', ada, 'secret'))[0], 'what the caller may not see is filled too').to.equal('hidden');
    expect([copy, third].map((id) => at('Person', id, 'trashed'))).to.deep.equal([true, true]);
  });

  it('keeps the histories, and reads them as one', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next(), city: 'Bern' })];
    await update('Person', copy, { city: 'Chur' });
    await merge(ada, [copy]);
    const history = await reader.history(clinic.db, clerk(), 'Person', ada);
    expect(history.map(({ record, version, kind }) => `${record === ada ? 'ada' : 'copy'} ${String(version)} ${kind}`).sort()).to.deep.equal([
      'ada 1 created',
      'ada 2 updated',
      'copy 1 created',
      'copy 2 updated',
      'copy 3 deleted',
    ]);
    expect(history.find(({ record, version }) => record === copy && version === 2)?.changes).to.deep.equal([
      { field: 'city', label: 'City', from: 'Bern', to: 'Chur' },
    ]);
    await undo('Person', ada);
    expect((await reader.history(clinic.db, clerk(), 'Person', ada)).every(({ record }) => record === ada)).to.equal(true);
  });

  it('previews without writing anything', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next(), city: 'Bern' })];
    await create('Visit', { person: copy });
    const before = await graphOf(clinic);
    const merged = await merge(ada, [copy], { preview: true });
    expect([merged.merge, merged.record?.['city'], merged.moved]).to.deep.equal([null, 'Bern', [{ object: 'Visit', field: 'person', count: 1 }]]);
    expect(await graphOf(clinic)).to.deep.equal(before);
    expect(await versionOf('Person', ada)).to.equal(1);
  });

  it('refuses what would clash once moved, with each record, and changes nothing', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next() })];
    const [place, other] = [await create('Place', { name: next() }), await create('Place', { name: next() })];
    await create('Post', { person: ada, place });
    const clash = await create('Post', { person: copy, place });
    await create('Post', { person: copy, place: other });
    const before = await graphOf(clinic);
    const error = await refused(merge(ada, [copy]));
    expect([error.code, error.extra['count'], error.errors.map(({ rule }) => rule)]).to.deep.equal(['conflict_unique', 1, ['Post']]);
    expect(error.errors[0]?.detail).to.include(clash);
    expect(await graphOf(clinic)).to.deep.equal(before);
  });

  it('names a stale record, a wrong choice, and what the caller may not do', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next(), name: 'Copy' })];
    const request = { survivor: { id: ada, version: 1 }, sources: [{ id: copy, version: 2 }], fields: {}, fill: true, preview: false };
    const attempt = (more: Partial<typeof request>, options: ContextOptions = {}) =>
      refused(mergeRecords(deps, clinic.db, clerk(options), 'Person', { ...request, ...more }));
    expect((await attempt({})).errors).to.have.nested.property('0.pointer', '/sources/0/version');
    expect((await attempt({ survivor: { id: ada, version: 7 } })).extra['current']).to.include({ id: ada, version: 1 });
    const good = { sources: [{ id: copy, version: 1 }] };
    expect((await attempt({ ...good, fields: { nmae: ada, name: clinic.model.hash } })).errors.map(({ pointer, code }) => `${pointer} ${code}`)).to.deep.equal([
      '/fields/nmae unknown_field',
      '/fields/name unknown_record',
    ]);
    expect((await attempt({ ...good, fields: { secret: copy } })).errors[0]?.detail).to.equal('Person has no field "secret" that you may choose.');
    expect((await attempt({ sources: [{ id: ada, version: 1 }] })).code).to.equal('bad_request');
    expect((await attempt({ sources: [] })).code).to.equal('bad_request');
    expect((await attempt(good, { sets: ['watcher'] })).code).to.equal('forbidden');
    expect((await attempt(good, { sets: [] })).code).to.equal('not_found');
  });

  it('is allowed by rights that rest on what is moved: the others have them until they are gone', async () => {
    const [stays, goes, unvisited] = [
      await create('Person', { code: next() }),
      await create('Person', { code: next() }),
      await create('Person', { code: next() }),
    ];
    for (const person of [stays, goes]) await create('Visit', { person, day: '2026-03-02' });
    expect((await refused(merge(stays, [unvisited], { sets: ['visitor'] }))).code).to.equal('not_found');
    const merged = await merge(stays, [goes], { sets: ['visitor'] });
    expect(merged.record?.['id']).to.equal(stays);
    expect((await refused(reader.get(clinic.db, clerk(), 'Person', goes))).code).to.equal('not_found');
  });

  it('moves mail and forms of the platform too, and back', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next() })];
    const ids = [clerk().newId(), clerk().newId(), clerk().newId()];
    await run(
      clinic.db,
      sql`insert into credenza.mail_delivery (id, key, message_id, class, template, recipient, subject, html, plain, about_object, about_id, state, next_attempt_at, created_at)
          values (${ids[0]}::uuid, ${next()}, 'x', 'campaign', 't', 'a@b.example', 's', 'h', 'p', 'Person', ${copy}::uuid, 'sent', now(), now())`,
    );
    for (const [index, record] of [copy, ada].entries())
      await run(
        clinic.db,
        sql`insert into credenza.submission (id, form, form_hash, object, record_id, state, created_at, updated_at) values (${ids[1 + index]}::uuid, 'f', 'h', 'Person', ${record}::uuid, 'draft', now(), now())`,
      );
    const pointers = async (): Promise<unknown> => [
      (await rows(clinic.db, sql`select about_id from credenza.mail_delivery where id = ${ids[0]}::uuid`))[0]?.['about_id'],
      (await rows(clinic.db, sql`select record_id from credenza.submission where id = ${ids[1]}::uuid`))[0]?.['record_id'],
    ];
    await merge(ada, [copy]);
    expect(await pointers(), 'a draft stays where the one that stays has its own').to.deep.equal([ada, copy]);
    await undo('Person', ada);
    expect(await pointers()).to.deep.equal([copy, copy]);
  });

  it('can be undone after later changes, which stay and are named', async () => {
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code: next(), city: 'Bern', name: 'Copy' })];
    const [kept, moved] = [await create('Visit', { person: copy }), await create('Visit', { person: copy })];
    const merged = await merge(ada, [copy]);
    await update('Person', ada, { city: 'Genf' });
    const other = await create('Person', { code: next() });
    await update('Visit', kept, { person: other });
    expect((await refused(undo('Person', ada, merged.merge, 1))).code).to.equal('conflict_version');
    const undone = await undo('Person', ada, merged.merge);
    expect([undone.undid, undone.record?.['city'], undone.record?.['name']]).to.deep.equal(['merged', 'Genf', null]);
    expect(undone.kept.map(({ object, id, field }) => [object, id, field])).to.deep.equal([
      ['Person', ada, 'city'],
      ['Visit', kept, 'person'],
    ]);
    const graph = await graphOf(clinic);
    expect(Object(graph[`Visit ${moved}`]).person[0]).to.equal(copy);
    expect((await refused(undo('Person', ada, merged.merge))).code).to.equal('conflict_state');
    expect((await refused(undo('Person', ada))).message).to.match(/undid a merge/);
  });

  it('cannot be undone while somebody holds the key of a merged record', async () => {
    const code = next();
    const [ada, copy] = [await create('Person', { code: next() }), await create('Person', { code })];
    await merge(ada, [copy]);
    await create('Person', { code });
    const before = await graphOf(clinic);
    const error = await refused(undo('Person', ada));
    expect([error.code, error.errors[0]?.pointer]).to.deep.equal(['conflict_unique', '/code']);
    expect(await graphOf(clinic)).to.deep.equal(before);
  });

  it('parts whatever was merged so that the graph is as before, for random graphs, choices and later changes', async () => {
    const index = fc.nat({ max: 3 });
    const link = fc.option(index, { nil: null });
    const shape = fc.record({
      people: fc.array(
        fc.record({
          mentor: link,
          name: fc.option(fc.constantFrom('Ada', 'Ben', 'Cleo'), { nil: null }),
          city: fc.option(fc.constantFrom('Bern', 'Zug'), { nil: null }),
        }),
        {
          minLength: 4,
          maxLength: 4,
        },
      ),
      posts: fc.uniqueArray(fc.tuple(index, fc.nat({ max: 5 })), { selector: ([, place]) => place, maxLength: 4 }),
      visits: fc.array(index, { maxLength: 4 }),
      letters: fc.array(link, { maxLength: 3 }),
      marks: fc.array(index, { maxLength: 3 }),
      sources: fc.subarray([1, 2, 3], { minLength: 1 }),
      choices: fc.dictionary(fc.constantFrom('name', 'city', 'mentor', 'code'), index, { maxKeys: 3 }),
      fill: fc.boolean(),
      later: fc.array(fc.constantFrom('visit', 'letter', 'name'), { maxLength: 2 }),
    });
    let cases = 0;
    await fc.assert(
      fc.asyncProperty(shape, async ({ people, posts, visits, letters, marks, sources, choices, fill, later }) => {
        const ids: string[] = [];
        for (const { name, city } of people) ids.push(await create('Person', { code: next(), name, city }));
        const id = (at: number): string => ids[at] ?? '';
        for (const [at, { mentor }] of people.entries()) if (mentor !== null && mentor !== at) await update('Person', id(at), { mentor: id(mentor) });
        for (const [whose] of posts) await create('Post', { person: id(whose), place: await create('Place', { name: next() }) });
        const seen: string[] = [];
        for (const whose of visits) seen.push(await create('Visit', { person: id(whose) }));
        const sent: string[] = [];
        for (const whose of letters) sent.push(await create('Letter', { subject: next(), person: whose === null ? null : id(whose) }));
        for (const whose of marks) await create('Mark', { text: next(), about: { object: 'Person', id: id(whose) } });
        const before = await graphOf(clinic);
        const group = [0, ...sources];
        const fields = Object.fromEntries(Object.entries(choices).flatMap(([field, at]) => (group.includes(at) ? [[field, id(at)]] : [])));
        const merged = await merge(id(0), sources.map(id), { fields, fill });
        const after = await graphOf(clinic);
        for (const [key, record] of Object.entries(after)) {
          if (Object(record).trashed === true) continue;
          for (const source of sources) expect(JSON.stringify(record), key).to.not.include(id(source));
        }
        const expected: Record<string, unknown> = { ...before };
        const edit = async (object: string, record: string, field: string, value: unknown): Promise<void> => {
          await update(object, record, { [field]: value });
          expected[`${object} ${record}`] = {
            ...Object(expected[`${object} ${record}`]),
            [field]: Object((await graphOf(clinic))[`${object} ${record}`])[field],
          };
        };
        for (const kind of later) {
          if (kind === 'name') await edit('Person', id(0), 'name', next());
          else if (kind === 'visit' && seen[0] !== undefined) await edit('Visit', seen[0], 'day', '2026-04-01');
          else if (kind === 'letter' && sent[0] !== undefined) await edit('Letter', sent[0], 'subject', next());
        }
        await undo('Person', id(0), merged.merge);
        expect(await graphOf(clinic)).to.deep.equal(expected);
        cases += 1;
      }),
      { numRuns: 60 },
    );
    process.stdout.write(`      ${String(cases)} merges undone\n`);
  }).timeout(300_000);
});

describe('undoing the last change', () => {
  const engine = makeRecordEngine();
  const reader = makeReader();
  const deps = { engine, reader };
  let clinic: Library;
  before(async () => {
    clinic = await makeClinic();
    await addPeople(clinic.db);
  });
  after(() => clinic.drop());
  const clerk = (options: ContextOptions = {}) => contextOf(clinic, options);
  const undo = (id: string, version: number, options: ContextOptions = {}): Promise<Undone> =>
    undoChange(deps, clinic.db, clerk(options), 'Person', { id, version, merge: null });

  it('takes back a change, a new record, and what went to the trash; and the undo itself', async () => {
    const made = await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'create', values: { code: 'u1', name: 'Ada', tags: ['a'] } });
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'update', id: made.id, version: 1, values: { name: 'Eve', tags: null, city: 'Bern' } });
    const first = await undo(made.id, 2);
    expect([first.undid, first.version, first.record?.['name'], first.record?.['tags'], first.record?.['city']]).to.deep.equal([
      'updated',
      3,
      'Ada',
      ['a'],
      null,
    ]);
    expect((await undo(made.id, 3)).record).to.include({ name: 'Eve', city: 'Bern', version: 4 });
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'delete', id: made.id, version: 4 });
    expect((await undo(made.id, 5)).record).to.include({ name: 'Eve', version: 6 });
    expect(await undo(made.id, 6)).to.deep.equal({ undid: 'restored', record: null, version: 7, kept: [] });
    const fresh = await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'create', values: { code: 'u2' } });
    expect(await undo(fresh.id, 1)).to.deep.equal({ undid: 'created', record: null, version: 2, kept: [] });
  });

  it('needs the version, and the rights that the change itself would need', async () => {
    const made = await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'create', values: { code: 'u3' } });
    await engine.writeOne(clinic.db, clerk(), 'Person', { kind: 'update', id: made.id, version: 1, values: { born: '1999-01-01' } });
    const stale = await refused(undo(made.id, 1));
    expect([stale.code, Object(stale.extra['current']).version]).to.deep.equal(['conflict_version', 2]);
    expect((await refused(undo(made.id, 2, { sets: ['narrow'] }))).errors).to.have.nested.property('0.code', 'forbidden_field');
    expect((await refused(undo(made.id, 2, { sets: ['watcher'] }))).code).to.equal('forbidden');
    expect((await refused(undo(made.id, 2, { sets: [] }))).code).to.equal('not_found');
  });
});
