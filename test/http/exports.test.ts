import { expect } from 'chai';
import { startTestApp, type TestApp } from '../support/app.ts';

describe('exports over HTTP', () => {
  let app: TestApp;
  before(async () => {
    app = await startTestApp();
    const staff = await app.caller('administrator');
    const made = await staff('POST', '/api/v1/records/Network', { name: '=1+1', code: '-2', type: 'hmo', lineOfBusiness: 'commercial' });
    expect(made.status, made.text).to.equal(201);
  });
  after(() => app.stop());

  it('stream a file with what the caller may see, cells of it safe to open', async () => {
    const staff = await app.caller('recruiting');
    const csv = await staff('GET', '/api/v1/exports/Network?fields=code,name');
    expect([csv.status, csv.headers.get('content-disposition')]).to.deep.equal([200, "attachment; filename*=UTF-8''Networks.csv"]);
    expect(csv.text).to.equal("code,name\r\n-2,'=1+1\r\n");
    const none = await staff('GET', '/api/v1/exports/Network?fields=code&filter=code%20%3D%3D%20%27none%27');
    expect([none.status, none.text]).to.deep.equal([200, 'code\r\n']);
    const lines = await fetch(`${app.url}/api/v1/exports/Network?format=ndjson&fields=code,name`, { headers: { authorization: `Bearer ${staff.token}` } });
    expect([lines.status, await lines.text()]).to.deep.equal([200, '{"code":"-2","name":"=1+1"}\n']);
  });

  it('are refused with a problem before the first byte', async () => {
    const [staff, stranger] = [await app.caller('recruiting'), await app.caller()];
    for (const [path, status] of [
      ['/api/v1/exports/Network?format=pdf', 400],
      ['/api/v1/exports/Network?filter=nothing%20%3D%3D%201', 400],
      ['/api/v1/exports/Network?fields=nothing', 400],
      ['/api/v1/exports/Network?unknown=1', 400],
      ['/api/v1/exports/Nothing', 404],
    ] as const)
      expect((await staff('GET', path)).status, path).to.equal(status);
    expect((await stranger('GET', '/api/v1/exports/Network')).status).to.equal(404);
    expect((await staff('GET', '/api/v1/exports/Contract')).status).to.equal(403);
    expect((await app.guest('GET', '/api/v1/exports/Network')).status).to.equal(401);
  });
});
