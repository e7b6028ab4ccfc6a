import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { pdfText } from '../../support/pdf-text.ts';
import { makeBrowser, type Browser, type Page } from '../support/browser.ts';
import { asJson } from '../support/staff.ts';
import { addresses, linkIn, wordsOf } from '../support/world.ts';
import type { Story } from '../story.ts';

const TOPICS = {
  priorAuthorization: 'Elective stays only; answers within two business days.',
  reimbursement: 'Within 20 days of a clean claim.',
  claims: 'Electronic, payer number 99999, within 90 days of the service.',
  rates: '110 percent of the fee schedule.',
  disputes: 'In writing within 60 days; then mediation.',
};
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The contract in two versions, both signatures, and the three gates before activation. */
export function contract(story: Story): void {
  const { world } = story;
  const cora = () => world().teams.contracting;
  const nina = () => world().teams.network;
  const show = () => cora().get('Contract', story.id('contract'));

  let tab: { readonly browser: Browser; readonly page: Page } | null = null;

  it('R004-08 a contract is drafted on approval; it is sent only with all five topics agreed', async () => {
    const drafted = await cora().one('Contract', `provider == '${story.id('provider')}'`);
    story.keep('contract', drafted['id']);
    expect(drafted).to.include({
      number: 'CON-000001',
      status: 'drafting',
      contractVersion: 1,
      type: 'participation',
      network: story.id('network'),
      signerName: 'Ada Alder',
      signerEmail: 'manager-a@practice.example',
      planSignerName: 'Paula Plan',
      negotiator: cora().id,
      contentHash: null,
    });
    const refused = await cora().refused('Contract', story.id('contract'), 'send', { effectiveFrom: '2026-04-01' });
    expect(JSON.stringify(refused.body)).to.contain('/priorAuthorization').and.contain('/disputes');
    await cora().update('Contract', story.id('contract'), { ...TOPICS, effectiveFrom: '2026-04-01' });
  });

  it('R004-09 it is rendered when it is sent, and the hash of its content is kept', async () => {
    await world().until('2026-03-23T14:00:00Z');
    await cora().move('Contract', story.id('contract'), 'send');
    await world().settle();
    const sent = await show();
    expect(sent).to.include({ status: 'sent', sentOn: '2026-03-23', contractVersion: 1 });
    const pdf = await cora().file('Contract', story.id('contract'), 'file');
    expect(sent['contentHash']).to.equal(sha256(pdf));
    for (const words of ['CON-000001', 'Pioneer Valley HMO', ...Object.values(TOPICS)]) expect(pdfText(pdf).replace(/\s+/g, ' ')).to.contain(words);
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal(['manager-a@practice.example: Your agreement CON-000001 is ready to sign']);
    story.keep('link contract 1', linkIn(mails[0]));
    story.keep('hash 1', sent['contentHash']);
  });

  it('R004-10 the provider reads and signs; name and consent are asked for, and the evidence is kept', async () => {
    await world().until('2026-03-24T14:00:00Z');
    const browser = makeBrowser('Mozilla/5.0 (provider)');
    const page = await browser.open(story.id('link contract 1'));
    expect(page.text).to.contain(story.id('hash 1'));
    tab = { browser, page };
    const empty = await browser.press(page, 'Sign the document');
    expect(empty.status).to.equal(422);
    expect(empty.errors).to.deep.equal(['Enter your full name', 'Tick the box to agree to sign electronically']);
    expect(await cora().find('Signature', `contract == '${story.id('contract')}'`)).to.deep.equal([]);
    const signed = await browser.press(empty, 'Sign the document', { name: 'Ada Alder', title: 'Owner', consent: 'yes' });
    expect(signed.text).to.contain('Signed by the provider');
    await world().settle();
    expect(await show()).to.include({ status: 'provider-signed', providerSignedAt: '2026-03-24T14:00:00.000Z' });
    const signature = await cora().one('Signature', `contract == '${story.id('contract')}'`);
    expect(signature).to.include({
      party: 'provider',
      signerName: 'Ada Alder',
      signerTitle: 'Owner',
      signedAt: '2026-03-24T14:00:00.000Z',
      userAgent: 'Mozilla/5.0 (provider)',
      contractVersion: 1,
      documentHash: story.id('hash 1'),
      status: 'valid',
    });
    expect(String(signature['address'])).to.contain('127.0.0.1');
    expect(signature['consentText']).to.contain('my typed name is my signature');
    story.keep('signature 1', signature['id']);
    expect(await cora().one('Task', `contract == '${story.id('contract')}'`)).to.include({ subject: 'Sign CON-000001 for the plan', assignee: cora().id });
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-05 R004-10 a new version makes the earlier signature and its link void, and the plan cannot sign alone', async () => {
    await cora().move('Contract', story.id('contract'), 'revise');
    expect(await show()).to.include({ status: 'drafting', contractVersion: 2, contentHash: null, file: null, providerSignedAt: null });
    expect(await cora().get('Signature', story.id('signature 1'))).to.include({ status: 'void' });
    await cora().update('Contract', story.id('contract'), { rates: '115 percent of the fee schedule.' });
    await world().until('2026-03-25T14:00:00Z');
    await cora().move('Contract', story.id('contract'), 'send');
    await world().settle();
    const sent = await show();
    expect(sent).to.include({ status: 'sent', contractVersion: 2 });
    expect(sent['contentHash']).to.be.a('string').and.not.equal(story.id('hash 1'));
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal(['manager-a@practice.example: Your agreement CON-000001 is ready to sign']);
    expect(wordsOf(mails[0])).to.contain('version 2').and.contain('A signature under an earlier version is void.');
    story.keep('link contract 2', linkIn(mails[0]));
    story.keep('hash 2', sent['contentHash']);
    expect((await makeBrowser('Phone').open(story.id('link contract 1'))).text).to.contain('This link was withdrawn.');
    if (tab === null) throw new Error('No page was left open.');
    const late = await tab.browser.press(tab.page, 'Sign the document', { name: 'Ada Alder', consent: 'yes' });
    expect(late.status).to.equal(404);
    expect((await signForPlan(story.id('hash 2'))).status).to.equal(409);
    expect(await cora().find('Signature', `contract == '${story.id('contract')}'`)).to.have.length(1);
  });

  it('R004-10 R004-12 both sides sign the new version: it is executed and handed over to the network team', async () => {
    await world().until('2026-03-26T14:00:00Z');
    const browser = makeBrowser('Mozilla/5.0 (provider)');
    const page = await browser.open(story.id('link contract 2'));
    await browser.press(page, 'Sign the document', { name: 'Ada Alder', consent: 'yes' });
    await world().settle();
    expect((await signForPlan(story.id('hash 1'))).status).to.equal(409);
    await world().until('2026-03-27T14:00:00Z');
    expect((await signForPlan(story.id('hash 2'))).status).to.equal(200);
    await world().settle();
    expect(await show()).to.include({ status: 'executed', executedOn: '2026-03-27' });
    const signatures = await cora().find('Signature', `contract == '${story.id('contract')}'`);
    expect(signatures.map((entry) => [entry['party'], entry['contractVersion'], entry['status']])).to.have.deep.members([
      ['provider', 1, 'void'],
      ['provider', 2, 'valid'],
      ['plan', 2, 'valid'],
    ]);
    expect(await nina().one('Task', `contract == '${story.id('contract')}' && kind == 'hand-over'`)).to.include({
      queue: 'network',
      status: 'open',
      dueOn: '2026-04-01',
    });
    expect(await nina().get('Provider', story.id('provider'))).to.include({ status: 'contracted', contractedOn: '2026-03-27' });
    expect(await nina().one('Participation', `provider == '${story.id('provider')}'`)).to.include({
      network: story.id('network'),
      effectiveFrom: '2026-04-01',
    });
  });

  it('R004-11 the onboarding mail has four parts and the executed agreement', () => {
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal(['manager-a@practice.example: Welcome: your agreement CON-000001 and how we work together']);
    const [mail] = mails;
    const parts = [...String(mail?.parsed.html).matchAll(/<h2[^>]*>([^<]*)<\/h2>/g)].map((match) => match[1]);
    expect(parts).to.deep.equal(['1. Your agreement', '2. Your entry in the directory', '3. How to send claims', '4. When you are paid']);
    expect(wordsOf(mail)).to.contain(TOPICS.claims).and.contain(TOPICS.reimbursement);
    expect(mail?.parsed.attachments.map((file) => sha256(file.content))).to.deep.equal([story.id('hash 2')]);
  });

  it('R004-13 the activation is refused while the sanctions gate is open, then done', async () => {
    const id = story.id('provider');
    const refused = await nina().refused('Provider', id, 'activate');
    expect(refused.status).to.equal(409);
    expect(refused.body['detail']).to.contain('The sanctions check is not clear.');
    expect(await nina().get('Provider', id)).to.include({ status: 'contracted', listedInDirectory: false, activatedOn: null });
    await world().teams.credentialing.update('Provider', id, { sanctionStatus: 'clear', sanctionsCheckedOn: '2026-03-27' });
    await world().until('2026-03-30T14:00:00Z');
    await nina().move('Provider', id, 'activate');
    await world().settle();
    expect(await nina().get('Provider', id)).to.include({
      status: 'active',
      activatedOn: '2026-03-30',
      onboardedOn: '2026-03-30',
      listedInDirectory: true,
      nextVisitDueOn: null,
    });
    const task = await nina().one('Task', `contract == '${story.id('contract')}' && kind == 'hand-over'`);
    await nina().move('Task', String(task['id']), 'finish');
    const rosa = world().teams.relations;
    expect(await rosa.one('Task', `provider == '${id}' && kind == 'orientation'`)).to.include({ assignee: rosa.id, dueOn: '2026-04-13' });
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-02 whoever never answers is closed after four weeks', async () => {
    await world().until('2026-03-30T22:00:00Z');
    const members = await world().teams.recruiting.find('CampaignMember', 'id != null', ['email']);
    expect(members.map((member) => member['status'])).to.deep.equal(['converted', 'converted', 'unsubscribed', 'bounced', 'no-answer']);
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-14 each step of the contract has its actor, its time and its document', async () => {
    const answer = await cora().call('GET', `/records/Contract/${story.id('contract')}/history`);
    const rows = Object.values(asJson(answer.body))[0];
    expect(rows).to.be.an('array');
    const steps = (Array.isArray(rows) ? rows : []).map(asJson).flatMap((row) => {
      const changes = Array.isArray(row['changes']) ? row['changes'].map(asJson) : [];
      return changes.filter((change) => change['field'] === 'status').map((change) => [String(row['at']).slice(0, 10), change['to']]);
    });
    expect(steps.reverse()).to.deep.equal([
      ['2026-03-23', 'sent'],
      ['2026-03-24', 'provider-signed'],
      ['2026-03-24', 'drafting'],
      ['2026-03-25', 'sent'],
      ['2026-03-26', 'provider-signed'],
      ['2026-03-27', 'executed'],
    ]);
  });

  function signForPlan(seenHash: string) {
    const body = { name: 'Paula Plan', title: 'Director of contracting', consent: true, seenHash };
    return cora().call('POST', `/forms/contract-signing/signing/${story.id('contract')}`, body);
  }
}
