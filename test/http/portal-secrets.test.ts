import { expect } from 'chai';
import { makeWrongSecrets, networkOf } from '../../src/http/portal/wrong-secrets.ts';
import { makeVirtualClock } from '../../src/platform/clock.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { isAppError } from '../../src/platform/errors.ts';
import { createPortalLink } from '../../src/platform/identity/portal-links.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const START = '2026-03-02T12:00:00.000Z';
const later = (seconds: number): string => new Date(Date.parse(START) + seconds * 1_000).toISOString();

describe('portal: secrets of links', () => {
  const clock = makeVirtualClock(START);
  let test: TestApp;
  let admin: Client;
  let application: string;

  before(async () => {
    test = await startTestApp({ clock, environment: { TRUST_PROXY: '1' } });
    admin = await test.caller('administrator');
    const made = await admin('POST', '/api/v1/records/Application', { providerType: 'pcp', entityType: 'individual', email: 'a@practice.example' });
    application = String(at(made.body, 'data.id'));
  });
  after(() => test.stop());

  async function makeLink(): Promise<{ readonly id: string; readonly secret: string }> {
    const context = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const link = { object: 'Application', recordId: application, permissionSet: 'provider', purpose: 'form:provider-application', days: 30 };
    return inTransaction(test.app.db, (tx) => createPortalLink(tx, context, link));
  }
  const open = (path: string, address: string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${test.url}${path}`, { headers: { accept: 'text/html', 'x-forwarded-for': address, ...headers }, redirect: 'manual' });
  const lastUsed = async (id: string): Promise<unknown> =>
    (await rows(test.app.db, sql`select last_used_at::text as at, xmin::text as written from credenza.portal_link where id = ${id}::uuid`))[0];

  it('that are none are refused after ten tries from one address, with when to try again; others go on', async () => {
    const { id, secret } = await makeLink();
    const cookie = `credenza_link_${id}=${secret}`;
    expect((await open(`/portal/${id}`, '203.0.113.7', { cookie })).status).to.equal(200);
    for (let tries = 0; tries < 10; tries += 1) expect((await open(`/portal/start/wrong${String(tries)}`, '203.0.113.7')).status).to.equal(404);

    const refused = await open('/portal/start/another', '203.0.113.7');
    expect([refused.status, refused.headers.get('retry-after')]).to.deep.equal([429, '60']);
    expect(await refused.text())
      .to.contain('Too many tries')
      .and.contain('Try again in a minute')
      .and.contain('<html');
    const guessed = await open(`/portal/${id}`, '203.0.113.7', { cookie: `credenza_link_${id}=guessed` });
    expect(guessed.status, 'a guess in the cookie').to.equal(429);
    const machine = await open('/portal/start/another', '203.0.113.7', { accept: 'application/json' });
    expect([machine.status, machine.headers.get('content-type'), machine.headers.get('retry-after')]).to.deep.equal([
      429,
      'application/problem+json; charset=utf-8',
      '60',
    ]);
    expect(at(await machine.json(), 'code')).to.equal('too_many_requests');

    expect((await open(`/portal/${id}`, '203.0.113.7', { cookie })).status, 'an office behind the same address').to.equal(200);
    expect((await open('/portal/start/another', '203.0.113.8')).status, 'another address').to.equal(404);
    const unused = await makeLink();
    expect((await open(`/portal/start/${unused.secret}`, '203.0.113.7')).status, 'a good secret is not told from a wrong one').to.equal(429);
    clock.advanceTo(later(30));
    expect((await open('/portal/start/another', '203.0.113.7')).headers.get('retry-after')).to.equal('30');
    clock.advanceTo(later(60));
    expect((await open(`/portal/start/${unused.secret}`, '203.0.113.7')).status).to.equal(303);
    expect((await open('/portal/start/another', '203.0.113.7')).status, 'the good one took no try').to.equal(404);
    expect((await open('/portal/start/another', '203.0.113.7')).status).to.equal(429);
  });

  it('that are good or ended cost no tries, and neither does a browser that holds none', async () => {
    const { id, secret } = await makeLink();
    await admin('GET', '/api/v1/session');
    for (let tries = 0; tries < 15; tries += 1) {
      expect((await open(`/portal/${id}`, '203.0.113.20')).status).to.equal(404);
      expect((await open(`/portal/start/${secret}`, '203.0.113.20')).status).to.equal(303);
    }
    expect((await open('/portal/start/wrong', '203.0.113.20')).status).to.equal(404);
  });

  it('leave a note of their use at most once a minute', async () => {
    const { id, secret } = await makeLink();
    const cookie = `credenza_link_${id}=${secret}`;
    clock.advanceTo(later(1_000));
    await open(`/portal/start/${secret}`, '203.0.113.30');
    const first = await lastUsed(id);
    expect(first).to.deep.include({ at: later(1_000).replace('T', ' ').replace('.000Z', '+00') });
    for (const seconds of [1_001, 1_030, 1_059]) {
      clock.advanceTo(later(seconds));
      expect((await open(`/portal/${id}/page/contact`, '203.0.113.30', { cookie })).status).to.equal(200);
      expect(await lastUsed(id)).to.deep.equal(first);
    }
    clock.advanceTo(later(1_060));
    await open(`/portal/${id}`, '203.0.113.30', { cookie });
    expect(await lastUsed(id)).to.deep.include({ at: later(1_060).replace('T', ' ').replace('.000Z', '+00') });
  });

  it('are counted for a network: an IPv6 customer has more addresses than tries', () => {
    expect(networkOf('203.0.113.7')).to.equal('203.0.113.7');
    expect(networkOf('::ffff:203.0.113.7')).to.equal('203.0.113.7');
    for (const address of ['2001:db8:0:1::', '2001:0db8:0000:0001:ffff:1:2:3', '2001:DB8::1:0:0:0:9', '2001:db8:0:1::7%eth0']) {
      expect(networkOf(address), address).to.equal('2001:db8:0:1');
    }
    expect(networkOf('::1')).to.equal('0:0:0:0');
    const wrong = makeWrongSecrets(makeVirtualClock(START));
    const refused = Array.from({ length: 12 }, (_, index) => {
      try {
        wrong.admit(`2001:db8:0:1::${index.toString(16)}`, `guess ${String(index)}`);
        return false;
      } catch (error) {
        if (!isAppError(error, 'too_many_requests')) throw error;
        return true;
      }
    });
    expect(refused.filter((entry) => entry)).to.have.length(2);
  });
});
