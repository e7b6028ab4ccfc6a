import { expect } from 'chai';
import fc from 'fast-check';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { fieldType } from '../../src/platform/model/field-types.ts';
import type { ObjectModel } from '../../src/platform/model/types.ts';
import { kindFields, kindValues, withKinds } from '../platform/record/fixtures/kinds.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const ROOT = '/api/v1/records';
const RUNS = 60;

describe('fields of every kind through the API', function () {
  this.timeout(300_000);
  let product: TestApp;
  let admin: Client;
  let sample: ObjectModel;
  const ids: Record<string, string[]> = { Plot: [], Shed: [] };
  const files: string[] = [];

  before(async () => {
    product = await startTestApp();
    await product.app.store.apply(withKinds(loadMetadata(metadataDirectories([]))), 'test');
    const found = (await product.app.store.load()).objects.get('Sample');
    if (found === undefined) throw new Error('no Sample');
    sample = found;
    admin = await product.caller('administrator');
    for (const object of ['Plot', 'Plot', 'Shed']) ids[object]?.push(await made(object, { name: `${object} ${String(ids[object].length)}` }));
    const file = await admin('POST', '/api/v1/files?name=a.txt', 'words', { 'content-type': 'text/plain' });
    expect(file.status, file.text).to.equal(201);
    files.push(String(at(file.body, 'data.id')));
  });
  after(() => product.stop());

  async function made(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `${ROOT}/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }

  const asKept = (values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
    Object.fromEntries(
      Object.keys(kindFields('sample')).map((name) => {
        const field = sample.fields.get(name);
        return [name, field === undefined ? undefined : fieldType(field).parse(values[name] ?? null, field)];
      }),
    );
  const settable = (record: unknown): Readonly<Record<string, unknown>> =>
    Object.fromEntries(Object.keys(kindFields('sample')).map((name) => [name, at(record, name)]));

  it(`are kept as they were sent, changed and cleared, for ${String(RUNS)} records of random values`, async () => {
    const values = kindValues(ids['Plot'] ?? [], ids['Shed'] ?? [], files);
    await fc.assert(
      fc.asyncProperty(values, values, async (first, second) => {
        const id = await made('Sample', first);
        const path = `${ROOT}/Sample/${id}`;
        expect(settable(at((await admin('GET', path)).body, 'data'))).to.deep.equal(asKept(first));
        const changed = await admin('PATCH', path, second, { 'if-match': '"v1"' });
        expect(changed.status, changed.text).to.equal(200);
        const after = await admin('GET', path);
        expect(settable(at(after.body, 'data'))).to.deep.equal(asKept({ ...first, ...second }));
        const etag = after.headers.get('etag') ?? '';
        const nothing = Object.fromEntries(Object.keys(kindFields('sample')).map((name) => [name, null]));
        const cleared = await admin('PATCH', path, nothing, { 'if-match': etag });
        expect(cleared.status, cleared.text).to.equal(200);
        expect(settable(at((await admin('GET', path)).body, 'data'))).to.deep.equal(nothing);
      }),
      { numRuns: RUNS, seed: 20_270_501 },
    );
    process.stdout.write(`      ${String(RUNS)} records of ${String(Object.keys(kindFields('sample')).length)} kinds\n`);
  });

  it('say in words what a value should look like', async () => {
    const wrong: Readonly<Record<string, readonly [unknown, string]>> = {
      geo: ['91, 0', 'not_a_place'],
      address: [{ street: 'x' }, 'not_an_address'],
      polymorphic: [{ object: 'Sample', id: ids['Plot']?.[0] }, 'not_a_value'],
      reference: ['Plot', 'not_a_reference'],
      file: ['a.txt', 'not_a_file'],
      multiPicklist: [['red', 'pink'], 'not_a_value'],
      picklist: ['pink', 'not_a_value'],
      time: ['25:00', 'not_a_time'],
      phone: ['12', 'not_a_phone'],
    };
    for (const [name, [value, code]] of Object.entries(wrong)) {
      const answer = await admin('POST', `${ROOT}/Sample`, { [name]: value });
      expect([name, answer.status, at(answer.body, 'errors.0.code')]).to.deep.equal([name, 422, code]);
      expect(String(at(answer.body, 'errors.0.pointer')).startsWith(`/${name}`), answer.text).to.equal(true);
    }
    for (const name of ['sequence', 'doubled', 'plotName'])
      expect(at((await admin('POST', `${ROOT}/Sample`, { [name]: '1' })).body, 'errors.0.code'), name).to.equal('read_only');
  });

  it('are found by the conditions that their kind has', async () => {
    const plot = await made('Plot', { name: 'Search' });
    const full = await made('Sample', {
      reference: plot,
      polymorphic: { object: 'Plot', id: plot },
      geo: '42.10150, -72.5898',
      multiPicklist: ['red', 'green'],
      address: { line1: 'x' },
      file: files[0],
      textList: ['a;b', 'c'],
      duration: 'P3M',
      time: '8:30',
    });
    const empty = await made('Sample', { reference: plot });
    const found = async (query: string): Promise<readonly unknown[]> => {
      const answer = await admin('GET', `${ROOT}/Sample?sort=id&${query}`);
      const data = at(answer.body, 'data');
      return Array.isArray(data) ? data.map((record: unknown) => at(record, 'id')) : [answer.text];
    };
    const where = (filter: string): Promise<readonly unknown[]> => found(`filter=${encodeURIComponent(`reference == '${plot}' && ${filter}`)}`);
    expect(await where("geo == '42.1015,-72.5898'")).to.deep.equal([full]);
    expect(await found(`reference=${plot}&geo=${encodeURIComponent('42.1015, -72.5898')}`)).to.deep.equal([full]);
    expect(await where("'green' in multiPicklist")).to.deep.equal([full]);
    expect(await where("!('green' in multiPicklist)")).to.deep.equal([empty]);
    expect(await found(`reference=${plot}&multiPicklist=red`)).to.deep.equal([full]);
    expect(await where("'a;b' in textList")).to.deep.equal([full]);
    expect(await where(`polymorphic == '${plot}'`)).to.deep.equal([full]);
    expect(await where("reference.name == 'Search'")).to.deep.equal([full, empty]);
    for (const name of ['geo', 'multiPicklist', 'address', 'file', 'polymorphic', 'textList', 'duration', 'time']) {
      expect(await where(`${name} == null`), name).to.deep.equal([empty]);
      expect(await where(`${name} != null`), name).to.deep.equal([full]);
    }
    const expanded = await admin('GET', `${ROOT}/Sample/${full}?expand=polymorphic`);
    expect(at(expanded.body, 'data.expanded.polymorphic.name')).to.equal('Search');
    expect(at((await admin('GET', `${ROOT}/Plot/${plot}?expand=sampleNotes`)).body, 'data.expanded.sampleNotes.data.0.id')).to.equal(full);
    const file = await admin('GET', `${ROOT}/Sample/${full}/files/file`);
    expect([file.status, file.text]).to.deep.equal([200, 'words']);
  });

  it('feed formulas that are computed when read: shown, filtered, grouped, and never older than what they read', async () => {
    const plot = await made('Plot', { name: 'Old' });
    const values = { reference: plot, integer: 21, text: 'T', picklist: 'red', multiPicklist: ['red'], date: '2026-05-31', decimal: '1', geo: '1,2' };
    const id = await made('Sample', values);
    const record = async (): Promise<unknown> => at((await admin('GET', `${ROOT}/Sample/${id}`)).body, 'data');
    expect(await record()).to.include({
      doubled: 42,
      full: 'T / red',
      isLate: true,
      parted: '0.047619047619',
      plotName: 'Old',
      isRed: true,
      isPlaced: true,
      version: 1,
    });
    await admin('PATCH', `${ROOT}/Plot/${plot}`, { name: 'New' }, { 'if-match': '"v1"' });
    expect(await record(), 'what a formula reads may change without the record').to.include({ plotName: 'New', version: 1 });
    expect((await admin('GET', `${ROOT}/Plot/${plot}`)).body).to.have.nested.property('data.sampleCount', 1);
    const other = await made('Sample', { reference: plot, integer: 4, decimal: '1', date: '2026-06-01' });
    const ask = async (filter: string): Promise<unknown> => {
      const data = at((await admin('GET', `${ROOT}/Sample?fields=doubled&filter=${encodeURIComponent(`reference == '${plot}' && ${filter}`)}`)).body, 'data');
      return Array.isArray(data) ? data.map((entry: unknown) => at(entry, 'id')) : data;
    };
    expect(await ask('doubled > 10')).to.deep.equal([id]);
    expect(await ask('isLate')).to.deep.equal([id]);
    expect(await ask("!isLate && plotName == 'New'")).to.deep.equal([other]);
    expect(await ask('full == null')).to.deep.equal([other]);
    const sums = await admin('POST', `${ROOT}/Sample/aggregate`, {
      filter: `reference == '${plot}'`,
      groupBy: ['isLate'],
      measures: [{ as: 'n', op: 'sum', field: 'doubled' }],
    });
    expect(at(sums.body, 'data'), sums.text).to.deep.equal([
      { isLate: false, n: '8' },
      { isLate: true, n: '42' },
    ]);
  });

  it('number records without a gap or a twin when many are made at once', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => admin('POST', `${ROOT}/Sample`, {})));
    const numbers = answers.map((answer) => Number(/^K-(\d{4,})$/.exec(String(at(answer.body, 'data.sequence')))?.[1])).sort((left, right) => left - right);
    expect(new Set(numbers).size).to.equal(40);
    expect((numbers.at(-1) ?? 0) - (numbers[0] ?? 0)).to.equal(39);
    const [first = 0] = numbers;
    expect((await admin('POST', `${ROOT}/Sample`, { geo: 'nowhere' })).status).to.equal(422);
    const next = await admin('POST', `${ROOT}/Sample`, {});
    expect(at(next.body, 'data.sequence'), 'what was refused takes no number').to.equal(`K-${String(first + 40).padStart(4, '0')}`);
  });
});
