import { expect } from 'chai';
import { CERTIFICATE, FAMILY_DOCTOR, SECOND_LOOK } from '../support/answers.ts';
import { makeBrowser, type Browser, type Page } from '../support/browser.ts';
import { addresses, linkIn, wordsOf } from '../support/world.ts';
import type { Story } from '../story.ts';

/** The application in three sittings, its verifications, the decision; and another one that is returned. */
export function application(story: Story): void {
  const { world } = story;
  const carl = () => world().teams.credentialing;
  const show = (name: string) => carl().get('Application', story.id(name));

  it('R004-06 first sitting: what was typed is kept, good or bad, and cannot be sent yet', async () => {
    await world().until('2026-03-11T14:00:00Z');
    const browser = makeBrowser('Office computer');
    const tasks = await browser.open(story.id('link application A'));
    expect(tasks.text).to.contain('You have finished 0 of 11 parts');
    let page = await browser.open(tasks.links.get('About you') ?? '');
    const before = await show('application A');
    expect(page.html)
      .to.contain(`value="${String(before['npi'])}"`)
      .and.contain(`value="${String(before['lastName'])}"`);
    page = await fillPages(browser, page, 0, 3);
    expect(page.text).to.contain('Licenses');
    const kept = await browser.press(page, 'Save and come back later', { 'licenses.0.number': '2466', 'licenses.0.expiresOn': '2028-13-45' });
    expect(kept.text).to.contain('You have finished 3 of 11 parts');
    const check = await browser.open(kept.links.get('Check your answers and send') ?? '');
    const refused = await browser.press(check, 'Send application', { attestation: 'Ada Alder' });
    expect(refused.status).to.equal(422);
    expect(refused.errors.length).to.be.greaterThan(10);
    expect(await show('application A')).to.include({ status: 'draft', submittedOn: null });
  });

  it('R004-06 second sitting, on another device: goes on where it was left', async () => {
    await world().until('2026-03-12T01:30:00Z');
    const browser = makeBrowser('Phone at home');
    const tasks = await browser.open(story.id('link application A'));
    const page = await browser.open(tasks.links.get('Continue') ?? '');
    expect(page.title).to.contain('Licenses');
    expect(page.html).to.contain('value="2466"').and.contain('value="2028-13-45"');
    const next = await fillPages(browser, page, 3, 7);
    expect(next.text).to.contain('Where you see patients');
    const other = await makeBrowser('Somebody else').open(next.url);
    expect(other.status).to.equal(404);
  });

  it('R004-06 third sitting: a document is uploaded, everything is checked and sent, and then read only', async () => {
    await world().until('2026-03-13T15:00:00Z');
    const browser = makeBrowser('Office computer');
    const tasks = await browser.open(story.id('link application A'));
    expect(tasks.text).to.contain('You have finished 7 of 11 parts');
    const place = await browser.open(tasks.links.get('Continue') ?? '');
    const check = await fillPages(browser, place, 7, 11);
    expect(check.text).to.contain('Check your answers').and.contain('certificate.png').and.contain('Family medicine');
    const unsigned = await browser.press(check, 'Send application');
    expect(unsigned.errors).to.deep.equal(['Enter your full name to confirm your answers']);
    const sent = await browser.press(unsigned, 'Send application', { attestation: 'Ada Alder' });
    expect(sent.text).to.contain('We have your application').and.contain('APP-000001');
    const page = await browser.open(place.url);
    expect(page.url).to.match(/\/status$/);
    await world().settle();
    expect(await show('application A')).to.include({
      status: 'submitted',
      submittedOn: '2026-03-13',
      completeOn: '2026-03-13',
      decisionDueOn: '2026-04-12',
      attestationName: 'Ada Alder',
      malpracticePerOccurrence: '1000000',
    });
    expect(addresses(world().mails())).to.deep.equal(['manager-a@practice.example: We have your application APP-000001']);
  });

  it('R004-07 verifications are made by the policy for the type, and the provider begins as applicant', async () => {
    const found = await carl().find('Verification', `application == '${story.id('application A')}'`, ['createdAt']);
    expect(found.map((entry) => entry['kind'])).to.have.members([
      'npi', 'license', 'dea', 'malpractice', 'sanctions', 'npdb', 'privileges', 'education', 'work-history', 'board-certification',
    ]); // prettier-ignore
    expect(found.every((entry) => entry['status'] === 'pending' && entry['required'] === true && entry['dueOn'] === '2026-04-12')).to.equal(true);
    const application = await show('application A');
    story.keep('provider', application['provider']);
    const provider = await carl().get('Provider', story.id('provider'));
    expect(provider).to.include({ status: 'applicant', type: 'pcp', npi: application['npi'], sourceApplication: application['id'], nextVisitDueOn: null });
    for (const object of ['License', 'PracticeLocation', 'Document']) {
      expect(await carl().one(object, `application == '${story.id('application A')}'`), object).to.include({ provider: story.id('provider') });
    }
    expect(await carl().get('Lead', String(application['lead']))).to.include({ status: 'converted' });
    expect(await world().teams.recruiting.get('CampaignMember', story.id('member A'))).to.include({ status: 'converted' });
    expect(await carl().one('Task', `application == '${story.id('application A')}'`)).to.include({
      kind: 'review',
      queue: 'credentialing',
      dueOn: '2026-04-12',
    });
  });

  it('R004-17 recruiting does not see the disclosures, contracting cannot decide', async () => {
    expect(await show('application A')).to.include({ disclosureFelony: false });
    expect(await world().teams.recruiting.get('Application', story.id('application A'))).not.to.have.property('disclosureFelony');
    const decided = await world().teams.contracting.refused('Application', story.id('application A'), 'start-review');
    expect(decided.status).to.equal(403);
  });

  it('R004-07 the approval is refused while one verification is open, then given', async () => {
    await world().until('2026-03-16T14:00:00Z');
    await carl().move('Application', story.id('application A'), 'start-review', { reviewer: carl().id });
    const verifications = await carl().find('Verification', `application == '${story.id('application A')}'`);
    for (const [index, entry] of verifications.entries()) {
      if (index > 0) await carl().move('Verification', String(entry['id']), 'verify', { source: 'Primary source', evidenceNote: 'Looked up and printed.' });
    }
    const approve = (await carl().transitions('Application', story.id('application A'))).get('approve');
    expect(approve).to.include({ allowed: false });
    const refused = await carl().refused('Application', story.id('application A'), 'approve');
    expect(refused.status).to.equal(409);
    expect(refused.body['detail']).to.contain('Some required verification is still open or has failed.');
    const last = String(verifications[0]?.['id']);
    const incomplete = await carl().refused('Verification', last, 'verify');
    expect(JSON.stringify(incomplete.body)).to.contain('source').and.contain('evidenceNote');
    expect(await carl().move('Verification', last, 'verify', { source: 'NPPES', evidenceNote: 'Active.' })).to.include({
      status: 'verified',
      verifiedOn: '2026-03-16',
    });
    await world().until('2026-03-17T14:00:00Z');
    await carl().move('Application', story.id('application A'), 'approve', { decisionReason: 'All facts verified.' });
    await world().settle();
    expect(await show('application A')).to.include({ status: 'approved', decidedOn: '2026-03-17' });
    expect(await carl().get('Provider', story.id('provider'))).to.include({
      status: 'credentialed',
      credentialedOn: '2026-03-17',
      relationsManager: world().teams.relations.id,
    });
    expect(addresses(world().mails())).to.deep.equal(['manager-a@practice.example: Your application APP-000001 is approved']);
  });

  it('R004-15 the portal tells the provider how things stand', async () => {
    const page = await makeBrowser('Phone').open(story.id('link application A'));
    expect(page.url).to.match(/\/status$/);
    expect(page.text).to.contain('Approved');
  });

  it('R004-07 a second application is returned for correction and sent again', async () => {
    const browser = makeBrowser('Tablet');
    const tasks = await browser.open(story.id('link application B'));
    const check = await fillPages(browser, await browser.open(tasks.links.get('About you') ?? ''), 0, 11);
    await browser.press(check, 'Send application', { attestation: 'Ben Birch' });
    await world().settle();
    expect(addresses(world().mails())).to.deep.equal(['manager-b@practice.example: We have your application APP-000002']);
    await world().until('2026-03-18T14:00:00Z');
    const id = story.id('application B');
    await carl().move('Application', id, 'start-review');
    const why = { returnReason: 'The policy number of your malpractice insurance is not the one on the certificate.' };
    expect((await carl().refused('Application', id, 'return')).body['detail']).to.be.a('string');
    await carl().move('Application', id, 'return', why);
    await world().settle();
    expect(await show('application B')).to.include({ status: 'returned', returnedOn: '2026-03-18', decisionDueOn: null });
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal(['manager-b@practice.example: Please correct your application APP-000002']);
    expect(wordsOf(mails[0])).to.contain(why.returnReason);
    await world().until('2026-03-20T14:00:00Z');
    const again = await browser.open(linkIn(mails[0]));
    expect(again.text).to.contain(why.returnReason);
    const page = await browser.open(again.links.get('Malpractice insurance') ?? '');
    const next = await browser.press(page, 'Save and continue', { malpracticePolicyNumber: 'P-77' });
    const sent = await browser.press(await browser.open(next.url.replace(/\/page\/.*/, '/check')), 'Send application', { attestation: 'Ben Birch' });
    expect(sent.text).to.contain('APP-000002');
    await world().settle();
    expect(await show('application B')).to.include({
      status: 'submitted',
      submittedOn: '2026-03-17',
      completeOn: '2026-03-20',
      decisionDueOn: '2026-04-19',
      malpracticePolicyNumber: 'P-77',
    });
    expect(await carl().find('Verification', `application == '${id}'`)).to.have.length(10);
    expect(await carl().find('Task', `application == '${id}' && kind == 'review'`)).to.have.length(1);
    expect(addresses(world().mails())).to.deep.equal(['manager-b@practice.example: We have your application APP-000002']);
  });

  /** Fills in parts `from` up to `to` and goes on to the page after them. */
  async function fillPages(browser: Browser, first: Page, from: number, to: number): Promise<Page> {
    let page = first;
    for (const [title, answers] of FAMILY_DOCTOR.slice(from, to)) {
      expect(page.title).to.contain(title);
      const files = title === 'Malpractice insurance' ? { 'document.malpractice-certificate': CERTIFICATE } : {};
      const shown = Object.entries(answers).filter(([name]) => page.html.includes(`name="${name}"`));
      let next = await browser.press(page, 'Save and continue', Object.fromEntries(shown), files);
      const more = SECOND_LOOK[title];
      if (next.status === 422 && more !== undefined) next = await browser.press(next, 'Save and continue', more);
      expect(next.errors, title).to.deep.equal([]);
      page = next;
    }
    return page;
  }
}
