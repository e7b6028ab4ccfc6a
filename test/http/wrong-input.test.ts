import { expect } from 'chai';
import { keyword, rows, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const NETWORKS = '/api/v1/records/Network';
const FILLED = { type: 'hmo', lineOfBusiness: 'commercial' };

/** What a request answers, and a pattern that its detail or its first finding must match: what, where, and what to do. */
interface Case {
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly says: RegExp;
  readonly pointer?: string;
  send(): Promise<Answer>;
}

describe('wrong input over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  let recruiter: Client;
  let network = '';
  let application = '';

  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
    recruiter = await test.caller('recruiting');
    network = `${NETWORKS}/${await create('Network', { ...FILLED, name: 'Kept', code: 'KEPT' })}`;
    await admin('PATCH', network, { name: 'Changed' }, { 'if-match': '"v1"' });
    application = await create('Application', { providerType: 'pcp', entityType: 'individual', email: 'a@practice.example', disclosureFelony: false });
  });
  after(() => test.stop());

  async function create(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `/api/v1/records/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }

  /** How much stands in the tables that every write touches. */
  async function counts(): Promise<unknown> {
    const model = await test.app.store.current();
    const tables = ['record_history', 'event', 'audit_entry', 'idempotency_key', 'file', 'submission', 'mail_delivery'];
    const objects = ['Network', 'Application', 'Lead'].flatMap((name) => model.objects.get(name)?.table ?? []);
    const found = await Promise.all(
      [...tables, ...objects].map((table) => rows(test.app.db, sql`select count(*)::int as n from credenza.${keyword(`"${table}"`)}`)),
    );
    return found.map(([row]) => row?.['n']);
  }

  const filter = (text: string): string => `filter=${encodeURIComponent(text)}`;
  const applications = '/api/v1/records/Application';
  const cases: readonly Case[] = [
    {
      title: 'bad JSON',
      status: 400,
      code: 'bad_request',
      says: /not valid JSON/,
      send: () => admin('POST', NETWORKS, '{"name": "X",'),
    },
    {
      title: 'a body that is a list',
      status: 400,
      code: 'bad_request',
      says: /JSON object of field values/,
      send: () => admin('POST', NETWORKS, '[]'),
    },
    {
      title: 'a form instead of JSON',
      status: 415,
      code: 'unsupported_media_type',
      says: /application\/json/,
      send: () => admin('POST', NETWORKS, 'name=X', { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    {
      title: 'a body of 10 MB',
      status: 413,
      code: 'payload_too_large',
      says: /larger than/,
      send: () => admin('POST', NETWORKS, JSON.stringify({ ...FILLED, code: 'BIG', name: 'x'.repeat(10_000_000) })),
    },
    {
      title: 'an unknown field',
      status: 422,
      code: 'validation_failed',
      says: /no field "colour"/,
      pointer: '/colour',
      send: () => admin('POST', NETWORKS, { ...FILLED, name: 'X', code: 'X', colour: 'red' }),
    },
    {
      title: 'several wrong values at once',
      status: 422,
      code: 'validation_failed',
      says: /values are missing or wrong/,
      send: () => admin('POST', NETWORKS, { name: 7, code: 'X', type: 'nothing' }),
    },
    {
      title: 'an unknown field in a filter',
      status: 400,
      code: 'invalid_query',
      says: /nope/,
      send: () => admin('GET', `${NETWORKS}?${filter('nope == 1')}`),
    },
    {
      title: 'a filter with a typo, with a suggestion',
      status: 400,
      code: 'invalid_query',
      says: /name/,
      send: () => admin('GET', `${NETWORKS}?${filter("nane == 'X'")}`),
    },
    {
      title: 'a broken filter, with its place',
      status: 400,
      code: 'invalid_query',
      says: /\d/,
      send: () => admin('GET', `${NETWORKS}?${filter("name == 'X' &&")}`),
    },
    {
      title: 'an unknown function in a filter',
      status: 400,
      code: 'invalid_query',
      says: /frobnicate/,
      send: () => admin('POST', `${NETWORKS}/query`, { filter: 'frobnicate(name)' }),
    },
    { title: 'an unknown parameter', status: 400, code: 'invalid_query', says: /colour/, send: () => admin('GET', `${NETWORKS}?colour=red`) },
    { title: 'an unknown order', status: 400, code: 'invalid_query', says: /nope/, send: () => admin('GET', `${NETWORKS}?sort=nope`) },
    { title: 'an unknown member of a query', status: 400, code: 'bad_request', says: /filtr/, send: () => admin('POST', `${NETWORKS}/query`, { filtr: 'x' }) },
    { title: 'too large a limit', status: 400, code: 'invalid_query', says: /500/, send: () => admin('GET', `${NETWORKS}?limit=501`) },
    {
      title: 'a cursor of nobody',
      status: 400,
      code: 'invalid_query',
      says: /cursor/i,
      send: () => admin('GET', `${NETWORKS}?cursor=${Buffer.from('{"v":1}').toString('base64url')}`),
    },
    { title: 'a change without If-Match', status: 428, code: 'precondition_required', says: /If-Match/, send: () => admin('PATCH', network, { name: 'Y' }) },
    { title: 'a trashing without If-Match', status: 428, code: 'precondition_required', says: /If-Match/, send: () => admin('DELETE', network) },
    {
      title: 'a weak ETag',
      status: 400,
      code: 'bad_request',
      says: /strong ETag/,
      send: () => admin('PATCH', network, { name: 'Y' }, { 'if-match': 'W/"v2"' }),
    },
    {
      title: 'a stale version',
      status: 412,
      code: 'conflict_version',
      says: /you have version 1, now it is 2/,
      send: () => admin('PATCH', network, { name: 'Y' }, { 'if-match': '"v1"' }),
    },
    {
      title: 'a stale version of a transition',
      status: 412,
      code: 'conflict_version',
      says: /version 9/,
      send: () => admin('POST', `${applications}/${application}/transitions/withdraw`, {}, { 'if-match': '"v9"' }),
    },
    {
      title: 'a transition that does not exist',
      status: 404,
      code: 'not_found',
      says: /no transition "fly"/,
      send: () => admin('POST', `${applications}/${application}/transitions/fly`, {}, { 'if-match': '"v1"' }),
    },
    {
      title: 'a transition from another state',
      status: 409,
      code: 'conflict_state',
      says: /begins at in-review/,
      send: () => admin('POST', `${applications}/${application}/transitions/approve`, {}, { 'if-match': '"v1"' }),
    },
    {
      title: 'a state that is written instead of reached',
      status: 422,
      code: 'validation_failed',
      says: /by transition only/,
      pointer: '/status',
      send: () => admin('PATCH', `${applications}/${application}`, { status: 'approved' }, { 'if-match': '"v1"' }),
    },
    {
      title: 'a forbidden field in a filter',
      status: 400,
      code: 'invalid_query',
      says: /disclosureFelony/,
      send: () => recruiter('GET', `${applications}?${filter('disclosureFelony == true')}`),
    },
    {
      title: 'a forbidden field through a reference in a filter',
      status: 400,
      code: 'invalid_query',
      says: /disclosureFelony/,
      send: () => recruiter('GET', `/api/v1/records/License?${filter('application.disclosureFelony == true')}`),
    },
    {
      title: 'a forbidden field as an equality',
      status: 400,
      code: 'invalid_query',
      says: /disclosureFelony/,
      send: () => recruiter('GET', `${applications}?disclosureFelony=true`),
    },
    {
      title: 'a forbidden field in a sort',
      status: 400,
      code: 'invalid_query',
      says: /disclosureFelony/,
      send: () => recruiter('GET', `${applications}?sort=-disclosureFelony`),
    },
    {
      title: 'a forbidden field in an aggregate',
      status: 400,
      code: 'invalid_query',
      says: /disclosureFelony/,
      send: () => recruiter('POST', `${applications}/aggregate`, { groupBy: ['disclosureFelony'], measures: [{ as: 'n', op: 'count' }] }),
    },
    {
      title: 'a forbidden field in a change',
      status: 422,
      code: 'validation_failed',
      says: /no field "disclosureFelony"/,
      send: () => recruiter('PATCH', `${applications}/${application}`, { disclosureFelony: false }, { 'if-match': '"v1"' }),
    },
    {
      title: 'one wrong item of an atomic batch',
      status: 422,
      code: 'validation_failed',
      says: /no field "colour"/,
      pointer: '/items/1/values/colour',
      send: () =>
        admin('POST', `${NETWORKS}/bulk`, {
          items: [
            { op: 'create', values: { ...FILLED, name: 'One', code: 'ONE' } },
            { op: 'create', values: { ...FILLED, name: 'Two', code: 'TWO', colour: 'red' } },
          ],
        }),
    },
    {
      title: 'a value that another record has',
      status: 409,
      code: 'conflict_unique',
      says: /already has this/,
      send: () => admin('POST', NETWORKS, { ...FILLED, name: 'Other', code: 'KEPT' }),
    },
    {
      title: 'a wrong check digit',
      status: 422,
      code: 'validation_failed',
      says: /check digit/,
      pointer: '/npi',
      send: () => admin('POST', '/api/v1/records/Lead', { entityType: 'individual', firstName: 'A', lastName: 'B', npi: '1234567890', source: 'nppes' }),
    },
    {
      title: 'a file of a kind that is not accepted',
      status: 415,
      code: 'unsupported_media_type',
      says: /accepted types/,
      send: () => admin('POST', '/api/v1/files?name=run.exe', '\u0000\u0001MZ', { 'content-type': 'application/octet-stream' }),
    },
    {
      title: 'a file that nobody uploaded',
      status: 422,
      code: 'validation_failed',
      says: /did not upload/,
      pointer: '/file',
      send: () => admin('POST', '/api/v1/records/Document', { application, type: 'other', file: '01900000-0000-7000-8000-0000000000ff' }),
    },
    {
      title: 'a key that is no Idempotency-Key',
      status: 400,
      code: 'bad_request',
      says: /Idempotency-Key/,
      send: () => admin('POST', NETWORKS, { ...FILLED, name: 'K', code: 'K' }, { 'idempotency-key': 'x'.repeat(256) }),
    },
    { title: 'an id that is none', status: 404, code: 'not_found', says: /no Network/, send: () => admin('GET', `${NETWORKS}/not-an-id`) },
    { title: 'an object that is none', status: 404, code: 'not_found', says: /no object "Nothing"/, send: () => admin('GET', '/api/v1/records/Nothing') },
    { title: 'an address that is none', status: 404, code: 'not_found', says: /openapi\.json/, send: () => admin('GET', '/api/v1/nothing') },
    { title: 'a broken address', status: 400, code: 'bad_request', says: /broken %/, send: () => admin('GET', `${NETWORKS}/%E0%A4%A`) },
    { title: 'nobody', status: 401, code: 'unauthenticated', says: /Sign in/, send: () => test.guest('POST', NETWORKS, { name: 'X' }) },
  ];

  for (const { title, status, code, says, pointer, send } of cases) {
    it(`${title}: one clear problem, nothing written`, async () => {
      const before = await counts();
      const answer = await send();
      expect([answer.status, answer.body['code']], answer.text).to.deep.equal([status, code]);
      expect(answer.headers.get('content-type')).to.match(/^application\/problem\+json/);
      expect(answer.body).to.include.keys('type', 'title', 'status', 'detail', 'requestId');
      expect(answer.body['requestId']).to.equal(answer.headers.get('x-request-id'));
      expect(String(answer.body['detail'])).to.match(says);
      if (pointer !== undefined) expect(at(answer.body, 'errors.0.pointer')).to.equal(pointer);
      expect(answer.text).to.not.match(/select |\.ts:\d|node_modules/);
      expect(await counts()).to.deep.equal(before);
    });
  }

  it('a stale version is answered with the record as it is now, as far as the caller may read it', async () => {
    const path = `${applications}/${application}`;
    const changed = await admin('PATCH', path, { email: 'b@practice.example', disclosureDea: false }, { 'if-match': '"v1"' });
    expect(changed.status, changed.text).to.equal(200);
    const stale = await recruiter('PATCH', path, { email: 'c@practice.example' }, { 'if-match': '"v1"' });
    expect([stale.status, at(stale.body, 'current.email'), stale.body['clashing']], stale.text).to.deep.equal([412, 'b@practice.example', ['email']]);
    expect(stale.text).to.not.contain('disclosure');
  });
});
