import { expect } from 'chai';
import { makeBrowser } from '../support/browser.ts';
import { asList } from '../support/staff.ts';
import { addresses, linkIn, nppesRows } from '../support/world.ts';
import type { Story } from '../story.ts';

const SPECIALTY = '207Q00000X';
const INVITED = 'Family doctors for Hampden county: will you join our network?';
const REMINDED = 'A reminder: will you join our network?';

/** The file of providers, the campaign of ten days, and who answers it. */
export function recruiting(story: Story): void {
  const { world } = story;
  const rita = () => world().teams.recruiting;

  it('imports the NPPES file as leads, every row accounted for; again writes nothing', async () => {
    expect(await world().importFile('Lead', 'nppes', nppesRows(300))).to.deep.equal({ read: 300, created: 300, updated: 0, unchanged: 0, rejected: 0 });
    expect(await world().importFile('Lead', 'nppes', nppesRows(300))).to.deep.equal({ read: 300, created: 0, updated: 0, unchanged: 300, rejected: 0 });
    await world().settle();
    const leads = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && practiceCity == 'SPRINGFIELD' && npiStatus == 'active'`, ['npi']);
    expect(leads.length).to.be.greaterThan(6);
    const elsewhere = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && practiceCity == 'WORCESTER'`, ['npi']);
    const others = await rita().find('Lead', `taxonomyCode == '208000000X' && practiceCity == 'SPRINGFIELD'`, ['npi']);
    const known = [
      ...leads.slice(0, 5).map((lead) => [lead, 'Hampden'] as const),
      [elsewhere[0] ?? {}, 'Worcester'] as const,
      [others[0] ?? {}, 'Hampden'] as const,
    ];
    const rows = known.map(([lead, county], index) => `${String(lead['npi'])},office${String(index)}@practice.example,${county}\n`);
    expect(await world().importFile('Lead', null, ['npi,email,practiceCounty\n', ...rows])).to.include({ read: 7, updated: 7, rejected: 0 });
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-01 the leads of a specialty are counted by county', async () => {
    const body = { groupBy: ['practiceCounty'], measures: [{ as: 'leads', op: 'count' }], filter: `taxonomyCode == '${SPECIALTY}' && email != null` };
    const answer = await rita().call('POST', '/records/Lead/aggregate', body);
    expect(asList(answer.body['data'])).to.have.deep.members([
      { practiceCounty: 'Hampden', leads: 5 },
      { practiceCounty: 'Worcester', leads: 1 },
    ]);
  });

  it('R004-02 a campaign takes the leads of its specialty and county, and cannot start without any', async () => {
    const network = await world().teams.network.create('Network', {
      name: 'Pioneer Valley HMO',
      type: 'hmo',
      lineOfBusiness: 'commercial',
      state: 'MA',
      relationsManager: world().teams.relations.id,
      contractCoordinator: world().teams.contracting.id,
      planSignerName: 'Paula Plan',
      planSignerTitle: 'Director of contracting',
    });
    story.keep('network', network['id']);
    const campaign = await rita().create('Campaign', {
      name: 'Family doctors for Hampden county',
      channel: 'email',
      specialty: SPECIALTY,
      state: 'MA',
      county: 'Hampden',
      network: story.id('network'),
      startsOn: '2026-03-02',
      invitation: 'We look for family doctors in Hampden county. Claims are paid within 20 days.',
    });
    const id = String(campaign['id']);
    expect((await rita().refused('Campaign', id, 'start')).body['detail']).to.contain('The campaign has no members.');
    const chosen = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && practiceCounty == 'Hampden' && email != null && npiStatus == 'active'`, [
      'email',
    ]);
    const items = chosen.map((lead) => ({ op: 'create', values: { campaign: id, lead: lead['id'], email: lead['email'] } }));
    expect((await rita().call('POST', '/records/CampaignMember/bulk', { items })).status).to.equal(200);
    const members = await rita().find('CampaignMember', `campaign == '${id}'`, ['email']);
    expect(members.map((member) => [member['email'], member['status']])).to.deep.equal(
      [0, 1, 2, 3, 4].map((n) => [`office${String(n)}@practice.example`, 'planned']),
    );
    members.forEach((member, index) => story.keep(`member ${'ABCDE'.charAt(index)}`, member['id']));
    await rita().move('Campaign', id, 'start');
    await world().settle();
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-02 day 0: writes to each member once; an address that does not exist bounces', async () => {
    world().refused.add('office3@practice.example');
    await world().until('2026-03-02T12:59:00Z');
    expect(world().mails()).to.deep.equal([]);
    await world().until('2026-03-02T13:00:00Z');
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal([0, 1, 2, 4].map((n) => `office${String(n)}@practice.example: ${INVITED}`));
    for (const mail of mails) {
      expect(mail.parsed.text).to.contain('Claims are paid within 20 days.');
      expect(mail.raw).to.match(/List-Unsubscribe-Post: List-Unsubscribe=One-Click/);
      expect(mail.parsed.text).to.contain('1 Example Street');
    }
    expect(new Set(mails.map(linkIn)).size).to.equal(4);
    story.keep('link A', linkIn(mails[0]));
    story.keep('link B', linkIn(mails[1]));
    story.keep('unsubscribe', /List-Unsubscribe: <([^>]+)>/.exec(mails[2]?.raw.replace(/\r\n\s+/g, ' ') ?? '')?.[1]);
    const bounced = await rita().get('CampaignMember', story.id('member D'));
    expect(bounced['status']).to.equal('bounced');
    const sent = await rita().get('CampaignMember', story.id('member A'));
    expect(sent).to.include({ status: 'sent', sentOn: '2026-03-02', remindOn: '2026-03-09', closesOn: '2026-03-30' });
    expect(await rita().get('Lead', String(sent['lead']))).to.include({ status: 'contacted' });
    await world().until('2026-03-02T22:00:00Z');
    expect(world().mails()).to.deep.equal([]);
  });

  it('R004-02 one member unsubscribes with one click; looking at the page changes nothing', async () => {
    const page = await makeBrowser('Mail client').open(story.id('unsubscribe'));
    expect(page.text).to.contain('Stop these mails');
    expect(await rita().get('CampaignMember', story.id('member C'))).to.include({ status: 'sent' });
    const answer = await fetch(story.id('unsubscribe'), { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) });
    expect(answer.status).to.equal(200);
    expect(await rita().get('CampaignMember', story.id('member C'))).to.include({ status: 'unsubscribed' });
  });

  it('R004-03 R004-05 one answers through the personal link and is sent the application', async () => {
    await world().until('2026-03-04T15:00:00Z');
    await answer('A', 'Office A');
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal(['manager-a@practice.example: Your application APP-000001']);
    story.keep('link application A', linkIn(mails[0]));
    const member = await rita().get('CampaignMember', story.id('member A'));
    expect(member).to.include({ status: 'responded', answeredOn: '2026-03-04', contactEmail: 'manager-a@practice.example' });
    const lead = await rita().get('Lead', String(member['lead']));
    expect(lead).to.include({ status: 'application-sent' });
    const application = await rita().one('Application', `campaignMember == '${story.id('member A')}'`);
    expect(application).to.include({ status: 'draft', lead: lead['id'], npi: lead['npi'], lastName: lead['lastName'], network: story.id('network') });
    story.keep('application A', application['id']);
  });

  it('R004-02 day 7: reminds only those who have not answered, once', async () => {
    await world().until('2026-03-09T12:59:00Z');
    expect(world().mails()).to.deep.equal([]);
    await world().until('2026-03-09T13:00:00Z');
    const mails = world().mails();
    expect(addresses(mails)).to.deep.equal([1, 4].map((n) => `office${String(n)}@practice.example: ${REMINDED}`));
    story.keep('link B', linkIn(mails[0]));
    expect(await rita().get('CampaignMember', story.id('member B'))).to.include({ status: 'sent', remindedOn: '2026-03-09' });
    await world().until('2026-03-10T14:00:00Z');
    expect(world().mails()).to.deep.equal([]);
    await answer('B', 'Office B');
    const answered = world().mails();
    expect(addresses(answered)).to.deep.equal(['manager-b@practice.example: Your application APP-000002']);
    story.keep('link application B', linkIn(answered[0]));
    story.keep('application B', (await rita().one('Application', `campaignMember == '${story.id('member B')}'`))['id']);
  });

  async function answer(who: 'A' | 'B', name: string): Promise<void> {
    const browser = makeBrowser('Phone');
    const tasks = await browser.open(story.id(`link ${who}`));
    const page = await browser.open(tasks.links.get('Start') ?? tasks.links.get('Continue') ?? '');
    const missing = await browser.press(page, 'Save and continue', { contactName: '' });
    expect(missing.status).to.equal(422);
    const check = await browser.press(page, 'Save and continue', { contactName: name, contactEmail: `manager-${who.toLowerCase()}@practice.example` });
    const sent = await browser.press(check, 'Send application');
    expect(sent.status).to.equal(200);
    expect(sent.text).to.contain('The link to your application is on its way');
    await world().settle();
  }
}
