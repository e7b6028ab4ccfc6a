import { expect } from 'chai';
import { rows, run, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const NETWORKS = '/api/v1/records/Network';
/** What a network must have besides name and code. */
const FILLED = { type: 'hmo', lineOfBusiness: 'commercial' };

describe('records over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  let number = 0;
  async function makeNetwork(values: Readonly<Record<string, unknown>> = {}): Promise<{ readonly id: string; readonly answer: Answer }> {
    number += 1;
    const answer = await admin('POST', NETWORKS, { ...FILLED, name: `Network ${String(number)}`, code: `N${String(number)}`, ...values });
    expect(answer.status, answer.text).to.equal(201);
    return { id: String(at(answer.body, 'data.id')), answer };
  }

  function expectProblem(answer: Answer, status: number, code: string): void {
    expect([answer.status, answer.body['code']], answer.text).to.deep.equal([status, code]);
    expect(answer.headers.get('content-type')).to.match(/^application\/problem\+json/);
    expect(answer.body).to.include.keys('type', 'title', 'status', 'detail', 'requestId');
    expect(answer.body['requestId']).to.equal(answer.headers.get('x-request-id'));
  }

  it('create answers 201 with Location and ETag, get and list show it', async () => {
    const { id, answer } = await makeNetwork({ name: 'Gold' });
    expect(answer.headers.get('location')).to.equal(`${NETWORKS}/${id}`);
    expect(answer.headers.get('etag')).to.equal('"v1"');
    const got = await admin('GET', `${NETWORKS}/${id}`);
    expect([got.status, got.headers.get('etag'), at(got.body, 'data.name')]).to.deep.equal([200, '"v1"', 'Gold']);
    const listed = await admin('GET', `${NETWORKS}?name=Gold&fields=name&count=exact`);
    expect(at(listed.body, 'data.0.id')).to.equal(id);
    expect(listed.body['meta']).to.deep.include({ count: 1 });
    expect(listed.body['page']).to.deep.equal({ next: null });
  });

  it('a change needs If-Match; a stale one answers 412 with the current record and the clashing fields', async () => {
    const { id } = await makeNetwork();
    const path = `${NETWORKS}/${id}`;
    expectProblem(await admin('PATCH', path, { name: 'X' }), 428, 'precondition_required');
    expectProblem(await admin('PATCH', path, { name: 'X' }, { 'if-match': 'v1' }), 400, 'bad_request');
    const changed = await admin('PATCH', path, { name: 'First' }, { 'if-match': '"v1"' });
    expect([changed.status, changed.headers.get('etag')]).to.deep.equal([200, '"v2"']);
    const stale = await admin('PATCH', path, { name: 'Second' }, { 'if-match': '"v1"' });
    expectProblem(stale, 412, 'conflict_version');
    expect(at(stale.body, 'current.name')).to.equal('First');
    expect(stale.body['clashing']).to.deep.equal(['name']);
    expectProblem(await admin('DELETE', path), 428, 'precondition_required');
    expectProblem(await admin('DELETE', path, undefined, { 'if-match': '"v1"' }), 412, 'conflict_version');
    expect((await admin('DELETE', path, undefined, { 'if-match': '"v2"' })).status).to.equal(204);
    expectProblem(await admin('GET', path), 404, 'not_found');
    expect((await admin('POST', `${path}/restore`, undefined, { 'if-match': '"v3"' })).status).to.equal(200);
    const history = await admin('GET', `${path}/history`);
    expect(history.body['data']).to.have.length(4);
  });

  it('wrong input is one clear problem each, and nothing is written', async () => {
    const count = async (): Promise<unknown> => at((await admin('GET', `${NETWORKS}?count=exact&limit=1`)).body, 'meta.count');
    const before = await count();
    const { id } = await makeNetwork();
    expectProblem(await admin('POST', NETWORKS, '{"name": "X",'), 400, 'bad_request');
    expectProblem(await admin('POST', NETWORKS, '[]'), 400, 'bad_request');
    expectProblem(await admin('POST', NETWORKS, 'name=X', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'unsupported_media_type');
    expectProblem(await admin('POST', NETWORKS, JSON.stringify({ name: 'x'.repeat(10_000_000) })), 413, 'payload_too_large');
    expectProblem(await admin('GET', `${NETWORKS}?colour=red`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?filter=${encodeURIComponent('nope == 1')}`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?sort=nope`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?limit=501`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?limit=1&limit=2`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?cursor=nonsense`), 400, 'invalid_query');
    expectProblem(await admin('GET', `${NETWORKS}?asOf=2020-01-01`), 400, 'invalid_query');
    expectProblem(await admin('POST', `${NETWORKS}/query`, { filtr: 'x' }), 400, 'bad_request');
    expectProblem(await admin('GET', `${NETWORKS}/not-an-id`), 404, 'not_found');
    expectProblem(await admin('GET', '/api/v1/records/Nothing'), 404, 'not_found');
    expectProblem(await admin('GET', '/api/v1/nothing'), 404, 'not_found');
    expectProblem(await admin('GET', `${NETWORKS}/%E0%A4%A`), 400, 'bad_request');
    const invalid = await admin('POST', NETWORKS, { colour: 'red', code: 7 });
    expect(invalid.status, invalid.text).to.be.oneOf([400, 422]);
    expect(at(invalid.body, 'errors.0.pointer')).to.be.a('string');
    await admin('DELETE', `${NETWORKS}/${id}`, undefined, { 'if-match': '"v1"' });
    expect(await count()).to.equal(before);
  });

  it('the same Idempotency-Key creates once, also when sent ten times at once', async () => {
    const body = { ...FILLED, name: 'Once', code: 'ONCE' };
    const send = (): Promise<Answer> => admin('POST', NETWORKS, body, { 'idempotency-key': 'create-once' });
    const answers = await Promise.all(Array.from({ length: 10 }, send));
    expect(
      new Set(answers.map((answer) => `${String(answer.status)} ${String(at(answer.body, 'data.id'))} ${String(answer.headers.get('location'))}`)).size,
    ).to.equal(1);
    expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === 'true')).to.have.length(9);
    expect(at((await admin('GET', `${NETWORKS}?code=ONCE&count=exact`)).body, 'meta.count')).to.equal(1);
    expectProblem(await admin('POST', NETWORKS, { ...body, name: 'Other' }, { 'idempotency-key': 'create-once' }), 422, 'idempotency_mismatch');
    expectProblem(await admin('POST', NETWORKS, body, { 'idempotency-key': 'x'.repeat(256) }), 400, 'bad_request');
  });

  it('a key stands for the whole request: the query, the reason and If-Match are part of it', async () => {
    const { id } = await makeNetwork();
    const path = `${NETWORKS}/${id}`;
    await admin('DELETE', path, undefined, { 'if-match': '"v1"' });
    const restore = (match: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
      admin('POST', `${path}/restore`, undefined, { 'idempotency-key': 'restore', 'if-match': match, ...headers });
    expect((await restore('"v2"')).status).to.equal(200);
    expect((await restore('"v2"')).headers.get('idempotent-replayed')).to.equal('true');
    expectProblem(await restore('"v3"'), 422, 'idempotency_mismatch');
    expectProblem(await restore('"v2"', { 'change-reason': 'A mistake' }), 422, 'idempotency_mismatch');
    const upload = (name: string): Promise<Answer> =>
      admin('POST', `/api/v1/files?name=${name}`, 'the same words', { 'idempotency-key': 'upload', 'content-type': 'text/plain' });
    expect((await upload('one.txt')).status).to.equal(201);
    expectProblem(await upload('two.txt'), 422, 'idempotency_mismatch');
  });

  it('a failed request keeps no key: corrected data may be sent under it', async () => {
    const bad = await admin('POST', NETWORKS, { code: 'LATER' }, { 'idempotency-key': 'later' });
    expectProblem(bad, 422, 'validation_failed');
    expect((await admin('POST', NETWORKS, { ...FILLED, name: 'Later', code: 'LATER' }, { 'idempotency-key': 'later' })).status).to.equal(201);
  });

  it('a request whose twin is still worked on waits, then answers 409 with Retry-After; when the twin dies it goes on', async () => {
    const body = { ...FILLED, name: 'In flight', code: 'FLIGHT' };
    const caller = await test.caller('administrator');
    const send = (): Promise<Answer> => caller('POST', NETWORKS, body, { 'idempotency-key': 'flight' });
    const twin = await test.app.db.transaction();
    const taken = sql`insert into credenza.idempotency_key (principal, key, request_hash, state, created_at, expires_at)
      values (${caller.userId}, 'flight', 'x', 'open', now(), now() + interval '1 day')`;
    await run(twin, taken);
    const waited = await send();
    expectProblem(waited, 409, 'idempotency_in_flight');
    expect(waited.headers.get('retry-after')).to.equal('10');
    const waiting = send();
    await twin.rollback();
    expect((await waiting).status).to.equal(201);
  }).timeout(60_000);

  it('query and aggregate take JSON bodies', async () => {
    await makeNetwork({ name: 'Aggregated' });
    const found = await admin('POST', `${NETWORKS}/query`, { filter: "name == 'Aggregated'", fields: ['name'], count: 'exact' });
    expect([found.status, at(found.body, 'meta.count')], found.text).to.deep.equal([200, 1]);
    const figures = await admin('POST', `${NETWORKS}/aggregate`, { filter: "name == 'Aggregated'", measures: [{ as: 'n', op: 'count' }] });
    expect([figures.status, at(figures.body, 'data.0.n')], figures.text).to.deep.equal([200, 1]);
  });

  it('bulk writes all or nothing, or each by itself', async () => {
    const wrong = { op: 'create', values: { name: 'No code', code: 7 } };
    const good = { op: 'create', values: { ...FILLED, name: 'Bulk', code: 'BULK' } };
    const atomic = await admin('POST', `${NETWORKS}/bulk`, { items: [good, wrong] });
    expect(atomic.status, atomic.text).to.be.within(400, 422);
    expect(at((await admin('GET', `${NETWORKS}?code=BULK&count=exact`)).body, 'meta.count')).to.equal(0);
    const each = await admin('POST', `${NETWORKS}/bulk`, { mode: 'each', items: [good, wrong] });
    expect([each.status, at(each.body, 'data.0.ok'), at(each.body, 'data.1.ok')], each.text).to.deep.equal([207, true, false]);
    expectProblem(await admin('POST', `${NETWORKS}/bulk`, { items: [] }), 400, 'bad_request');
  });

  it('transitions are listed with what holds them back, and moving there is checked again', async () => {
    const lead = await admin('POST', '/api/v1/records/Lead', {
      entityType: 'individual',
      firstName: 'Ada',
      lastName: 'Byron',
      npi: '1891798906',
      source: 'nppes',
    });
    expect(lead.status, lead.text).to.equal(201);
    const path = `/api/v1/records/Lead/${String(at(lead.body, 'data.id'))}`;
    const states = await admin('GET', `${path}/transitions`);
    expect(states.status, states.text).to.equal(200);
    const list = states.body['data'];
    if (!Array.isArray(list)) return expect.fail('no list');
    expect(list.length).to.be.greaterThan(0);
    for (const entry of list) {
      expect(entry).to.include.keys('name', 'label', 'to', 'allowed', 'accepts', 'required', 'reasons');
      const reasons = at(entry, 'reasons');
      expect(at(entry, 'allowed')).to.equal(Array.isArray(reasons) && reasons.length === 0);
      const name = String(at(entry, 'name'));
      if (at(entry, 'allowed') === false) expectProblem(await admin('POST', `${path}/transitions/${name}`, {}, { 'if-match': '"v1"' }), 409, 'conflict_state');
    }
    expectProblem(await admin('POST', `${path}/transitions/fly`, {}, { 'if-match': '"v1"' }), 404, 'not_found');
    expectProblem(await admin('POST', `${path}/transitions/${String(at(list[0], 'name'))}`, {}), 428, 'precondition_required');
  });

  it('a caller without rights finds nothing and changes nothing', async () => {
    const nobody = await test.caller();
    const { id } = await makeNetwork();
    for (const answer of [
      await nobody('GET', NETWORKS),
      await nobody('GET', `${NETWORKS}/${id}`),
      await nobody('POST', `${NETWORKS}/query`, {}),
      await nobody('GET', `${NETWORKS}/${id}/history`),
      await nobody('GET', `${NETWORKS}/${id}/transitions`),
      await nobody('GET', '/api/v1/objects/Network'),
    ])
      expectProblem(answer, 404, 'not_found');
    expect((await nobody('PATCH', `${NETWORKS}/${id}`, { name: 'Mine' }, { 'if-match': '"v1"' })).status).to.be.oneOf([403, 404]);
    expect((await nobody('POST', NETWORKS, { name: 'Mine', code: 'MINE' })).status).to.be.oneOf([403, 404]);
    expectProblem(await nobody('GET', '/api/v1/users'), 403, 'forbidden');
    expect(at((await admin('GET', `${NETWORKS}/${id}`)).body, 'data.version')).to.equal(1);
  });

  it('search finds across objects', async () => {
    const { id } = await makeNetwork({ name: 'Searchable Quokka' });
    const found = await admin('GET', '/api/v1/search?q=quokka');
    expect(at(found.body, 'data.0.id'), found.text).to.equal(id);
    expectProblem(await admin('GET', '/api/v1/search'), 400, 'invalid_query');
  });

  it('the OpenAPI document names what the caller may call, and nothing else', async () => {
    const full = await admin('GET', '/api/v1/openapi.json');
    expect(full.body['openapi']).to.equal('3.1.0');
    const paths = Object.keys(Object(full.body['paths']));
    expect(paths).to.include.members([NETWORKS, `${NETWORKS}/{id}`, '/api/v1/users']);
    const nobody = await test.caller();
    const few = Object.keys(Object((await nobody('GET', '/api/v1/openapi.json')).body['paths']));
    expect(few).to.not.include(NETWORKS);
    expect(few).to.not.include('/api/v1/users');
    expect(few).to.include('/api/v1/session');
  });

  it('every address of the OpenAPI document exists, and its operations have names of their own', async () => {
    const document = await admin('GET', '/api/v1/openapi.json');
    const operations: string[] = [];
    const lost: string[] = [];
    for (const [path, item] of Object.entries(Object(document.body['paths']))) {
      for (const [method, operation] of Object.entries(Object(item))) {
        operations.push(String(at(operation, 'operationId')));
        if (method === 'post' && path.endsWith('/sign-out')) continue;
        const address = path.replaceAll('{object}', 'Network').replaceAll(/\{\w+\}/g, '00000000-0000-7000-8000-000000000000');
        const answer = await admin(method.toUpperCase(), address, method === 'get' || method === 'delete' ? undefined : { nothing: true });
        if (String(answer.body['detail']).startsWith('There is nothing at this address')) lost.push(`${method} ${path}`);
        if (answer.status >= 500) lost.push(`${method} ${path}: ${answer.text}`);
      }
    }
    expect(lost).to.deep.equal([]);
    expect(operations.length).to.be.greaterThan(150);
    expect(operations.filter((name, index) => operations.indexOf(name) !== index)).to.deep.equal([]);
  });

  it('who did it stands in the history and the audit', async () => {
    const caller = await test.caller('administrator');
    const made = await caller('POST', NETWORKS, { ...FILLED, name: 'Audited', code: 'AUDIT' }, { 'x-request-id': 'audit-me' });
    const id = String(at(made.body, 'data.id'));
    const history = await caller('GET', `${NETWORKS}/${id}/history`);
    expect(at(history.body, 'data.0.actor.id')).to.equal(caller.userId);
    const audit = await rows(test.app.db, sql`select actor, action, request_id from credenza.audit_entry where record_id = ${id}::uuid`);
    expect(audit[0]).to.deep.include({ actor: caller.userId, request_id: 'audit-me' });
  });
});
