import { expect } from 'chai';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

describe('duplicates over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  async function makeLead(npi: string, firstName: string): Promise<string> {
    const values = { entityType: 'individual', npi, firstName, lastName: 'Byron', practiceZip: '02139', source: 'nppes' };
    const answer = await admin('POST', '/api/v1/records/Lead', values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }

  it('lists leads that the shipped rules take for the same, until somebody says that they are not', async () => {
    const [first, second] = [await makeLead('1891798906', 'Augusta'), await makeLead('1558302604', 'Augustta')];
    await makeLead('1003000126', 'Medora');
    const found = await admin('GET', `/api/v1/records/Lead/${second}/duplicates`);
    expect([found.status, at(found.body, 'data.0.rule')], found.text).to.deep.equal([200, 'same-person']);
    expect(found.body['data']).to.have.length(1);
    expect([at(found.body, 'data.0.records.0.id'), at(found.body, 'data.0.records.1.id')].sort()).to.deep.equal([first, second].sort());
    expect(at(found.body, 'data.0.score')).to.be.within(0.85, 1);
    expect(at((await admin('GET', '/api/v1/duplicates?object=Lead')).body, 'data')).to.have.length(1);
    expect((await admin('GET', '/api/v1/duplicates')).body['code']).to.equal('invalid_query');
    const outsider = await test.caller();
    expect((await outsider('GET', '/api/v1/duplicates?object=Lead')).status).to.equal(404);
    const pair = String(at(found.body, 'data.0.id'));
    expect((await outsider('POST', `/api/v1/duplicates/${pair}/dismiss`)).status).to.equal(404);
    expect((await admin('POST', `/api/v1/duplicates/${pair}/dismiss`)).status).to.equal(204);
    expect(at((await admin('GET', '/api/v1/duplicates?object=Lead')).body, 'data')).to.deep.equal([]);
    expect((await admin('POST', `/api/v1/duplicates/${pair}/dismiss`)).status).to.equal(404);
  });
});
