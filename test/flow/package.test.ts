import { expect } from 'chai';
import { metadataDirectories } from '../../src/extensions.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { createPortalLink } from '../../src/platform/identity/portal-links.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { packageRoot } from '../../src/platform/root.ts';
import { join } from 'node:path';
import { startTestApp, type Client, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/browser.ts';

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

describe('a package with objects that nobody has heard of', () => {
  let product: TestApp;
  let staff: Client;
  let telescopeId: string;

  before(async () => {
    product = await startTestApp();
  });
  after(() => product.stop());

  it('is applied to a running server, and a second time changes nothing', async () => {
    const { app } = product;
    const directories = metadataDirectories([join(packageRoot(), 'test', 'flow', 'fixtures', 'observatory')]);
    const shipped = (await app.store.current()).version;
    const applied = await app.store.apply(loadMetadata(directories), 'test');
    expect(applied.version).to.equal(shipped + 1);
    expect(applied.steps.filter((step) => step.description.includes('Telescope'))).not.to.be.empty;
    const again = await app.store.apply(loadMetadata(directories), 'test');
    expect(again.steps).to.deep.equal([]);
    expect(again.version).to.equal(applied.version);
  });

  it('has an API at once: create, validation in words, list, view, permission', async () => {
    staff = await product.caller('astronomer');
    const outsider = await product.caller('recruiting');
    const wrong = await staff('POST', '/api/v1/records/Telescope', { name: '', aperture: 20 });
    expect(wrong.status).to.equal(422);
    expect(JSON.stringify(wrong.body['errors'])).to.contain('/name').and.to.contain('/aperture');
    const created = await staff('POST', '/api/v1/records/Telescope', { name: 'Big Dob', aperture: 250, mount: 'dobson' });
    expect(created.status).to.equal(201);
    telescopeId = String(member(created.body['data'], 'id'));
    expect(member(created.body['data'], 'status')).to.equal('offered');
    expect((await outsider('GET', '/api/v1/records/Telescope')).status).to.equal(404);
    const described = await staff('GET', '/api/v1/objects/Telescope');
    expect(JSON.stringify(described.body)).to.contain('telescopes-lent').and.to.contain('borrow-telescope');
    const openapi = await staff('GET', '/api/v1/openapi.json');
    expect(openapi.text).to.contain('/records/Telescope');
    const refused = await staff('POST', `/api/v1/records/Telescope/${telescopeId}/transitions/lend`, {}, { 'If-Match': '"v1"' });
    expect(refused.status).to.equal(409);
    expect(refused.text).to.contain('Nobody has asked for it yet.');
  });

  it('has a portal form that is filled and sent, and its rule and policy work at once', async () => {
    const { app, url } = product;
    const context = await app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const link = { object: 'Telescope', recordId: telescopeId, permissionSet: 'borrower', purpose: 'form:borrow-telescope', days: 7 };
    const { id, secret } = await inTransaction(app.db, (tx) => createPortalLink(tx, context, link));
    const started = await fetch(`${url}/portal/start/${secret}`, { redirect: 'manual' });
    const cookie = (started.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    const get = async (path: string) => (await fetch(`${url}/portal/${id}${path}`, { headers: { cookie } })).text();
    const post = (path: string, fields: Readonly<Record<string, string>>) => {
      const body = new FormData();
      for (const [name, value] of Object.entries(fields)) body.set(name, value);
      return fetch(`${url}/portal/${id}${path}`, { method: 'POST', headers: { cookie }, body, redirect: 'manual' });
    };
    expect(await get('')).to.contain('Borrow a telescope');
    expect(await get('/page/you'))
      .to.contain('Borrower')
      .and.not.to.contain('Equatorial');
    const unfinished = await post('/page/you', { borrower: '', borrowerEmail: 'nobody', action: 'continue' });
    expect(unfinished.status).to.equal(422);
    expect(await unfinished.text())
      .to.contain('Enter borrower')
      .and.to.contain('value="nobody"');
    const done = await post('/page/you', { borrower: 'Edwin', borrowerEmail: 'edwin@stars.example', 'observations.0.target': 'M31', action: 'continue' });
    expect(done.headers.get('location')).to.equal(`/portal/${id}/check`);
    expect(await get('/check')).to.contain('M31');
    const sent = await fetch(`${url}/portal/${id}/check`, { method: 'POST', headers: { cookie }, body: new URLSearchParams({}), redirect: 'manual' });
    expect(sent.status).to.equal(303);
    await app.worker.drain();
    const record = await staff('GET', `/api/v1/records/Telescope/${telescopeId}?expand=observations`);
    const today = context.today;
    expect(member(record.body['data'], 'status')).to.equal('lent');
    expect(member(record.body['data'], 'cleanedOn')).to.equal(today);
    // Three months by the policy's band "large": the policy, asked by the rule.
    const expected = context.model.functions.get('addDuration')?.evaluate([today, 'P3M'], {
      now: context.now,
      today,
      user: null,
      subject: null,
      one: () => null,
      many: () => [],
      policy: () => null,
      calendars: context.model.calendarLookup,
    });
    expect(member(record.body['data'], 'cleanAgainOn')).to.equal(expected);
    expect(record.text).to.contain('M31');
    expect(await get('/status')).to.contain('Lent');
  });

  it('is in the console, by the same metadata', async () => {
    const { url } = product;
    const browser = await openBrowser();
    try {
      const { token } = await product.caller('astronomer');
      const page = await browser.newPage({ extraHTTPHeaders: { Authorization: `Bearer ${token}` } });
      await page.goto(`${url}/o/Telescope?view=telescopes-lent`);
      await page.getByRole('link', { name: 'Big Dob' }).click();
      await page.getByRole('heading', { name: 'Big Dob' }).waitFor();
      await page.getByText('Edwin').first().waitFor();
      expect(await page.locator('[aria-current=step]').textContent()).to.equal('Lent');
    } finally {
      await browser.close();
    }
  });
});
