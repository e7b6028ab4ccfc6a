import { expect } from 'chai';
import { makeBrowser } from '../support/browser.ts';
import { asJson, asList } from '../support/staff.ts';
import type { Story } from '../story.ts';

/** What goes on once the provider is active: nominations, more networks, the portal, and the funnel of the whole way. */
export function afterwards(story: Story): void {
  const { world } = story;

  it('R004-04 a provider nominates a peer: a lead with its referrer, and never a second one for the same NPI', async () => {
    const rita = world().teams.recruiting;
    const application = await rita.get('Application', story.id('application A'));
    const peer = await rita.create('Lead', {
      npi: '1234567893',
      firstName: 'Paula',
      lastName: 'Peer',
      email: 'paula@peer.example',
      source: 'referral',
      referredBy: application['lead'],
    });
    expect(peer).to.include({ name: 'Paula Peer', status: 'new', referredBy: application['lead'], npiStatus: 'active' });
    const again = await rita.call('POST', '/records/Lead', { npi: '1234567893', firstName: 'P.', lastName: 'Peer', source: 'referral' });
    expect(again.status).to.equal(409);
    expect(again.body['code']).to.equal('conflict_unique');
    expect(await rita.find('Lead', "npi == '1234567893'")).to.have.length(1);
  });

  it('R004-05 personal links end, and say what to do', async () => {
    const ends: readonly (readonly [string, string])[] = [
      ['link application A', 'This link has expired. Ask us for a new one; nothing you typed is lost.'],
      ['link contract 2', 'This link has expired.'],
      ['link contract 1', 'This link was withdrawn.'],
    ];
    for (const [link, words] of ends) {
      const page = await makeBrowser('Phone').open(story.id(link));
      expect(page.status).to.equal(404);
      expect(page.text).to.contain(words);
    }
  });

  it('R004-15 service goes on: a visit that was not counted is planned again', async () => {
    const again = await world().teams.relations.one('Visit', `provider == '${story.id('provider')}' && status == 'planned'`);
    expect(again).to.include({ dueOn: '2026-09-24' });
  });

  it('R000-21 the frozen report says for each specialist what was due, held, counted and late, and whether the target was met', async () => {
    const { administrator, relations } = world().teams;
    const frozen = asList((await administrator.call('GET', '/reports/weekly-visits/frozen')).body['data']);
    const groupsOf = (period: string, field: string) => {
      const body = asJson(frozen.find((entry) => entry['period'] === period)?.['body']);
      const labels = asList(body['rows']).map((row) => String(row['label']));
      const breakdown = asList(body['breakdowns']).find((entry) => entry['field'] === field);
      return asList(breakdown?.['groups']).map((group) => {
        const counts = Array.isArray(group['counts']) ? group['counts'] : [];
        return { name: group['name'], met: group['met'], ...Object.fromEntries(labels.slice(0, 4).map((label, index) => [label, counts[index]])) };
      });
    };
    expect(groupsOf('2026-06-22/2026-06-28', 'specialist')).to.deep.equal([
      { name: 'Rosa Relations', met: true, Due: 0, Held: 1, 'Reported and counted': 1, 'Reported too late': 0 },
    ]);
    expect(groupsOf('2026-09-14/2026-09-20', 'channel')).to.deep.equal([
      { name: 'Telephone', met: true, Due: 0, Held: 1, 'Reported and counted': 0, 'Reported too late': 1 },
    ]);
    expect(groupsOf('2026-09-21/2026-09-27', 'specialist')).to.deep.equal([
      { name: 'Rosa Relations', met: false, Due: 1, Held: 0, 'Reported and counted': 0, 'Reported too late': 0 },
    ]);
    expect(groupsOf('2026-09-21/2026-09-27', 'providerType').map((group) => group.name)).to.deep.equal(['Primary care (PCP)']);
    expect(asJson((await administrator.call('GET', `/users/${relations.id}`)).body['data'])).to.include({ name: 'Rosa Relations' });
  });

  it('R004-16 a provider takes part in two networks, by two contracts of different type', async () => {
    const { network, contracting } = world().teams;
    const second = await network.create('Network', { name: 'Pioneer Valley PPO', type: 'ppo', lineOfBusiness: 'commercial' });
    const letter = await contracting.create('Contract', {
      provider: story.id('provider'),
      type: 'letter-of-agreement',
      network: second['id'],
      title: 'Letter of agreement',
    });
    await network.create('Participation', { provider: story.id('provider'), network: second['id'], contract: letter['id'], effectiveFrom: '2026-11-01' });
    const found = await network.find('Participation', `provider == '${story.id('provider')}'`, ['effectiveFrom']);
    const contracts = await Promise.all(found.map((entry) => network.get('Contract', String(entry['contract']))));
    expect(contracts.map((entry) => entry['type'])).to.deep.equal(['participation', 'letter-of-agreement']);
    expect(found.map((entry) => entry['network'])).to.deep.equal([story.id('network'), second['id']]);
  });

  it('R004-18 the funnel counts each stage, with its median days, and each number opens its rows', async () => {
    const { administrator } = world().teams;
    const report = asJson((await administrator.call('GET', '/reports/funnel')).body['data']);
    const rows = asList(report['rows']);
    expect(rows.map((row) => [row['label'], row['count'], row['medianDays']])).to.deep.equal([
      ['Written to', 5, 0],
      ['Answered', 2, 5],
      ['Applied', 2, 8],
      ['Credentialed', 1, 4],
      ['Contracted', 1, 10],
      ['Active', 1, 17],
    ]);
    for (const row of rows)
      expect(await administrator.find(String(row['object']), String(row['filter'])), String(row['label'])).to.have.length(Number(row['count']));
  });
}
