import { expect } from 'chai';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const garden = (fields: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}) => ({
  title: 'Garden',
  'x-object': { id: 'gardengn0001', plural: 'Gardens', name: '{name}' },
  type: 'object',
  properties: { name: { type: 'string', 'x-id': 'gardennm0001' }, ...fields },
  ...more,
});

describe('metadata over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  const files = (fields: Readonly<Record<string, unknown>> = {}, more: Readonly<Record<string, unknown>> = {}) => ({
    files: { objects: { Garden: garden(fields, more) } },
  });

  it("is for those who administer the metadata, and is in nobody else's document", async () => {
    const recruiter = await test.caller('recruiting');
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['POST', '/plan', {}],
      ['POST', '/apply', {}],
      ['POST', '/rollback', { version: 1 }],
    ] as const) {
      expect((await recruiter(method, `/api/v1/metadata${path}`, body)).status, path).to.equal(403);
      expect((await test.guest(method, `/api/v1/metadata${path}`, body)).status, path).to.equal(401);
    }
    expect((await recruiter('GET', '/api/v1/openapi.json')).text).not.to.contain('/api/v1/metadata');
    expect((await admin('GET', '/api/v1/openapi.json')).text).to.contain('/api/v1/metadata/plan');
  });

  it('plans a change, applies just that plan, and the new object has an API at once', async () => {
    const planned = await admin('POST', '/api/v1/metadata/plan', files());
    expect(planned.status, planned.text).to.equal(200);
    expect(at(planned.body, 'data.steps.0.description')).to.equal('Create the table of Garden');
    const hash = at(planned.body, 'data.hash');
    const stale = await admin('POST', '/api/v1/metadata/apply', { ...files(), hash: 'feedfeedfeed' });
    expect([stale.status, stale.body['code']]).to.deep.equal([409, 'conflict_state']);
    const applied = await admin('POST', '/api/v1/metadata/apply', { ...files(), hash });
    expect(applied.status, applied.text).to.equal(200);
    expect((await admin('POST', '/api/v1/records/Garden', { name: 'Rosary' })).status).to.equal(201);
    const again = await admin('POST', '/api/v1/metadata/apply', files());
    expect(at(again.body, 'data.steps')).to.deep.equal([]);
    const state = await admin('GET', '/api/v1/metadata?files=true');
    expect(at(state.body, 'data.local.0')).to.deep.include({ noun: 'object', name: 'Garden', change: 'added' });
    expect(at(state.body, 'data.drift')).to.deep.equal([]);
    expect(JSON.parse(String((at(state.body, 'data.files') as Record<string, unknown>)['metadata/objects/Garden.json']))).to.deep.include({ title: 'Garden' });
  });

  it('renames, retypes and hides by id, says what the data does not allow, and goes back', async () => {
    await admin('POST', '/api/v1/metadata/apply', files({ beds: { type: 'string', 'x-id': 'gardenbeds01' } }));
    const before = Number(at((await admin('GET', '/api/v1/metadata')).body, 'data.version'));
    await admin('POST', '/api/v1/records/Garden', { name: 'Orchard', beds: '12' });
    const wrong = await admin('POST', '/api/v1/records/Garden', { name: 'Meadow', beds: 'none' });
    const whole = files({ patches: { type: 'integer', 'x-id': 'gardenbeds01' } });
    const refused = await admin('POST', '/api/v1/metadata/apply', whole);
    expect([refused.status, refused.body['code']]).to.deep.equal([409, 'schema_refused']);
    expect(at(refused.body, 'errors.0.detail')).to.contain(at(wrong.body, 'data.id'));
    expect(at((await admin('POST', '/api/v1/metadata/plan', whole)).body, 'data.steps.0.findings.0.records')).to.deep.equal([at(wrong.body, 'data.id')]);
    expect(refused.text).not.to.contain('none');
    await admin('PATCH', `/api/v1/records/Garden/${String(at(wrong.body, 'data.id'))}`, { beds: null }, { 'If-Match': '"v1"' });
    expect((await admin('POST', '/api/v1/metadata/apply', whole)).status).to.equal(200);
    expect(at((await admin('GET', '/api/v1/records/Garden?filter=patches==12')).body, 'data.0.name')).to.equal('Orchard');
    const dry = await admin('POST', '/api/v1/metadata/rollback', { version: before, dryRun: true });
    expect(JSON.stringify(dry.body)).to.contain('Rename the field Garden.patches to beds');
    expect((await admin('POST', '/api/v1/metadata/rollback', { version: before })).status).to.equal(200);
    expect(at((await admin('GET', "/api/v1/records/Garden?filter=beds=='12'")).body, 'data.0.name')).to.equal('Orchard');
    const gone = await admin('POST', '/api/v1/metadata/apply', { remove: ['objects/Garden'] });
    expect(gone.status, gone.text).to.equal(200);
    expect((await admin('GET', '/api/v1/records/Garden')).status).to.equal(404);
    expect(at((await admin('GET', '/api/v1/metadata')).body, 'data.kept.0.what')).to.equal('object Garden');
  });

  it('names everything that is wrong with what was sent', async () => {
    const wrong = await admin('POST', '/api/v1/metadata/plan', {
      files: { objects: { Garden: { ...garden({}), titel: 'x' } }, polices: {}, rules: { weed: { name: 'wed' } }, templates: { 'mail/x': 5 } },
      remove: ['rules/nothing'],
    });
    expect([wrong.status, wrong.body['code']]).to.deep.equal([422, 'metadata_invalid']);
    const pointers = (wrong.body['errors'] as readonly { readonly pointer: string }[]).map((error) => error.pointer);
    expect(pointers).to.include.members([
      'metadata/objects/Garden.json#/titel',
      '/files/polices',
      'metadata/rules/weed.json#/name',
      '/files/templates/mail/x',
      '/remove',
    ]);
    expect((await admin('POST', '/api/v1/metadata/apply', {}, { 'Idempotency-Key': 'once' })).status).to.equal(400);
    expect((await admin('POST', '/api/v1/metadata/rollback', { version: 4711 })).status).to.equal(404);
    expect((await admin('GET', '/api/v1/metadata?file=true')).status).to.equal(400);
  });
});
