import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import { runCommand } from '../../src/cli/main.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { KINDS } from '../../src/platform/metadata/kinds.ts';
import { fileChecks } from '../../src/platform/metadata/validator.ts';
import { makeModelStore, type ModelStore } from '../../src/platform/schema/store.ts';
import { packageRoot } from '../../src/platform/root.ts';
import { ident, run, schemaOf, sql } from '../../src/platform/sql.ts';
import { makeShippedDatabase, type TestDatabase } from '../support/database.ts';
import { at } from '../support/app.ts';

const GARDEN = {
  title: 'Garden',
  'x-object': { plural: 'Gardens', name: '{name}' },
  type: 'object',
  properties: { name: { type: 'string' }, area: { type: 'string' } },
};

describe('credenza metadata', () => {
  let database: TestDatabase;
  let directory: string;
  let store: ModelStore;

  beforeEach(async () => {
    database = await makeShippedDatabase();
    store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    directory = mkdtempSync(join(tmpdir(), 'credenza-metadata-'));
  });
  afterEach(async () => {
    await database.drop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function credenza(...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> {
    let out = '';
    let said = '';
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += `${text}\n`),
      stdin: Readable.from([]),
      isTerminal: false,
      directory,
    };
    const code = await runCommand(['metadata', ...words], io, { DATABASE_URL: database.url, LOG_LEVEL: 'silent' });
    return { code, out, said };
  }

  async function json(...words: readonly string[]): Promise<unknown> {
    const answer = await credenza(...words, '--json');
    expect(answer.code, answer.said).to.equal(0);
    return JSON.parse(answer.out);
  }

  function write(path: string, content: unknown): void {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), JSON.stringify(content));
  }

  const garden = async () => (await store.load()).objects.get('Garden');

  it('plans and applies a package, writes its ids into the files, and then has nothing to do', async () => {
    write('pack/metadata/objects/Garden.json', GARDEN);
    const planned = await json('plan', 'pack');
    expect(at(planned, 'steps.0.description')).to.equal('Create the table of Garden');
    expect(await garden()).to.equal(undefined);
    const stale = await credenza('apply', 'pack', '--hash', 'f00d');
    expect(stale).to.include({ code: 1, out: '' });
    expect(stale.said).to.contain('The plan is another one by now');
    const applied = await credenza('apply', 'pack', '--hash', String(at(planned, 'hash')));
    expect(applied.code, applied.said).to.equal(0);
    expect(applied.said).to.contain('Wrote new ids into metadata/objects/Garden.json');
    const file: unknown = JSON.parse(readFileSync(join(directory, 'pack/metadata/objects/Garden.json'), 'utf8'));
    expect(at(file, 'x-object.id')).to.equal((await garden())?.id);
    expect((await credenza('apply', 'pack')).out).to.equal('Nothing to do.\n');
    expect(await credenza('diff', 'pack', '--exit-code')).to.include({ code: 0, out: 'The files say what is in force.\n' });
    // Without a directory the package applied last stays, as at every start; it goes when that is asked for.
    expect((await credenza('plan')).out).to.equal('Nothing to do.\n');
    expect((await credenza('plan', '--shipped')).out).to.match(/Hide the object Garden with 0 records, kept until \d{4}-\d\d-\d\d at least/);
  });

  it('remarks on what is unused, not shown, without labels or in conflict, and finds nothing of that in what is shipped', async () => {
    expect(await json('check')).to.deep.equal({ ok: true, errors: [], remarks: [] });
    const { properties } = GARDEN;
    const more = {
      soil: { type: 'string' },
      note: { type: 'string' },
      size: { type: 'string', 'x-formula': "area == null ? null : area == 'wide' ? 'large' : 'very-small'" },
      form: { type: 'string', 'x-formula': "coalesce(shape, 'round')" },
      said: { type: 'string', 'x-formula': "area == 'wide' ? 'Large garden' : area" },
      shape: { type: 'string', 'x-values': 'shapes' },
      shapeAgain: { type: 'string', 'x-values': 'shapes', 'x-formula': 'shape' },
    };
    write('pack/metadata/value-sets/shapes.json', { name: 'shapes', values: [{ code: 'round', label: 'Round' }] });
    write('pack/metadata/objects/Garden.json', { ...GARDEN, properties: { ...properties, ...more } });
    write('pack/metadata/layouts/garden.json', {
      name: 'garden',
      object: 'Garden',
      highlights: ['name'],
      sections: [{ title: 'Garden', fields: ['area', 'size', 'form', 'said', 'shape', 'shapeAgain'] }],
      related: [],
    });
    write('pack/metadata/views/gardens.json', { name: 'gardens', label: 'Gardens', object: 'Garden', columns: ['name', 'note'] });
    write('pack/metadata/value-sets/soils.json', { name: 'soils', values: [{ code: 'loam', label: 'Loam' }] });
    const rule = (name: string, area: string, when?: string): void =>
      write(`pack/metadata/rules/${name}.json`, {
        name,
        on: { created: 'Garden' },
        ...(when === undefined ? {} : { when }),
        do: [{ step: 'update', values: { area } }],
      });
    rule('small', "'small'");
    rule('large', "'large'");
    rule('named', "'named'", 'name != null');
    const remarks = at(await json('check', 'pack'), 'remarks');
    expect(Array.isArray(remarks) ? remarks.map((remark: unknown) => [at(remark, 'code'), at(remark, 'detail')]) : remarks).to.deep.equal([
      ['unused_field', 'Nothing names Garden.soil.'],
      ['field_not_shown', 'No layout of Garden shows Garden.note.'],
      ['codes_without_labels', 'Garden.size shows codes, for it has no labels.'],
      ['codes_without_labels', 'Garden.form shows codes, for it has no labels.'],
      ['unused_value_set', 'No field has the values soils.'],
      ['conflicting_rules', 'The rules large and small set area on the same event, under the same conditions, to different values.'],
    ]);
    expect((await credenza('check', 'pack')).out).to.contain('The metadata is in order.\nRemark: Nothing names Garden.soil. Put it on');
  });

  it('runs the tests in rules: what failed, where, with what was found; a start does not wait for them', async () => {
    const shipped: unknown = JSON.parse(readFileSync(join(packageRoot(), 'metadata/rules/application-created.json'), 'utf8'));
    write('pack/metadata/rules/application-created.json', { ...Object(shipped), when: "status == 'draft'" });
    const checked = await credenza('check', 'pack', '--json');
    expect(checked.code).to.equal(1);
    expect(JSON.parse(checked.out)).to.deep.equal({
      ok: false,
      errors: [
        {
          pointer: 'metadata/rules/application-created.json#/tests/1/expect',
          code: 'rule_test_failed',
          detail: 'Expected the steps [], but they were [action, send-mail].',
          fix: 'Correct the rule, or what the test expects.',
        },
      ],
    });
    const told = await credenza('check', 'pack');
    expect([told.code, told.out]).to.deep.equal([1, '']);
    expect(told.said).to.contain('application-created.json#/tests/1/expect').and.to.contain('Expected the steps [], but they were [action, send-mail].');
    expect((await credenza('apply', 'pack')).code).to.equal(1);
    const when = async () => (await store.load()).rules.get('application-created')?.when;
    expect(await when()).to.equal(at(shipped, 'when'));
    const wish = { kind: 'files', set: loadMetadata(metadataDirectories([join(directory, 'pack')])), package: null } as const;
    await store.apply(wish, 'system:start', { withTests: false });
    expect(await when()).to.equal("status == 'draft'");
  });

  it('writes the data dictionary of what is in force', async () => {
    write('pack/metadata/objects/Garden.json', { ...GARDEN, description: 'A place | with <beds>.' });
    await credenza('apply', 'pack');
    const { out } = await credenza('dictionary');
    expect(out)
      .to.contain('## Garden (`Garden`)')
      .and.to.contain(String.raw`A place \| with \<beds\>.`);
    expect(out).to.contain('| `npi` |').and.to.contain('[Provider](#provider)').and.to.contain('### Path').and.to.contain('### Rules on its records');
    for (const object of (await store.load()).objects.values()) expect(out).to.contain(`(\`${object.name}\`)`);
    expect((await credenza('dictionary', '--out', 'dictionary.md')).out).to.equal('');
    expect(readFileSync(join(directory, 'dictionary.md'), 'utf8')).to.equal(out);
  });

  it('refuses a locked package without ids', async () => {
    write('pack/metadata/objects/Garden.json', GARDEN);
    const answer = await credenza('apply', 'pack', '--locked');
    expect(answer).to.include({ code: 1, out: '' });
    expect(answer.said).to.contain('Ids are missing and the package is locked.');
    expect(await garden()).to.equal(undefined);
  });

  it('goes back to a version and forward again, with a dry run', async () => {
    write('pack/metadata/objects/Garden.json', GARDEN);
    await credenza('apply', 'pack');
    const before = (await store.load()).version;
    const object: unknown = JSON.parse(readFileSync(join(directory, 'pack/metadata/objects/Garden.json'), 'utf8'));
    write('pack/metadata/objects/Garden.json', { ...Object(object), properties: { name: at(object, 'properties.name') } });
    await credenza('apply', 'pack');
    expect((await garden())?.fields.has('area')).to.equal(false);
    const dry = await credenza('rollback', '--dry-run');
    expect(dry.out).to.contain('Show the field Garden.area again, with the values that it had');
    expect((await credenza('rollback', String(before))).code).to.equal(0);
    expect((await garden())?.fields.has('area')).to.equal(true);
    const versions = await json('versions');
    expect(at(versions, '0.note')).to.equal(`back to version ${String(before)}`);
    expect(at(versions, '0.package')).to.equal('pack');
    expect((await credenza('rollback', '4711')).said).to.contain('There is no version 4711 of the metadata.');
    expect(await credenza('rollback', 'first')).to.include({ code: 2 });
  });

  it('keeps local changes over new files, says what clashes, and writes them out as a package that says the same', async () => {
    write('pack/metadata/objects/Garden.json', GARDEN);
    await credenza('apply', 'pack');
    const { set } = await store.recorded();
    const file = set.objects.get('Garden');
    if (file === undefined) throw new Error('There is no garden.');
    const soil = { ...file, title: 'Plot', properties: { ...file.properties, soil: { type: 'string' as const } } };
    const [welcome] = [...set.rules.keys()];
    const rules = new Map([...set.rules].filter(([name]) => name !== welcome));
    await store.apply({ kind: 'change', set: { ...set, rules, objects: new Map([...set.objects, ['Garden', soil]]) } }, 'test');
    write('pack/metadata/objects/Garden.json', {
      ...JSON.parse(readFileSync(join(directory, 'pack/metadata/objects/Garden.json'), 'utf8')),
      title: 'Yard',
      description: 'Green.',
    });
    const diff = await credenza('diff', 'pack', '--exit-code');
    expect(diff.code).to.equal(1);
    expect(diff.out)
      .to.contain('/description: nothing -> "Green."')
      .and.to.contain(`- rule ${welcome ?? ''}`);
    expect(diff.said).to.contain('Local change kept at metadata/objects/Garden.json#/title: "Plot", where the files now say "Yard".');
    expect((await credenza('apply', 'pack')).code).to.equal(0);
    expect([(await garden())?.label, (await garden())?.description, (await garden())?.fields.has('soil')]).to.deep.equal(['Plot', 'Green.', true]);
    const pulled = await json('pull', 'pulled');
    expect(at(pulled, 'files')).to.deep.equal(['metadata/objects/Garden.json', 'metadata/removed.json']);
    expect((await credenza('plan', 'pulled')).out).to.equal('Nothing to do.\n');
    // The same package on a database that has seen none of this gives the same metadata.
    const fresh = await makeShippedDatabase();
    try {
      const first = await store.recorded();
      let said = '';
      const io = { out: () => undefined, say: (text: string) => void (said += text), stdin: Readable.from([]), isTerminal: false, directory };
      expect(await runCommand(['metadata', 'apply', 'pulled', '--locked'], io, { DATABASE_URL: fresh.url }), said).to.equal(0);
      const second = await makeModelStore({ db: fresh.db, clock: systemClock, extensions: EXTENSIONS }).recorded();
      expect(second.set.objects.get('Garden')).to.deep.equal(first.set.objects.get('Garden'));
      expect([...second.set.rules.keys()].sort()).to.deep.equal([...first.set.rules.keys()].sort());
    } finally {
      await fresh.drop();
    }
  });

  it('pulls every file with --all: the shipped ones as they are', async () => {
    await credenza('pull', 'all', '--all');
    for (const { folder } of KINDS) {
      const shipped = join(packageRoot(), 'metadata', folder);
      const names = existsSync(shipped) ? readdirSync(shipped) : [];
      for (const name of names.filter((entry) => entry.endsWith('.json'))) {
        const text = readFileSync(join(directory, 'all/metadata', folder, name), 'utf8');
        expect(JSON.parse(text), name).to.deep.equal(JSON.parse(readFileSync(join(shipped, name), 'utf8')));
      }
    }
    cpSync(join(directory, 'all'), join(directory, 'again'), { recursive: true });
    await credenza('pull', 'again', '--all');
    expect(readFileSync(join(directory, 'again/metadata/objects', readdirSync(join(directory, 'again/metadata/objects'))[0] ?? ''), 'utf8')).to.equal(
      readFileSync(join(directory, 'all/metadata/objects', readdirSync(join(directory, 'all/metadata/objects'))[0] ?? ''), 'utf8'),
    );
    expect((await credenza('plan', 'all')).out).to.equal('Nothing to do.\n');
  });

  it('makes new files of every kind that the linter takes, with ids, and never over another', async () => {
    for (const entry of KINDS) {
      const name = entry.kind === 'objects' ? 'Fern' : 'green-fern';
      const answer = await credenza('new', entry.schema, name, 'pack');
      expect(answer, entry.kind).to.deep.equal({ code: 0, out: `pack/metadata/${entry.folder}/${name}.json\n`, said: '' });
      const content: unknown = JSON.parse(readFileSync(join(directory, answer.out.trim()), 'utf8'));
      expect(fileChecks().get(entry.kind)?.(content, name), entry.kind).to.deep.equal([]);
      expect(String(entry.kind === 'objects' ? at(content, 'x-object.id') : at(content, 'id'))).to.match(/^[0-9a-z]{12}$/);
    }
    expect((await credenza('new', 'object', 'Fern', 'pack')).said).to.contain('pack/metadata/objects/Fern.json exists already.');
    expect((await credenza('new', 'rle', 'x')).said).to.contain('Did you mean rule?');
    expect((await credenza('new', 'rule', 'GreenFern')).said).to.contain('such names are kebab-case');
    expect((await credenza('new', 'object', 'Moss', 'pack', '--dry-run')).out).to.contain('"title": "Moss"');
    expect(existsSync(join(directory, 'pack/metadata/objects/Moss.json'))).to.equal(false);
  });

  it('reports where the database is not as recorded, and what it keeps of what was hidden', async () => {
    expect(await credenza('drift')).to.include({ code: 0, said: '' });
    write('pack/metadata/objects/Garden.json', GARDEN);
    await credenza('apply', 'pack');
    const object = await garden();
    const table = ident(schemaOf(database.db), object?.table ?? '');
    await run(database.db, sql`alter table ${table} add column stray text`);
    await run(database.db, sql`alter table ${table} alter column ${ident(object?.fields.get('area')?.column ?? '')} type varchar(10)`);
    await run(database.db, sql`drop index ${ident(schemaOf(database.db), `${object?.table ?? ''}_owner`)}`);
    await run(database.db, sql`create table ${ident(schemaOf(database.db), 'stray_twin')} (like ${table})`);
    const drifted = await credenza('drift');
    expect(drifted.code).to.equal(1);
    expect(drifted.out)
      .to.match(/unknown +Garden \(garden_\w+\.stray\): No metadata knows this column\./)
      .and.to.match(/different +Garden .*The column is character varying\(10\) and should be text\./)
      .and.to.match(/missing +Garden .*_owner\): The index on owner is not there\./)
      .and.to.match(/unknown +stray_twin: No metadata knows this table\./);
    await credenza('apply', '--shipped');
    const report = await credenza('drift', '--json');
    expect(at(JSON.parse(report.out), 'kept.0.what')).to.equal('object Garden');
  });
});
