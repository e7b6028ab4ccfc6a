import { expect } from 'chai';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const TEAMS = ['recruiting', 'credentialing', 'contracting', 'network', 'relations', 'advocate'] as const;
type Team = (typeof TEAMS)[number];

const APPLICATIONS = '/api/v1/records/Application';
/** A word that stands in a disclosure and nowhere else. */
const SECRET = 'Quokkagate';

describe('R004-17 separate teams over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  const teams = new Map<Team, Client>();
  let application = '';
  let verification = '';

  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
    for (const team of TEAMS) teams.set(team, await test.caller(team));
    application = await create('Application', {
      providerType: 'pcp',
      entityType: 'individual',
      email: 'a@practice.example',
      firstName: 'Ada',
      lastName: 'Alder',
      disclosureFelony: true,
      disclosureFelonyDetail: `${SECRET} of 1999`,
    });
    verification = await create('Verification', { application, kind: 'license', required: true });
  });
  after(() => test.stop());

  const as = (team: Team): Client => {
    const client = teams.get(team);
    if (client === undefined) throw new Error(`There is no team ${team}.`);
    return client;
  };
  async function create(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `/api/v1/records/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }
  const one = (): string => `${APPLICATIONS}/${application}`;
  const etag = async (path: string): Promise<Record<string, string>> => ({ 'if-match': (await admin('GET', path)).headers.get('etag') ?? '' });

  function expectNothingOfIt(answer: Answer): void {
    expect(answer.text).to.not.contain(SECRET).and.not.contain('disclosureFelonyDetail"');
  }

  /** Asks until the answer is yes; a second is what a revocation may take, the rest is for a busy machine. */
  async function soon(ask: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + 3_000;
    while (!(await ask())) expect(performance.now(), 'still the same after three seconds').to.be.lessThan(end);
  }

  it('R004-17 credentialing reads the disclosures', async () => {
    expect((await as('credentialing')('GET', one())).text).to.contain(SECRET);
    const found = await as('credentialing')('GET', `${APPLICATIONS}?filter=${encodeURIComponent('disclosureFelony == true')}`);
    expect(at(found.body, 'data.0.id')).to.equal(application);
  });

  for (const team of TEAMS.filter((name) => name !== 'credentialing')) {
    it(`R004-17 ${team} cannot see disclosures: not in get, list, expand, filter, sort, group, history, search, layout, description or document`, async () => {
      const call = as(team);
      const filters = ['disclosureFelony == true', "disclosureFelonyDetail == 'x'", 'disclosureFelony != null && npi == null'];
      const answers = [
        await call('GET', one()),
        await call('GET', `${one()}?fields=disclosureFelonyDetail`),
        await call('GET', APPLICATIONS),
        await call('GET', '/api/v1/records/Verification?expand=application'),
        await call('GET', `${APPLICATIONS}?search=${SECRET}`),
        await call('GET', `/api/v1/search?q=${SECRET}`),
        await call('GET', `${one()}/history`),
        await call('GET', `${one()}/layout`),
        await call('GET', '/api/v1/objects/Application'),
        await call('GET', '/api/v1/forms/provider-application'),
        await call('GET', '/api/v1/openapi.json'),
        await call('POST', `${APPLICATIONS}/aggregate`, { groupBy: ['disclosureFelony'], measures: [{ as: 'n', op: 'count' }] }),
        await call('POST', `${APPLICATIONS}/aggregate`, { measures: [{ as: 'n', op: 'max', field: 'disclosureFelonyDetail' }] }),
        await call('GET', `${APPLICATIONS}?sort=disclosureFelony`),
        await call('GET', `${APPLICATIONS}?disclosureFelony=true`),
        ...(await Promise.all(filters.map((filter) => call('POST', `${APPLICATIONS}/query`, { filter })))),
      ];
      for (const answer of answers) expectNothingOfIt(answer);
      for (const answer of answers.slice(-7)) expect(answer.status, answer.text).to.be.oneOf([400, 404]);
      expect(at((await call('GET', `/api/v1/search?q=${SECRET}`)).body, 'data')).to.deep.equal([]);
    });
  }

  it('R004-17 a draft tells recruiting nothing of the disclosures typed into it, and recruiting cannot send it', async () => {
    const portal = await test.app.contextFor(
      { kind: 'portal', permissionSets: ['provider'], subject: { object: 'Application', id: application }, linkId: application },
      { kind: 'command', name: 'test' },
    );
    const typed = { fields: { disclosureDea: 'true', disclosureDeaDetail: `${SECRET} again` }, repeats: {} };
    await test.app.forms.savePage(test.app.db, portal, 'provider-application', application, 'disclosures', typed, false);
    const path = `/api/v1/submissions/provider-application/${application}`;
    for (const team of TEAMS.filter((name) => name !== 'credentialing')) {
      const answers = [
        await as(team)('GET', path),
        await as(team)('PATCH', `${path}/pages/disclosures`, { fields: { disclosureDea: 'false' } }),
        await as(team)('POST', `${path}/submit`, { attestation: 'Me' }),
      ];
      for (const answer of answers) {
        expect(answer.status, answer.text).to.be.oneOf([403, 404]);
        expectNothingOfIt(answer);
      }
    }
    const mine = await as('credentialing')('GET', path);
    expect([mine.status, mine.text.includes(`${SECRET} again`)]).to.deep.equal([200, true]);
  });

  it('R004-17 a page takes what it asks for and nothing else, from credentialing too', async () => {
    const path = `/api/v1/submissions/provider-application/${application}/pages`;
    const foreign = await as('credentialing')('PATCH', `${path}/about-you`, { fields: { status: 'approved', firstName: 'Eve' } });
    expect([foreign.status, at(foreign.body, 'errors.0.pointer')], foreign.text).to.deep.equal([400, '/fields/status']);
    const rows = await as('credentialing')('PATCH', `${path}/licenses`, { repeats: { licenses: [{ provider: application }] } });
    expect([rows.status, at(rows.body, 'errors.0.pointer')], rows.text).to.deep.equal([400, '/repeats/licenses/0/provider']);
    const saved = await as('credentialing')('PATCH', `${path}/about-you`, { fields: { firstName: 'Adah' } });
    expect(saved.status, saved.text).to.equal(200);
    expect(at((await admin('GET', one())).body, 'data.firstName')).to.equal('Ada');
  });

  it('R004-17 contracting cannot decide credentialing, nor can any team but credentialing', async () => {
    await admin('PATCH', one(), { attestationName: 'Ada Alder', attestedAt: '2026-01-05T15:00:00Z', npi: '1891798906' }, await etag(one()));
    for (const name of ['submit', 'start-review']) {
      const moved = await admin('POST', `${one()}/transitions/${name}`, {}, await etag(one()));
      expect(moved.status, moved.text).to.equal(200);
    }
    const before = await admin('GET', one());
    for (const team of TEAMS.filter((entry) => entry !== 'credentialing')) {
      for (const decision of ['approve', 'deny', 'return']) {
        const answer = await as(team)('POST', `${one()}/transitions/${decision}`, {}, await etag(one()));
        expect([answer.status, team], answer.text).to.deep.equal([answer.status === 404 ? 404 : 403, team]);
      }
      const path = `/api/v1/records/Verification/${verification}`;
      const verified = await as(team)('POST', `${path}/transitions/verify`, {}, await etag(path));
      expect(verified.status, `${team} ${verified.text}`).to.be.oneOf([403, 404]);
      const states = await as(team)('GET', `${one()}/transitions`);
      const names = Array.isArray(states.body['data']) ? states.body['data'].map((entry) => at(entry, 'name')) : [];
      expect(names).to.not.include.members(['approve']).and.not.include.members(['deny']);
    }
    expect((await admin('GET', one())).body).to.deep.equal(before.body);
    const allowed = await as('credentialing')('POST', `${one()}/transitions/approve`, {}, await etag(one()));
    expect([allowed.status, allowed.body['code']], allowed.text).to.deep.equal([409, 'conflict_state']);
  });

  it('R004-17 only contracting signs for the plan, and only what stands where it is signed', async () => {
    const provider = await create('Provider', { npi: '1891798906', name: 'Ada Alder', entityType: 'individual', type: 'pcp' });
    const contract = await create('Contract', { provider, type: 'participation' });
    const path = `/api/v1/forms/contract-signing/signing/${contract}`;
    for (const team of TEAMS) {
      const answer = await as(team)('POST', path, { name: 'Me', consent: true, seenHash: null });
      if (team === 'contracting') expect(answer.status, answer.text).to.equal(409);
      else expect(answer.status, `${team} ${answer.text}`).to.be.oneOf([403, 404]);
    }
    expect(at((await admin('GET', '/api/v1/records/Signature?count=exact')).body, 'meta.count')).to.equal(0);
  });

  it('R004-17 a file is read through a record that the caller may read, and nobody puts the file of another into one', async () => {
    const uploaded = await as('credentialing')('POST', '/api/v1/files?name=sanction.txt', `${SECRET} file`, { 'content-type': 'text/plain' });
    const file = String(at(uploaded.body, 'data.id'));
    const document = await as('credentialing')('POST', '/api/v1/records/Document', { application, type: 'other', file });
    expect(document.status, document.text).to.equal(201);
    const path = `/api/v1/records/Document/${String(at(document.body, 'data.id'))}`;
    expect((await as('credentialing')('GET', `${path}/files/file`)).text).to.equal(`${SECRET} file`);
    for (const address of [`${path}/files/file`, `/api/v1/files/${file}`, `${one()}/files/file`, `${one()}/files/id`]) {
      const answer = await as('recruiting')('GET', address);
      expect(answer.status, `${address} ${answer.text}`).to.be.oneOf([400, 404]);
      expectNothingOfIt(answer);
    }
    const stolen = await as('contracting')('POST', '/api/v1/records/Document', { application, type: 'other', file });
    expect([stolen.status, at(stolen.body, 'errors.0.pointer')], stolen.text).to.deep.equal([422, '/file']);
  });

  it('R004-17 a permission set that is taken away, and a suspended account, have no effect any more within a second', async () => {
    const leaver = await test.caller('credentialing');
    const account = `/api/v1/users/${leaver.userId}`;
    expect((await leaver('GET', one())).status).to.equal(200);
    const changed = await admin('PATCH', account, { permissionSets: ['relations'] }, { 'if-match': '"v1"' });
    expect(changed.status, changed.text).to.equal(200);
    await soon(async () => !(await leaver('GET', one())).text.includes(SECRET));
    expect((await admin('PATCH', account, { status: 'suspended' }, { 'if-match': '"v2"' })).status).to.equal(200);
    await soon(async () => (await leaver('GET', '/api/v1/session')).status === 401);
  });
});
