import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { isAppError, type ErrorDetail } from '../../../src/platform/errors.ts';
import { assignIds } from '../../../src/platform/metadata/assign-ids.ts';
import { KINDS } from '../../../src/platform/metadata/kinds.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { fromStored, toStored } from '../../../src/platform/metadata/store-form.ts';
import { nearest } from '../../../src/platform/metadata/suggest.ts';
import { packageRoot } from '../../../src/platform/root.ts';

const GARDEN = { title: 'Garden', 'x-object': { plural: 'Gardens', name: '{name}' }, type: 'object', properties: { name: { type: 'string' } } };

describe('metadata files', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'metadata-'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function write(path: string, content: unknown, root = 'package'): string {
    const file = join(directory, root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return join(directory, root);
  }

  function findings(...roots: string[]): readonly ErrorDetail[] {
    try {
      loadMetadata(roots);
    } catch (error) {
      if (isAppError(error, 'metadata_invalid')) return error.errors;
      throw error;
    }
    return [];
  }

  it('reads every shipped file, and each has the id that it was given', () => {
    const set = loadMetadata([packageRoot()]);
    expect(set.objects.size).to.be.greaterThan(0);
    const lacking = KINDS.filter(({ kind }) => kind !== 'objects').flatMap(({ kind }) =>
      [...set[kind]].filter(([, file]) => !('id' in file)).map(([name]) => `${kind}/${name}`),
    );
    for (const [name, file] of set.objects) {
      if (file['x-object'].id === undefined) lacking.push(`objects/${name}`);
      for (const [field, schema] of Object.entries(file.properties)) if (schema['x-id'] === undefined) lacking.push(`objects/${name}.${field}`);
    }
    expect(lacking).to.deep.equal([]);
  });

  it('keeps all of a set when it is stored as JSON and read back', () => {
    const set = loadMetadata([packageRoot()]);
    expect(fromStored(JSON.parse(JSON.stringify(toStored(set))))).to.deep.equal(set);
  });

  it('names every mistake at once, with file, pointer and what was meant', () => {
    const root = write('objects/Garden.json', {
      ...GARDEN,
      properties: { name: { type: 'string', 'x-vlaues': 'kinds' }, at: { type: 'string', format: 'dat' }, Bad: { type: 'string' } },
    });
    write('rules/weed.json', { name: 'weed', on: { creatd: 'Garden' }, do: [{ step: 'creat', object: 'Garden', values: {} }] });
    write('paths/growth.json', {
      name: 'growth',
      object: 'Garden',
      field: 'status',
      initial: 'a',
      states: [{ name: 'a', label: 'A', kind: 'opne' }],
      transitions: [],
    });
    write('views/all.json', { name: 'every', label: 'All', object: 'Garden', columns: ['name'] });
    write('forms/broken.json', '{ "name": ');
    write('polices/x.json', {});
    const found = findings(root);
    const at = (pointer: string): ErrorDetail | undefined => found.find((entry) => entry.pointer === pointer);
    expect(at('metadata/objects/Garden.json#/properties/name/x-vlaues')?.fix).to.equal('Did you mean x-values?');
    expect(at('metadata/objects/Garden.json#/properties/at/format')?.fix).to.equal('Did you mean date?');
    expect(at('metadata/objects/Garden.json#/properties/Bad')?.code).to.equal('wrong_format');
    expect(at('metadata/rules/weed.json#/on/creatd')?.fix).to.equal('Did you mean created?');
    expect(at('metadata/rules/weed.json#/on')?.detail).to.match(/Exactly one trigger/);
    expect(at('metadata/rules/weed.json#/do/0')?.fix).to.equal('Did you mean create?');
    expect(at('metadata/paths/growth.json#/states/0/kind')?.fix).to.equal('Did you mean open?');
    expect(at('metadata/views/all.json#/name')?.code).to.equal('wrong_name');
    expect(at('metadata/forms/broken.json')?.code).to.equal('bad_json');
    expect(at('metadata/polices')?.code).to.equal('unknown_folder');
  });

  it('refuses a trigger whose parts do not belong together', () => {
    const root = write('rules/two.json', { name: 'two', on: { created: 'Garden', updated: 'Garden' }, do: [{ step: 'assign', queue: 'x' }] });
    write('rules/part.json', { name: 'part', on: { entered: 'Garden' }, do: [{ step: 'assign', queue: 'x' }] });
    const found = findings(root);
    expect(found.map((entry) => entry.pointer)).to.include.members(['metadata/rules/two.json#/on', 'metadata/rules/part.json#/on']);
  });

  it('lays packages over each other: by name, with more values, keeping ids', () => {
    const below = write(
      'metadata/objects/Garden.json',
      { ...GARDEN, 'x-object': { ...GARDEN['x-object'], id: '0123456789ab' }, properties: { name: { type: 'string', 'x-id': 'cdefghjkmnpq' } } },
      'below',
    );
    write(
      'metadata/value-sets/soil.json',
      {
        name: 'soil',
        values: [
          { code: 'sand', label: 'Sand' },
          { code: 'clay', label: 'Clay' },
        ],
      },
      'below',
    );
    write('templates/mail/hello.hbs', 'Hello', 'below');
    const above = write(
      'objects/Garden.json',
      { ...GARDEN, title: 'Plot', properties: { name: { type: 'string', maxLength: 10 }, size: { type: 'integer' } } },
      'above',
    );
    write(
      'value-sets/soil.json',
      {
        name: 'soil',
        values: [
          { code: 'clay', label: 'Heavy' },
          { code: 'peat', label: 'Peat' },
        ],
      },
      'above',
    );
    write('templates/mail/hello.hbs', 'Good day', 'above');
    const set = loadMetadata([below, above]);
    const garden = set.objects.get('Garden');
    expect(garden?.title).to.equal('Plot');
    expect(garden?.['x-object'].id).to.equal('0123456789ab');
    expect(garden?.properties['name']).to.deep.equal({ type: 'string', maxLength: 10, 'x-id': 'cdefghjkmnpq' });
    expect(set.valueSets.get('soil')?.values.map((value) => value.label)).to.deep.equal(['Sand', 'Heavy', 'Peat']);
    expect(set.templates.get('mail/hello')).to.equal('Good day');
  });

  it('puts the text of a holiday file into the set, and misses one that is not there', () => {
    const calendar = { name: 'plan', zone: 'America/New_York', weekdays: [1], holidays: [{ csv: 'calendars/days.csv' }] };
    const root = write('calendars/plan.json', calendar);
    expect(findings(root).map((entry) => entry.code)).to.deep.equal(['unknown_file']);
    write('calendars/days.csv', 'date,name\n2027-01-01,New Year\n');
    expect(loadMetadata([root]).calendars.get('plan')?.holidays).to.deep.equal([{ csv: 'date,name\n2027-01-01,New Year\n' }]);
    write('calendars/plan.json', { ...calendar, holidays: [{ csv: '../outside.csv' }] });
    write('outside.csv', 'date,name\n', '.');
    expect(findings(root).map((entry) => entry.code)).to.deep.equal(['unknown_file']);
  });

  it('says which directory is missing', () => {
    expect(() => loadMetadata([join(directory, 'nowhere')])).to.throw(/nowhere does not exist/);
  });

  it('writes the ids that lack into the files once, and changes nothing else', () => {
    const root = write('objects/Garden.json', GARDEN);
    const path = join(root, 'objects/Garden.json');
    write('views/all.json', { name: 'all', label: 'All', object: 'Garden', columns: ['name'] });
    const before = readFileSync(path, 'utf8');
    expect(() => assignIds(root, true)).to.throw(/Ids are missing/);
    expect(readFileSync(path, 'utf8')).to.equal(before);
    expect(assignIds(root, false)).to.have.length(2);
    const garden = loadMetadata([root]).objects.get('Garden');
    expect(garden?.['x-object'].id).to.match(/^[0-9a-hjkmnp-tv-z]{12}$/);
    expect(garden?.properties['name']?.['x-id']).to.match(/^[0-9a-hjkmnp-tv-z]{12}$/);
    const after = readFileSync(path, 'utf8');
    expect(assignIds(root, true)).to.deep.equal([]);
    expect(readFileSync(path, 'utf8')).to.equal(after);
  });
});

describe('suggestions', () => {
  it('finds what was meant, and nothing when nothing was', () => {
    expect(nearest('expries', ['expires', 'exports'])).to.equal('expires');
    expect(nearest('stauts', ['status', 'state'])).to.equal('status');
    expect(nearest('colour', ['weight'])).to.equal(null);
  });
});
