import { expect } from 'chai';
import { inTransaction } from '../../src/platform/db.ts';
import { createPortalLink } from '../../src/platform/identity/portal-links.ts';
import { run, sql } from '../../src/platform/sql.ts';
import { makeBrowser, type Browser, type Page } from '../flow/support/browser.ts';
import { FORM, startMarina, type Marina } from '../platform/forms/support/marina.ts';
import { at, type Client } from '../support/app.ts';

const FIELDS = { withGuests: 'true', insured: 'false' };

describe('portal: several devices, without script', () => {
  let marina: Marina;
  let staff: Client;
  let id: string;
  let link: { readonly id: string; readonly secret: string };
  before(async () => {
    marina = await startMarina();
    staff = await marina.test.caller('harbour');
  });
  after(() => marina.stop());
  beforeEach(async () => {
    id = await marina.newMooring();
    const context = await marina.system();
    const wanted = { object: 'Mooring', recordId: id, permissionSet: 'skipper', purpose: `form:${FORM}`, days: 30 };
    link = await inTransaction(marina.test.app.db, (tx) => createPortalLink(tx, context, wanted));
  });

  async function openOn(name: string): Promise<Browser> {
    const browser = makeBrowser(name);
    await browser.open(`${marina.test.url}/portal/start/${link.secret}`);
    return browser;
  }
  const pageOf = (browser: Browser, page: string): Promise<Page> => browser.open(`${marina.test.url}/portal/${link.id}/page/${page}`);
  const names = async (): Promise<unknown> => ((await marina.open(id)).submission.data.repeats['guests'] ?? []).map((row) => row['name']);
  async function begin(): Promise<readonly [Browser, Browser]> {
    const [desk, phone] = [await openOn('Desk'), await openOn('Phone')];
    await desk.press(await pageOf(desk, 'boat'), 'Save and continue', FIELDS);
    return [desk, phone];
  }

  it('every page may be read without a write', async () => {
    const browser = await openOn('Desk');
    for (const path of ['', '/page/boat', '/page/boat?check=1', '/check', '/status']) {
      expect((await browser.open(`${marina.test.url}/portal/${link.id}${path}`)).status, path).to.equal(200);
    }
    expect(await marina.stored(id)).to.deep.equal([]);
  });

  it('rows that two devices add to the same page are both kept', async () => {
    const [desk, phone] = await begin();
    const [onDesk, onPhone] = [await pageOf(desk, 'guests'), await pageOf(phone, 'guests')];
    const more = await desk.press(onDesk, 'Add another guest', { 'guests.0.name': 'Ada' });
    await desk.press(more, 'Save and come back later', { 'guests.1.name': 'Ben' });
    const check = await phone.press(onPhone, 'Save and continue', { 'guests.0.name': 'Cleo' });
    expect(await names()).to.deep.equal(['Ada', 'Ben', 'Cleo']);
    expect(check.text).to.contain('Guest 3: NameCleo');
  });

  it('a row that one device takes out and the other changed is shown to both, and decided', async () => {
    const [desk, phone] = await begin();
    await desk.press(await desk.press(await pageOf(desk, 'guests'), 'Add another guest', { 'guests.0.name': 'Ada' }), 'Save and come back later', {
      'guests.1.name': 'Ben',
    });
    const [onDesk, onPhone] = [await pageOf(desk, 'guests'), await pageOf(phone, 'guests')];
    await desk.press(onDesk, 'Remove guest 2');
    expect(await names()).to.deep.equal(['Ada']);
    const asked = await phone.press(onPhone, 'Save and continue', { 'guests.1.name': 'Benjamin' });
    expect(asked.errors).to.deep.equal(['Keep or remove guest 2: it was removed on one device and changed on another']);
    const stale = await pageOf(desk, 'guests');
    expect(stale.html).to.contain('value="Benjamin"');
    const kept = await phone.press(asked, 'Keep guest 2');
    expect([kept.url.endsWith('/page/guests#guests-1'), await names()]).to.deep.equal([true, ['Ada', 'Benjamin']]);
    await desk.press(stale, 'Remove it');
    expect(await names()).to.deep.equal(['Ada']);
  });

  it('two answers to one question are both shown; the one that is chosen stands', async () => {
    const [desk, phone] = [await openOn('Desk'), await openOn('Phone')];
    const [onDesk, onPhone] = [await pageOf(desk, 'boat'), await pageOf(phone, 'boat')];
    await desk.press(onDesk, 'Save and continue', { boat: 'Grebe', ...FIELDS, logbook: 'Calm' });
    const both = await phone.press(onPhone, 'Save and continue', { boat: 'Swan', ...FIELDS });
    expect([both.status, both.errors]).to.deep.equal([422, ['Choose one of the answers that were given: boat']]);
    expect(both.text).to.contain('“Swan” (shown here)').and.contain('“Grebe” (typed elsewhere)');
    expect((await marina.open(id)).submission.data.fields['logbook']).to.equal('Calm');
    const chosen = await phone.press(both, '“Grebe” (typed elsewhere)');
    expect(chosen.html).to.contain('value="Grebe"').and.not.contain('typed elsewhere');
    expect((await marina.open(id)).submission.data.others).to.deep.equal({});
  });

  it('text of several lines that was only shown is not taken for a change', async () => {
    await marina.save(id, 'boat', { fields: { logbook: 'One\nTwo' }, repeats: {} });
    const browser = await openOn('Desk');
    const page = await pageOf(browser, 'boat');
    await marina.save(id, 'boat', { fields: { logbook: 'One\nTwo\nThree' }, repeats: {} });
    await browser.press(page, 'Save and come back later', { logbook: 'One\r\nTwo' });
    expect((await marina.open(id)).submission.data).to.deep.include({ others: {} });
    expect((await marina.open(id)).submission.data.fields['logbook']).to.equal('One\nTwo\nThree');
  });

  it('questions that an answer leads to are shown by a button', async () => {
    const browser = await openOn('Desk');
    const page = await pageOf(browser, 'boat');
    expect(page.text).to.not.contain('Insurance paper');
    const more = await browser.press(page, 'Update the questions', { insured: 'true' });
    expect([more.status, more.errors]).to.deep.equal([200, []]);
    expect(more.text).to.contain('Insurance paper');
    await marina.save(id, 'boat', { fields: { ...FIELDS }, repeats: {} });
    const guests = await pageOf(browser, 'guests');
    const guardian = await browser.press(guests, 'Update the questions', { 'guests.0.minor': 'true', 'guests.0.name': 'Ada' });
    expect(guardian.url).to.match(/\/page\/guests#guests-0-guardian$/);
    expect(guardian.html).to.contain('name="guests.0.guardian"').and.contain('value="Ada"');
  });

  it('the check page sends only what it showed: changed elsewhere, it is shown again', async () => {
    const [desk, phone] = [await openOn('Desk'), await openOn('Phone')];
    const check = await desk.press(await pageOf(desk, 'boat'), 'Save and continue', { withGuests: 'false', insured: 'false' });
    expect(check.title).to.contain('Check your answers');
    await phone.press(await pageOf(phone, 'boat'), 'Save and come back later', { boat: 'Grebe' });
    const again = await desk.press(check, 'Send application');
    expect([again.status, again.errors]).to.deep.equal([
      412,
      ['The answers were changed since you read them over. Read them again, then send them. They stand below as they are now.'],
    ]);
    expect(again.text).to.contain('BoatGrebe');
    const sent = await desk.press(again, 'Send application');
    expect(sent.text).to.contain('We have your request');
  });

  it('a form that is sent twice is sent once, and both presses are told so', async () => {
    const browser = await openOn('Desk');
    const check = await browser.press(await pageOf(browser, 'boat'), 'Save and continue', { withGuests: 'false', insured: 'false' });
    const answers = await Promise.all([browser.press(check, 'Send application'), browser.press(check, 'Send application')]);
    for (const answer of [...answers, await browser.press(check, 'Send application')]) {
      expect([answer.status, answer.text.includes('We have your request')], answer.text).to.deep.equal([200, true]);
    }
    expect((await marina.stored(id)).map((row) => row['state'])).to.deep.equal(['submitted']);
  });

  it('what was typed is given back when it cannot be kept: link ended, form sent, page changed by hand', async () => {
    const browser = await openOn('Desk');
    const page = await pageOf(browser, 'boat');
    const words = 'Lee shore, two reefs <b>in</b>';
    const forged = await browser.press(page, 'Save and continue', { logbook: words, $seen: '{}' });
    expect([forged.status, forged.text.includes(`Logbook${words}`)], forged.text).to.deep.equal([400, true]);
    expect(forged.html).to.not.contain('<b>in</b>');

    await run(marina.test.app.db, sql`update credenza.portal_link set expires_at = now() - interval '1 minute' where id = ${link.id}::uuid`);
    const file = { name: 'paper.png', mediaType: 'image/png', bytes: Buffer.from('x') };
    const typed = await openAt(page, 'document.insurance');
    const expired = await browser.press(typed, 'Save and continue', { logbook: words, equipment: ['radio', 'raft'] }, { 'document.insurance': file });
    expect([expired.status, expired.text.includes('This link has expired')]).to.deep.equal([404, true]);
    expect(expired.text).to.contain(`Logbook${words}`).and.contain('Equipmentradio, raft').and.not.contain('seen');
    await run(marina.test.app.db, sql`update credenza.portal_link set expires_at = now() + interval '1 day' where id = ${link.id}::uuid`);

    await marina.save(id, 'boat', { fields: { withGuests: 'false', insured: 'false' }, repeats: {} });
    await marina.submit(id);
    const sent = await browser.press(page, 'Save and continue', { logbook: words });
    expect([sent.status, sent.text.includes('This form was sent already')]).to.deep.equal([409, true]);
    expect(sent.text).to.contain(`Logbook${words}`);
    expect(await marina.stored(id)).to.have.length(1);
  });

  /** The page as if it asked for a file too. */
  function openAt(page: Page, name: string): Promise<Page> {
    return Promise.resolve({ ...page, html: page.html.replace('</form>', `<input type="file" name="${name}"></form>`) });
  }

  it('a file that is too large takes no answers with it', async () => {
    await marina.save(id, 'boat', { fields: { insured: 'true' }, repeats: {} });
    const browser = await openOn('Desk');
    const large = { name: 'large.png', mediaType: 'image/png', bytes: Buffer.alloc(11 * 1024 * 1024, 1) };
    const refused = await browser.press(await pageOf(browser, 'boat'), 'Save and continue', { logbook: 'Typed beside it' }, { 'document.insurance': large });
    expect([refused.status, refused.errors[0]]).to.deep.equal([
      413,
      'large.png is larger than 10 MB. Choose a smaller one: a photo at lower quality, or fewer pages',
    ]);
    expect((await marina.open(id)).submission.data.fields['logbook']).to.equal('Typed beside it');
  });

  it('an answer that a date input cannot hold stands there as it was typed', async () => {
    await marina.save(id, 'boat', { fields: { arrivesOn: 'first of May' }, repeats: {} });
    const browser = await openOn('Desk');
    const page = await pageOf(browser, 'boat');
    expect(page.html).to.contain('name="arrivesOn" type="text" value="first of May"');
    const refused = await browser.press(page, 'Save and continue', FIELDS);
    expect(refused.html).to.contain('value="first of May"');
    expect(refused.errors.join()).to.contain('Arrives on');
  });

  describe('the API', () => {
    const path = (): string => `/api/v1/submissions/${FORM}/${id}`;

    it('reads without a write, with an ETag that a save may name', async () => {
      const read = await staff('GET', path());
      expect([read.status, read.headers.get('etag'), at(read.body, 'data.version'), at(read.body, 'data.updatedAt')]).to.deep.equal([200, '"v0"', 0, null]);
      expect(await marina.stored(id)).to.deep.equal([]);
      const saved = await staff('PATCH', `${path()}/pages/boat`, { fields: { boat: 'Grebe' } }, { 'if-match': '"v0"' });
      expect([saved.status, saved.headers.get('etag'), at(saved.body, 'data.id')]).to.deep.equal([200, '"v1"', at(read.body, 'data.id')]);
    });

    it('refuses a stale version with the form as it stands and what clashes, and keeps both rows', async () => {
      await staff('PATCH', `${path()}/pages/boat`, { fields: FIELDS });
      const etag = (await staff('GET', path())).headers.get('etag') ?? '';
      await staff('PATCH', `${path()}/pages/guests`, { repeats: { guests: [{ name: 'Ada' }] } }, { 'if-match': etag });
      const stale = await staff('PATCH', `${path()}/pages/guests`, { repeats: { guests: [{ name: 'Ben' }] } }, { 'if-match': etag });
      expect([stale.status, at(stale.body, 'code'), at(stale.body, 'clashing')]).to.deep.equal([412, 'conflict_version', ['guests']]);
      const rows = at(stale.body, 'current.pages.1.parts.0.rows');
      const row = { id: at(rows, '0.id'), name: 'Ada' };
      expect(at(rows, '0.questions.0.value')).to.equal('Ada');
      const version = `"v${String(at(stale.body, 'current.version'))}"`;
      const both = await staff('PATCH', `${path()}/pages/guests`, { repeats: { guests: [row, { name: 'Ben' }] } }, { 'if-match': version });
      expect([both.status, both.headers.get('etag') === version]).to.deep.equal([200, false]);
      expect(await names()).to.deep.equal(['Ada', 'Ben']);
    });

    it('drops no row without If-Match, and sends nothing that was not read', async () => {
      await staff('PATCH', `${path()}/pages/boat`, { fields: FIELDS });
      await staff('PATCH', `${path()}/pages/guests`, { repeats: { guests: [{ name: 'Ada' }, { name: 'Ben' }] } });
      const dropped = await staff('PATCH', `${path()}/pages/guests`, { repeats: { guests: [{ name: 'Ben' }] } });
      expect([dropped.status, at(dropped.body, 'code')]).to.deep.equal([428, 'precondition_required']);
      expect(await names()).to.deep.equal(['Ada', 'Ben']);
      const stale = await staff('POST', `${path()}/submit`, {}, { 'if-match': '"v1"' });
      expect([stale.status, at(stale.body, 'current.state')]).to.deep.equal([412, 'draft']);
      const wrong = await staff('POST', `${path()}/submit`, {}, { 'if-match': 'v1' });
      expect([wrong.status, at(wrong.body, 'code')]).to.deep.equal([400, 'bad_request']);
      const sent = await staff('POST', `${path()}/submit`, {}, { 'if-match': (await staff('GET', path())).headers.get('etag') ?? '' });
      expect([sent.status, at(sent.body, 'data.state')], sent.text).to.deep.equal([200, 'submitted']);
    });
  });
});
