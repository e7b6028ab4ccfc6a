import { expect } from 'chai';
import { makeWorld, addresses, nppesRows, type World } from './support/world.ts';

const SPECIALTY = '207Q00000X';
const HEADER = 'country\tzip\tplace\tstate\tcounty\tcounty_code\tlat\tlon\n';
const POINTS = ['US\t01101\tSpringfield\tMA\tHampden\t013\t42.1015\t-72.5898\n', 'US\t01601\tWorcester\tMA\tWorcester\t027\t42.2621\t-71.8034\n'];

describe('R004-02 a campaign chooses its members by specialty and county', function () {
  this.timeout(60_000);
  let world: World;
  let campaign = '';
  before(async () => {
    world = await makeWorld('2026-03-02T12:30:00.000Z');
  });
  after(() => world.close());

  const rita = () => world.teams.recruiting;
  const members = () => rita().find('CampaignMember', `campaign == '${campaign}'`, ['email']);

  it('finds the county of each lead by its ZIP code', async () => {
    expect(await world.importFile('ZipCode', 'zip-points', [HEADER, ...POINTS])).to.include({ created: 2, rejected: 0 });
    expect(await world.importFile('Lead', 'nppes', nppesRows(300))).to.include({ created: 300, rejected: 0 });
    const leads = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && county == 'Hampden'`, ['npi']);
    expect(leads.length).to.be.greaterThan(6);
    expect(new Set(leads.map((lead) => lead['practiceCity']))).to.deep.equal(new Set(['SPRINGFIELD']));
    const active = leads.filter((lead) => lead['npiStatus'] === 'active');
    const elsewhere = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && county == 'Worcester' && npiStatus == 'active'`, ['npi']);
    const others = await rita().find('Lead', "taxonomyCode == '208000000X' && county == 'Hampden' && npiStatus == 'active'", ['npi']);
    const given = [...active.slice(0, 3), ...elsewhere.slice(0, 1), ...others.slice(0, 1)];
    const rows = given.map((lead, index) => `${String(lead['npi'])},office${String(index)}@practice.example\n`);
    expect(await world.importFile('Lead', null, ['npi,email\n', ...rows])).to.include({ updated: 5 });
  });

  it('does not start without criteria, and adds exactly the leads that meet them and have an address', async () => {
    const made = await rita().create('Campaign', {
      name: 'Family doctors for Hampden county',
      channel: 'email',
      audience: 'criteria',
      startsOn: '2026-03-02',
      invitation: 'We look for family doctors.',
    });
    campaign = String(made['id']);
    expect((await rita().refused('Campaign', campaign, 'start')).body['detail']).to.contain('The campaign has no criteria.');
    await rita().update('Campaign', campaign, { specialty: '207Q', state: 'MA', county: 'Hampden' });
    await rita().move('Campaign', campaign, 'start');
    await world.settle();
    expect((await members()).map((member) => [member['email'], member['status']])).to.deep.equal(
      [0, 1, 2].map((n) => [`office${String(n)}@practice.example`, 'planned']),
    );
    const matching = await rita().find('Lead', "startsWith(taxonomyCode, '207Q') && practiceState == 'MA' && county == 'Hampden' && npiStatus == 'active'");
    const counted = await rita().get('Campaign', campaign);
    expect([counted['leadsMatching'], counted['leadsWithoutEmail']]).to.deep.equal([matching.length, matching.length - 3]);
  });

  it('adds only those who are new when it resumes, and never one who unsubscribed', async () => {
    await world.until('2026-03-02T14:00:00Z');
    expect(addresses(world.mails()).length).to.equal(3);
    const [first] = await members();
    await rita().move('CampaignMember', String(first?.['id']), 'unsubscribe');
    await rita().move('Campaign', campaign, 'pause');
    const late = await rita().one('Lead', `npi == '${String((await withoutAddress())['npi'])}'`);
    await rita().update('Lead', String(late['id']), { email: 'late@practice.example' });
    await rita().move('Campaign', campaign, 'resume');
    await world.settle();
    expect((await members()).map((member) => [member['email'], member['status']])).to.deep.equal([
      ['late@practice.example', 'planned'],
      ['office0@practice.example', 'unsubscribed'],
      ['office1@practice.example', 'sent'],
      ['office2@practice.example', 'sent'],
    ]);
    const other = await rita().create('Campaign', {
      name: 'A second one',
      channel: 'email',
      audience: 'criteria',
      specialty: '207Q00000X, 208000000X',
      county: 'hampden',
      startsOn: '2026-03-30',
      invitation: 'Again.',
    });
    await rita().move('Campaign', String(other['id']), 'start');
    await world.settle();
    campaign = String(other['id']);
    expect((await members()).map((member) => member['email'])).to.deep.equal(
      ['late', 'office1', 'office2', 'office4'].map((name) => `${name}@practice.example`),
    );
  });

  async function withoutAddress() {
    const [lead] = await rita().find('Lead', `taxonomyCode == '${SPECIALTY}' && county == 'Hampden' && npiStatus == 'active' && email == null`, ['npi']);
    if (lead === undefined) throw new Error('Every lead has an address.');
    return lead;
  }
});
