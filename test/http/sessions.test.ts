import { request } from 'node:http';
import { expect } from 'chai';
import { rows, sql } from '../../src/platform/sql.ts';
import { at, clientOf, startTestApp, type Answer, type TestApp } from '../support/app.ts';

const FILLED = { type: 'hmo', lineOfBusiness: 'commercial' };
const PASSWORD = 'correct horse battery';

describe('sessions over HTTP', () => {
  let test: TestApp;
  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());

  const cookieOf = (answer: Answer): string => (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '';

  async function signIn(email: string): Promise<{ readonly cookie: string; readonly csrf: string }> {
    const answer = await test.guest('POST', '/api/v1/sign-in', { email, password: PASSWORD });
    expect(answer.status, answer.text).to.equal(200);
    return { cookie: cookieOf(answer), csrf: String(at(answer.body, 'data.csrf')) };
  }

  it('the first administrator comes in by a link that works once', async () => {
    const link = await test.app.firstAdministratorLink();
    const secret = link?.split('/').at(-1) ?? '';
    expect(at((await test.guest('GET', `/api/v1/invitations/${secret}`)).body, 'data.name')).to.equal('Administrator');
    const short = await test.guest('POST', '/api/v1/invitations/accept', { secret, password: 'short' });
    expect([short.status, at(short.body, 'errors.0.pointer')]).to.deep.equal([422, '/password']);
    const accepted = await test.guest('POST', '/api/v1/invitations/accept', { secret, password: PASSWORD, email: 'first@plan.example' });
    expect(accepted.status, accepted.text).to.equal(200);
    const session = await test.guest('GET', '/api/v1/session', undefined, { cookie: cookieOf(accepted) });
    expect(at(session.body, 'data.permissionSets')).to.deep.equal(['administrator']);
    expect(at(session.body, 'data.mail')).to.equal('captured');
    expect((await test.guest('POST', '/api/v1/invitations/accept', { secret, password: PASSWORD })).status).to.equal(404);
    expect(await test.app.firstAdministratorLink()).to.equal(null);
  });

  it('the cookie is out of reach of scripts and other sites', async () => {
    await test.caller('administrator');
    const answer = await test.guest('POST', '/api/v1/sign-in', { email: 'user1@plan.example', password: PASSWORD });
    expect(answer.headers.get('set-cookie'))
      .to.match(/HttpOnly/)
      .and.match(/SameSite=Lax/)
      .and.match(/Path=\//);
    expect(answer.headers.get('cache-control')).to.equal('no-store');
  });

  it('a cookie alone reads but does not write; with the CSRF token it writes; after signing out it does neither', async () => {
    await test.caller('administrator');
    const { cookie, csrf } = await signIn('user2@plan.example');
    expect((await test.guest('GET', '/api/v1/records/Network', undefined, { cookie })).status).to.equal(200);
    const without = await test.guest('POST', '/api/v1/records/Network', { ...FILLED, name: 'C', code: 'C1' }, { cookie });
    expect([without.status, without.body['code']]).to.deep.equal([403, 'forbidden']);
    const wrong = await test.guest(
      'POST',
      '/api/v1/records/Network',
      { ...FILLED, name: 'C', code: 'C1' },
      { cookie, 'x-csrf-token': csrf.replace(/.$/, '?') },
    );
    expect(wrong.status).to.equal(403);
    const right = await test.guest('POST', '/api/v1/records/Network', { ...FILLED, name: 'C', code: 'C1' }, { cookie, 'x-csrf-token': csrf });
    expect(right.status, right.text).to.equal(201);
    expect((await test.guest('POST', '/api/v1/sign-out', {}, { cookie, 'x-csrf-token': csrf })).status).to.equal(204);
    expect((await test.guest('GET', '/api/v1/session', undefined, { cookie })).status).to.equal(401);
  });

  it('wrong passwords answer 401 and, the eleventh time, 429 with Retry-After', async () => {
    await test.caller();
    const statuses: number[] = [];
    let last: Answer | null = null;
    for (let attempt = 0; attempt < 11; attempt += 1) {
      last = await test.guest('POST', '/api/v1/sign-in', { email: 'user3@plan.example', password: 'not the password' });
      statuses.push(last.status);
    }
    expect(statuses).to.deep.equal([...Array.from({ length: 10 }, () => 401), 429]);
    expect(Number(last?.headers.get('retry-after'))).to.be.within(1, 900);
  });

  it('a token that is not known, a malformed header, no caller: 401', async () => {
    expect((await clientOf(test.url, 'crz_nope')('GET', '/api/v1/session')).status).to.equal(401);
    expect((await test.guest('GET', '/api/v1/session', undefined, { authorization: 'Basic eDp5' })).status).to.equal(401);
    const nobody = await test.guest('GET', '/api/v1/records/Network');
    expect([nobody.status, nobody.headers.get('www-authenticate')]).to.deep.equal([401, 'Bearer']);
  });

  it('a caller makes and ends its own tokens', async () => {
    const caller = await test.caller('administrator');
    const made = await caller('POST', '/api/v1/tokens', { name: 'script' });
    const token = String(at(made.body, 'data.token'));
    expect((await clientOf(test.url, token)('GET', '/api/v1/me')).status).to.equal(200);
    expect((await caller('DELETE', `/api/v1/tokens/${String(at(made.body, 'data.id'))}`)).status).to.equal(204);
    expect((await clientOf(test.url, token)('GET', '/api/v1/me')).status).to.equal(401);
  });

  it('accounts are added, changed with If-Match, and invited by administrators', async () => {
    const admin = await test.caller('administrator');
    const added = await admin('POST', '/api/v1/users', { email: 'New@plan.example', name: 'New', permissionSets: ['recruiting'] });
    expect([added.status, at(added.body, 'data.email'), at(added.body, 'data.status')], added.text).to.deep.equal([201, 'new@plan.example', 'invited']);
    expect(at(added.body, 'data.invitation')).to.match(/\/invitation\/[\w-]{43}$/);
    const path = `/api/v1/users/${String(at(added.body, 'data.id'))}`;
    expect((await admin('PATCH', path, { name: 'Newer' })).status).to.equal(428);
    expect(at((await admin('PATCH', path, { name: 'Newer' }, { 'if-match': '"v1"' })).body, 'data.name')).to.equal('Newer');
    expect((await admin('PATCH', path, { name: 'Newest' }, { 'if-match': '"v1"' })).status).to.equal(412);
    const unknown = await admin('POST', '/api/v1/users', { email: 'x@plan.example', name: 'X', permissionSets: ['nope'] });
    expect([unknown.status, at(unknown.body, 'errors.0.pointer')]).to.deep.equal([422, '/permissionSets/0']);
    expect((await admin('POST', '/api/v1/users', { email: 'new@plan.example', name: 'X', permissionSets: [] })).status).to.equal(409);
  });

  it('a secret that is shown once is not kept for a repeated request, which is not done twice either', async () => {
    const admin = await test.caller('administrator');
    for (const [path, body, secret] of [
      ['/api/v1/tokens', { name: 'twice' }, 'data.token'],
      ['/api/v1/users', { email: 'twice@plan.example', name: 'Twice', permissionSets: [] }, 'data.invitation'],
    ] as const) {
      const send = (): Promise<Answer> => admin('POST', path, body, { 'idempotency-key': `key ${path}`.replace(' ', '-') });
      const first = await send();
      expect(first.status, first.text).to.equal(201);
      const [shown] = String(at(first.body, secret)).split('/').slice(-1);
      expect(shown).to.match(/^[\w-]{40,}$/);
      const again = await send();
      expect([again.status, at(again.body, 'code')]).to.deep.equal([409, 'conflict_state']);
      const kept = JSON.stringify(await rows(test.app.db, sql`select * from credenza.idempotency_key`));
      expect(kept).to.contain(path).and.not.to.contain(shown);
    }
    expect(await rows(test.app.db, sql`select 1 from credenza.api_token where name = 'twice'`)).to.have.length(1);
  });

  it('bodies of files are not read for somebody unknown', async () => {
    const large = 'x'.repeat(21 * 1024 * 1024);
    const admin = await test.caller('administrator');
    const headers = { 'content-type': 'text/plain' };
    expect((await admin('POST', '/api/v1/files?name=a.txt', large, headers)).status).to.equal(413);
    expect((await test.guest('POST', '/api/v1/files?name=a.txt', 'x', headers)).status).to.equal(401);
    const answered = await new Promise<number | undefined>((resolve, reject) => {
      const sending = request(`${test.url}/api/v1/files?name=a.txt`, { method: 'POST', headers: { ...headers, 'content-length': 20_000_000 } }, (answer) => {
        resolve(answer.statusCode);
        sending.destroy();
      });
      sending.on('error', reject);
      sending.write('only a part of it');
    });
    expect(answered).to.equal(401);
  });

  it('captured mail is for administrators', async () => {
    const admin = await test.caller('administrator');
    const other = await test.caller('recruiting');
    expect((await admin('GET', '/api/v1/dev/mail')).status).to.equal(200);
    expect((await other('GET', '/api/v1/dev/mail')).status).to.equal(403);
  });
});
