import { expect } from 'chai';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { makeVirtualClock } from '../../src/platform/clock.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';
import { clubObjects } from '../platform/record/fixtures/club.ts';
import { gardenObjects } from '../platform/record/fixtures/gardens.ts';

const ROOT = '/api/v1/records';

describe('derived values and time through the API', () => {
  const clock = makeVirtualClock('2027-05-01T12:00:00.000Z');
  let product: TestApp;
  let admin: Client;

  before(async () => {
    product = await startTestApp({ clock });
    const shipped = loadMetadata(metadataDirectories([]));
    await product.app.store.apply({ ...shipped, objects: new Map([...shipped.objects, ...Object.entries({ ...clubObjects(), ...gardenObjects() })]) }, 'test');
    await product.app.store.load();
    admin = await product.caller('administrator');
  });
  after(() => product.stop());

  const made = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> => {
    const answer = await admin('POST', `${ROOT}/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  };

  it('shows roll-ups in records, lists, filters and order, and the same ETag as before', async () => {
    const garden = await made('Garden', { name: 'Rose' });
    const before = await admin('GET', `${ROOT}/Garden/${garden}`);
    expect(at(before.body, 'data.plantCount')).to.equal(0);
    for (const height of [20, 120]) await made('Plant', { label: 'n', garden, height, price: '2.50', kept: true });
    const after = await admin('GET', `${ROOT}/Garden/${garden}`);
    expect(after.headers.get('etag')).to.equal(before.headers.get('etag'));
    expect(at(after.body, 'data.plantCount')).to.equal(2);
    expect(at(after.body, 'data.hotWorth')).to.equal('5');
    const listed = await admin(
      'GET',
      `${ROOT}/Garden?filter=${encodeURIComponent("hotCount >= 2 && worth > 4 && name == 'Rose'")}&sort=-hotWorth&fields=worth,hotCount`,
    );
    expect(at(listed.body, 'data.0')).to.deep.equal({ id: garden, version: 1, worth: '5', hotCount: 2 });
    const described = await admin('GET', '/api/v1/objects/Garden');
    const field = (name: string): unknown => {
      const fields = at(described.body, 'data.fields');
      return Array.isArray(fields) ? fields.find((entry: unknown) => at(entry, 'name') === name) : undefined;
    };
    expect(field('plantCount')).to.include({ kind: 'rollup', readOnly: true, sortable: true });
    const refused = await admin('PATCH', `${ROOT}/Garden/${garden}`, { plantCount: 9 }, { 'if-match': '"v1"' });
    expect([refused.status, at(refused.body, 'errors.0.code')]).to.deep.equal([422, 'read_only']);
    const counts = await product.app.worker.drain();
    expect(counts['rollups']).to.be.greaterThan(0);
    expect(at((await admin('GET', `${ROOT}/Garden/${garden}`)).body, 'data.hotWorth')).to.equal('5');
  });

  it('answers what was in force on a day, and what was known at a moment', async () => {
    const person = await made('Person', { name: 'Ivy' });
    const first = await made('Place', { person, section: 'chess', board: 1, since: '2027-01-01' });
    clock.advanceTo('2027-05-02T12:00:00.000Z');
    const path = `${ROOT}/Place/${first}/succeed`;
    expect((await admin('POST', path, { since: '2027-06-01' })).status).to.equal(428);
    expect((await admin('POST', path, { since: '2027-06-01' }, { 'if-match': '"v9"' })).status).to.equal(412);
    expect((await admin('POST', path, { since: '2027-06-01', board: 'x' }, { 'if-match': '"v1"' })).status).to.equal(422);
    const next = await admin('POST', path, { since: '2027-06-01', board: 2 }, { 'if-match': '"v1"', 'idempotency-key': 'succession-1' });
    expect(next.status, next.text).to.equal(201);
    expect(next.headers.get('etag')).to.equal('"v1"');
    expect(next.headers.get('location')).to.equal(`${ROOT}/Place/${String(at(next.body, 'data.id'))}`);
    expect(at(next.body, 'meta.closed')).to.deep.equal({ id: first, version: 2 });
    const again = await admin('POST', path, { since: '2027-06-01', board: 2 }, { 'if-match': '"v1"', 'idempotency-key': 'succession-1' });
    expect(again.text).to.equal(next.text);
    expect((await admin('POST', `${ROOT}/Person/${person}/succeed`, {}, { 'if-match': '"v1"' })).status).to.equal(400);

    const boards = async (more: string): Promise<unknown> => {
      const answer = await admin('GET', `${ROOT}/Person/${person}?expand=places${more}`);
      const data = at(answer.body, 'data.expanded.places.data');
      return Array.isArray(data) ? data.map((entry: unknown) => at(entry, 'board')) : answer.status;
    };
    expect(await boards('')).to.deep.equal([1, 2]);
    expect(await boards('&effectiveOn=2027-05-31')).to.deep.equal([1]);
    expect(await boards('&effectiveOn=2027-06-01')).to.deep.equal([2]);
    // On the first day nobody knew of the second fact.
    expect(await boards('&recordedAt=2027-05-01&effectiveOn=2027-06-01')).to.deep.equal([1]);
    expect(await boards('&recordedAt=2027-05-02T11:59:59.999Z')).to.deep.equal([1]);
    expect(await boards('&asOf=2027-06-01')).to.deep.equal([2]);
    expect(await boards('&asOf=2027-04-30')).to.equal(404);
    const then = await admin('GET', `${ROOT}/Place/${first}?recordedAt=2027-05-01`);
    expect(at(then.body, 'data.until')).to.equal(null);
    expect(at(then.body, 'data.version')).to.equal(1);
    expect(then.headers.get('etag')).to.equal(null);
    const listed = await admin('GET', `${ROOT}/Place?person=${person}&effectiveOn=2027-06-01`);
    expect(at(listed.body, 'data.0.board')).to.equal(2);
    const queried = await admin('POST', `${ROOT}/Place/query`, { equals: { person }, effectiveOn: '2027-05-31', fields: ['board'] });
    expect(at(queried.body, 'data')).to.have.length(1);
    const summed = await admin('POST', `${ROOT}/Place/aggregate`, {
      filter: `person == '${person}'`,
      measures: [{ as: 'n', op: 'count' }],
      effectiveOn: '2027-05-31',
    });
    expect(at(summed.body, 'data.0.n')).to.equal(1);
    for (const wrong of ['effectiveOn=x', 'recordedAt=2027-05-01', 'asOf=2027-05-01'])
      expect((await admin('GET', `${ROOT}/Place?${wrong}`)).status, wrong).to.equal(400);
    expect((await admin('GET', `${ROOT}/Place/${first}?recordedAt=then`)).status).to.equal(400);
    const overlap = await admin('POST', `${ROOT}/Place`, { person, section: 'chess', since: '2027-07-01' });
    expect([overlap.status, at(overlap.body, 'code'), at(overlap.body, 'errors.0.code')]).to.deep.equal([409, 'conflict_unique', 'overlap']);
  });

  it('says in the description of an object which days its facts have', async () => {
    expect(at((await admin('GET', '/api/v1/objects/Place')).body, 'data.effective')).to.deep.equal({
      from: 'since',
      through: 'until',
      key: ['person', 'section'],
    });
    expect(at((await admin('GET', '/api/v1/objects/Person')).body, 'data.effective')).to.equal(null);
  });

  it('tells of both in the OpenAPI document', async () => {
    const { text, body } = await admin('GET', '/api/v1/openapi.json');
    expect(text).to.include('"/api/v1/records/Place/{id}/succeed"').and.not.to.include('"/api/v1/records/Person/{id}/succeed"');
    const paths = Object.entries(at(body, 'paths') ?? {});
    const names = (path: string): unknown => JSON.stringify(paths.find(([name]) => name === path)?.[1]);
    expect(names(`${ROOT}/Place/{id}`))
      .to.include('"recordedAt"')
      .and.to.include('"asOf"');
    expect(names(`${ROOT}/Place`))
      .to.include('"effectiveOn"')
      .and.not.to.include('"recordedAt"');
  });
});
