import { expect } from 'chai';
import { run, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type TestApp } from '../support/app.ts';

describe('health and pages', () => {
  let test: TestApp;
  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());

  it('livez and readyz answer, and readyz warns that mail is captured', async () => {
    expect((await test.guest('GET', '/livez')).body).to.deep.equal({ status: 'ok' });
    const ready = await test.guest('GET', '/readyz');
    expect([ready.status, ready.body['status']]).to.deep.equal([200, 'ok']);
    expect(at(ready.body, 'warnings.0')).to.match(/SMTP_URL/);
  });

  it('readyz answers 503 while a migration is missing', async () => {
    await run(test.app.db, sql`delete from credenza.migration`);
    try {
      const ready = await test.guest('GET', '/readyz');
      expect([ready.status, ready.headers.get('retry-after')]).to.deep.equal([503, '5']);
      expect(String(ready.body['problem'])).to.match(/0001-platform.*credenza migrate/);
    } finally {
      await run(test.app.db, sql`insert into credenza.migration (name) values ('0001-platform')`);
    }
  });

  it('metrics count requests by route, without names of records', async () => {
    await test.guest('GET', '/livez');
    const metrics = await test.guest('GET', '/metrics');
    expect(metrics.text).to.match(/credenza_http_request_seconds_count\{method="GET",route="\/livez",status="200"\} \d/);
  });

  it('pages carry a content security policy without inline scripts', async () => {
    const answer = await test.guest('GET', '/livez');
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy)
      .to.match(/default-src 'self'/)
      .and.match(/frame-ancestors 'none'/);
    expect(policy).to.not.match(/script-src[^;]*unsafe/);
    expect(answer.headers.get('x-powered-by')).to.equal(null);
  });

  it('portal problems are pages for people, API problems are documents', async () => {
    const page = await test.guest('GET', '/portal/start/unknown', undefined, { accept: 'text/html' });
    expect([page.status, page.headers.get('content-type')]).to.deep.equal([404, 'text/html; charset=utf-8']);
    expect(page.text).to.match(/This link is not known/);
    const api = await test.guest('GET', '/api/v2/x', undefined, { accept: 'text/html' });
    expect(api.headers.get('content-type')).to.match(/problem\+json/);
  });
});
