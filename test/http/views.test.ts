import { expect } from 'chai';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const VIEWS = '/api/v1/views';

describe('saved views over HTTP', () => {
  let test: TestApp;
  let anna: Client;
  let bert: Client;
  before(async () => {
    test = await startTestApp();
    [anna, bert] = [await test.caller('recruiting'), await test.caller('recruiting')];
  });
  after(() => test.stop());

  const labels = async (client: Client, object = 'Lead'): Promise<readonly unknown[]> => {
    const data = (await client('GET', `${VIEWS}?object=${object}`)).body['data'];
    return Array.isArray(data) ? data.filter((view) => at(view, 'id') !== null).map((view) => at(view, 'label')) : [];
  };
  const save = (client: Client, values: Readonly<Record<string, unknown>>): Promise<Answer> =>
    client('POST', VIEWS, { object: 'Lead', label: 'My leads', columns: ['name', 'npi'], filter: "status == 'new'", sort: '-updatedAt', ...values });

  it('are saved, changed under If-Match, shared and deleted; those of the metadata stand beside them', async () => {
    const made = await save(anna, {});
    expect([made.status, made.headers.get('etag'), at(made.body, 'data.mine')], made.text).to.deep.equal([201, '"v1"', true]);
    const path = String(made.headers.get('location'));
    expect(at((await anna('GET', path)).body, 'data.filter')).to.equal("status == 'new'");
    expect((await anna('GET', `${VIEWS}?object=Lead`)).text).to.include('leads-all');
    expect([await labels(anna), await labels(bert)]).to.deep.equal([['My leads'], []]);
    expect((await bert('GET', path)).status).to.equal(404);
    expect((await anna('PATCH', path, { shared: true })).status).to.equal(428);
    const shared = await anna('PATCH', path, { shared: true, label: 'Our leads' }, { 'if-match': '"v1"' });
    expect([shared.status, shared.headers.get('etag'), at(shared.body, 'data.filter')], shared.text).to.deep.equal([200, '"v2"', "status == 'new'"]);
    expect(await labels(bert)).to.deep.equal(['Our leads']);
    expect((await bert('PATCH', path, { label: 'Mine' }, { 'if-match': '"v2"' })).status).to.equal(403);
    const stale = await anna('PATCH', path, { label: 'X' }, { 'if-match': '"v1"' });
    expect([stale.status, at(stale.body, 'current.label')]).to.deep.equal([412, 'Our leads']);
    expect((await anna('DELETE', path, undefined, { 'if-match': '"v2"' })).status).to.equal(204);
    expect(await labels(bert)).to.deep.equal([]);
  });

  it('must be ones that can be opened, and have a name of their own', async () => {
    expect((await save(anna, { label: 'Twice' })).status).to.equal(201);
    expect((await save(anna, { label: 'Twice' })).body['code']).to.equal('conflict_unique');
    expect((await save(bert, { label: 'Twice' })).status).to.equal(201);
    for (const wrong of [{ filter: "colour == 'red'" }, { columns: ['colour'] }, { sort: 'colour' }])
      expect((await save(anna, wrong)).body['code']).to.equal('invalid_query');
    expect((await save(anna, { object: 'Nothing' })).status).to.equal(404);
    expect((await save(anna, { columns: [] })).body['code']).to.equal('bad_request');
  });

  it('that are filtered by what a caller may not read do not exist for that caller', async () => {
    const credentialing = await test.caller('credentialing');
    const made = await credentialing('POST', VIEWS, {
      object: 'Application',
      label: 'Disclosed',
      columns: ['status', 'disclosureFelony'],
      filter: 'disclosureFelony == true',
      shared: true,
    });
    expect(made.status, made.text).to.equal(201);
    expect(await labels(anna, 'Application')).to.deep.equal([]);
    expect((await anna('GET', String(made.headers.get('location')))).status).to.equal(404);
    const open = await credentialing('POST', VIEWS, { object: 'Application', label: 'Columns', columns: ['status', 'disclosureFelony'], shared: true });
    expect(at((await anna('GET', String(open.headers.get('location')))).body, 'data.columns')).to.deep.equal(['status']);
  });
});
