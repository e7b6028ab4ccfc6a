import { expect } from 'chai';
import { inTransaction } from '../../src/platform/db.ts';
import { createPortalLink } from '../../src/platform/identity/portal-links.ts';
import { revokePortalLink } from '../../src/platform/identity/portal-link.sql.ts';
import { rows, run, sql } from '../../src/platform/sql.ts';
import { FAMILY_DOCTOR, SECOND_LOOK } from '../flow/support/answers.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

interface Link {
  readonly id: string;
  readonly cookie: string;
}

interface Page {
  readonly status: number;
  readonly text: string;
  readonly location: string;
}

describe('portal: a personal link reaches its own record and form only', () => {
  let test: TestApp;
  let admin: Client;
  let own = '';
  let other = '';
  let link: Link;
  let otherLink: Link;

  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
    own = await create('Application', { providerType: 'pcp', entityType: 'individual', email: 'a@practice.example' });
    other = await create('Application', { providerType: 'pcp', entityType: 'individual', email: 'b@practice.example' });
    link = await open('Application', own, 'form:provider-application');
    otherLink = await open('Application', other, 'form:provider-application');
  });
  after(() => test.stop());

  async function create(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `/api/v1/records/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }
  const show = async (object: string, id: string): Promise<unknown> => (await admin('GET', `/api/v1/records/${object}/${id}`)).body['data'];

  async function open(object: string, recordId: string, purpose: string, days = 30): Promise<Link> {
    const context = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const made = await inTransaction(test.app.db, (tx) => createPortalLink(tx, context, { object, recordId, permissionSet: 'provider', purpose, days }));
    const started = await test.guest('GET', `/portal/start/${made.secret}`);
    return { id: made.id, cookie: (started.headers.get('set-cookie') ?? '').split(';')[0] ?? '' };
  }

  async function visit(
    path: string,
    { cookie }: { readonly cookie: string },
    body?: FormData | URLSearchParams,
    headers: Record<string, string> = {},
  ): Promise<Page> {
    const answer = await fetch(`${test.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { cookie, accept: 'text/html', ...headers },
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
    return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') ?? '' };
  }

  function multipart(fields: Readonly<Record<string, string>>, files: Readonly<Record<string, Blob>> = {}): FormData {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    for (const [name, file] of Object.entries(files)) form.set(name, file, 'file.png');
    return form;
  }

  const LICENSE = { 'licenses.0.type': 'physician', 'licenses.0.state': 'MA', 'licenses.0.number': 'STOLEN', 'licenses.0.expiresOn': '2030-01-01' };
  const routes = (id: string): readonly (readonly [string, (FormData | URLSearchParams)?])[] => [
    [`/portal/${id}`],
    [`/portal/${id}/page/about-you`],
    [`/portal/${id}/page/about-you`, multipart({ firstName: 'Mallory', action: 'continue' })],
    [`/portal/${id}/page/about-you/autosave`, multipart({ firstName: 'Mallory' })],
    [`/portal/${id}/check`],
    [`/portal/${id}/check`, new URLSearchParams({ attestation: 'Mallory' })],
    [`/portal/${id}/status`],
    [`/portal/${id}/document`],
    [`/portal/${id}/sign`, new URLSearchParams({ name: 'Mallory', consent: 'yes' })],
  ];

  it('another link is not opened by this cookie, whatever the address and the cookie are called', async () => {
    const secret = link.cookie.split('=')[1] ?? '';
    const before = await show('Application', other);
    for (const cookie of [link.cookie, `credenza_link_${otherLink.id}=${secret}`, '']) {
      for (const [path, body] of routes(otherLink.id)) {
        const answer = await visit(path, { cookie }, body);
        expect([answer.status, path], answer.text).to.deep.equal([404, path]);
        expect(answer.text).to.not.contain('b@practice.example');
      }
    }
    expect(await show('Application', other)).to.deep.equal(before);
    expect(await rows(test.app.db, sql`select id from credenza.submission where record_id = ${other}::uuid`)).to.have.length(0);
  });

  it('an expired and a withdrawn link open nothing, at every address', async () => {
    const expired = await open('Application', own, 'form:provider-application');
    await run(test.app.db, sql`update credenza.portal_link set expires_at = now() - interval '1 minute' where id = ${expired.id}::uuid`);
    const withdrawn = await open('Application', own, 'form:provider-application');
    await revokePortalLink(test.app.db, withdrawn.id, test.app.clock.now());
    for (const [gone, words] of [
      [expired, /has expired/],
      [withdrawn, /was withdrawn/],
    ] as const) {
      for (const [path, body] of routes(gone.id)) {
        const answer = await visit(path, gone, body);
        expect([answer.status, path]).to.deep.equal([404, path]);
        expect(answer.text).to.match(words);
      }
    }
    expect(at(await show('Application', own), 'firstName')).to.equal(null);
  });

  it('the hidden id of a row of another record is refused, in the draft already', async () => {
    const foreign = await create('License', { application: other, type: 'physician', state: 'CT', number: 'THEIRS' });
    for (const path of ['/page/licenses', '/page/licenses/autosave']) {
      const answer = await visit(`/portal/${link.id}${path}`, link, multipart({ ...LICENSE, 'licenses.0.id': foreign, action: 'continue' }));
      expect(answer.status, answer.text).to.equal(404);
    }
    const [draft] = await rows(test.app.db, sql`select data::text as data from credenza.submission where record_id = ${own}::uuid`);
    expect(String(draft?.['data'])).to.not.contain(foreign).and.not.contain('STOLEN');
    expect(await show('License', foreign)).to.include({ number: 'THEIRS', state: 'CT', version: 1 });
  });

  it('a row of the record itself may be taken up, also one that staff added since', async () => {
    const mine = await create('License', { application: own, type: 'physician', state: 'MA', number: 'MINE' });
    const saved = await visit(
      `/portal/${link.id}/page/licenses`,
      link,
      multipart({ ...LICENSE, 'licenses.0.number': '1', 'licenses.0.id': mine, action: 'save' }),
    );
    expect(saved.status, saved.text).to.equal(303);
    expect(await show('License', mine)).to.include({ number: 'MINE', version: 1 });
  });

  it('a document that the page does not ask for is refused, and so is one of a kind that it does not accept', async () => {
    const before = (await rows(test.app.db, sql`select count(*)::int as n from credenza.file`))[0]?.['n'];
    const foreign = await visit(
      `/portal/${link.id}/page/malpractice`,
      link,
      multipart({ action: 'continue' }, { 'document.sanction-report': new Blob([PNG]) }),
    );
    expect(foreign.status).to.equal(422);
    expect(foreign.text).to.contain('does not ask for this document');
    const text = await visit(
      `/portal/${link.id}/page/malpractice`,
      link,
      multipart({ action: 'continue' }, { 'document.malpractice-certificate': new Blob(['plain text']) }),
    );
    expect(text.status).to.equal(422);
    expect((await rows(test.app.db, sql`select count(*)::int as n from credenza.file`))[0]?.['n']).to.equal(before);
  });

  it('a file above 10 MB is answered by a page in words; other kinds of bodies lose no answers', async () => {
    await visit(`/portal/${link.id}/page/about-you`, link, multipart({ entityType: 'individual', firstName: 'Ada', action: 'save' }));
    const large = await visit(
      `/portal/${link.id}/page/malpractice`,
      link,
      multipart({ action: 'continue' }, { 'document.malpractice-certificate': new Blob([Buffer.alloc(11 * 1024 * 1024, 1)]) }),
    );
    expect(large.status).to.equal(413);
    expect(large.text).to.contain('larger than 10 MB').and.contain('<html').and.not.contain('Multer');
    const plain = await visit(`/portal/${link.id}/page/about-you`, link, new URLSearchParams({ action: 'continue' }));
    expect([plain.status, plain.text.includes('does not take')]).to.deep.equal([415, true]);
    const torn = await fetch(`${test.url}/portal/${link.id}/page/about-you`, {
      method: 'POST',
      headers: { cookie: link.cookie, accept: 'text/html', 'content-type': 'multipart/form-data; boundary=xyz' },
      body: '--xyz\r\nContent-Disposition: form-data; name="firstName"\r\n\r\nMallory',
    });
    expect([torn.status, (await torn.text()).includes('did not arrive whole')]).to.deep.equal([400, true]);
    expect((await visit(`/portal/${link.id}/page/about-you`, link)).text).to.contain('value="Ada"');
  });

  it('nobody without a good link makes us read a body, and no other site posts through a browser', async () => {
    const body = multipart({ firstName: 'Mallory' }, { 'document.malpractice-certificate': new Blob([Buffer.alloc(11 * 1024 * 1024, 1)]) });
    expect((await visit(`/portal/${link.id}/page/about-you`, { cookie: '' }, body)).status).to.equal(404);
    const crossed = await visit(`/portal/${link.id}/page/about-you`, link, multipart({ firstName: 'Mallory' }), { 'sec-fetch-site': 'cross-site' });
    expect(crossed.status).to.equal(403);
  });

  it('a link to sign with fills in nothing, and one to a form signs nothing', async () => {
    const provider = await create('Provider', { npi: '1891798906', name: 'Ada Alder', entityType: 'individual', type: 'pcp' });
    const contract = await create('Contract', { provider, type: 'participation', title: 'Agreement' });
    const signing = await open('Contract', contract, 'form:contract-signing');
    const before = await show('Contract', contract);
    const save = await visit(`/portal/${signing.id}/page/sign`, signing, multipart({ title: 'Mine', effectiveFrom: '2020-01-01', action: 'continue' }));
    const send = await visit(`/portal/${signing.id}/check`, signing, new URLSearchParams({ attestation: 'x' }));
    expect([save.status, send.status]).to.deep.equal([404, 404]);
    const early = await visit(`/portal/${signing.id}/sign`, signing, new URLSearchParams({ name: 'Ada', consent: 'yes', seenHash: '' }));
    expect(early.status).to.equal(422);
    expect(await show('Contract', contract)).to.deep.equal(before);
    expect((await admin('GET', `/api/v1/records/Signature?contract=${contract}&count=exact`)).body['meta']).to.deep.include({ count: 0 });
    expect((await visit(`/portal/${link.id}/sign`, link, new URLSearchParams({ name: 'Ada', consent: 'yes' }))).status).to.equal(404);
  });

  it('a link whose form is about another object than its record opens nothing', async () => {
    const mixed = await open('Application', own, 'form:campaign-answer');
    expect((await visit(`/portal/${mixed.id}`, mixed)).status).to.equal(404);
  });

  it('a form that was returned and is sent again changes the rows it made and repeats no document', async () => {
    const answers: Record<string, unknown> = { entityType: 'individual', firstName: 'Ada', lastName: 'Alder', npi: '1891798906' };
    for (const [, given] of FAMILY_DOCTOR) {
      for (const [name, value] of Object.entries(given)) if (!name.includes('.')) answers[name] = value === 'true' ? true : value === 'false' ? false : value;
    }
    for (const given of Object.values(SECOND_LOOK)) Object.assign(answers, given);
    const id = await create('Application', {
      ...answers,
      email: 'ada@practice.example',
      mailingAddressLine1: '5 Main Street',
      mailingCity: 'Springfield',
      mailingState: 'MA',
      mailingZip: '01101',
      taxonomyCode: '207Q00000X',
      malpracticePerOccurrence: '1000000',
      malpracticeAggregate: '3000000',
    });
    await create('PracticeLocation', {
      application: id,
      locationName: 'Main office',
      addressLine1: '5 Main Street',
      city: 'Springfield',
      state: 'MA',
      zip: '01101',
      phone: '+1 413 555 0199',
    });
    const mine = await open('Application', id, 'form:provider-application');
    const send = (number: string): Promise<Page> =>
      visit(`/portal/${mine.id}/page/licenses`, mine, multipart({ ...LICENSE, ...rowIds, 'licenses.0.number': number, action: 'continue' })).then((saved) => {
        expect(saved.status, saved.text).to.equal(303);
        return visit(`/portal/${mine.id}/check`, mine, new URLSearchParams({ attestation: 'Ada Alder' }));
      });
    let rowIds: Readonly<Record<string, string>> = {};
    await visit(
      `/portal/${mine.id}/page/malpractice`,
      mine,
      multipart({ ...textOf(answers), action: 'save' }, { 'document.malpractice-certificate': new Blob([PNG]) }),
    );
    const first = await send('246645');
    expect([first.status, first.location], first.text).to.deep.equal([303, `/portal/${mine.id}/status?sent=1`]);
    const licenses = async (): Promise<unknown> => (await admin('GET', `/api/v1/records/License?application=${id}&fields=number`)).body['data'];
    const documents = async (): Promise<unknown> => at((await admin('GET', `/api/v1/records/Document?application=${id}&count=exact`)).body, 'meta.count');
    const licenseId = String(at(await licenses(), '0.id'));
    expect(await documents()).to.equal(1);

    const version = at(await show('Application', id), 'version');
    const returned = await admin(
      'POST',
      `/api/v1/records/Application/${id}/transitions/return`,
      { returnReason: 'Which number?' },
      { 'if-match': `"v${String(version)}"` },
    );
    expect(returned.status, returned.text).to.equal(200);
    expect((await visit(`/portal/${mine.id}/page/licenses`, mine)).text).to.contain(`value="${licenseId}"`);
    rowIds = { 'licenses.0.id': licenseId };
    expect((await send('246646')).status).to.equal(303);
    expect(await licenses()).to.deep.equal([{ id: licenseId, version: 2, number: '246646' }]);
    expect(await documents()).to.equal(1);
    expect(await show('Application', id)).to.include({ status: 'submitted' });
  });

  function textOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
  }
});
