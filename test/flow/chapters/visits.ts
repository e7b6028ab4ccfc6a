import { expect } from 'chai';
import { asJson, asList, type Json } from '../support/staff.ts';
import type { Story } from '../story.ts';

const STANDING = [
  'Check of the demographics',
  'Billing education',
  'Claims issues (as needed)',
  'Access to the preferred drug list',
  'Roster check',
  'Portal education and user accounts',
  'Coaching on the performance profile',
  'Policy updates of the plan and the state',
  'Gaps in specialty referrals',
  'Referrals to case and disease management',
  'Satisfaction survey by e-mail',
  'Questions and concerns',
  'Schedule the next visit (when possible)',
];

/** The orientation, the visits that fall due after it, a report in time, one too late, and the weekly report. */
export function visits(story: Story): void {
  const { world } = story;
  const rosa = () => world().teams.relations;
  const provider = () => rosa().get('Provider', story.id('provider'));
  const planned = () => rosa().find('Visit', `provider == '${story.id('provider')}' && status == 'planned'`);

  it('R000-01 R000-02 the panel of the provider decides on the band, R000-06 no visit is due before the orientation', async () => {
    await world().teams.network.create('PanelCount', { provider: story.id('provider'), countedOn: '2026-03-31', members: 1500, source: 'Roster' });
    await world().until('2026-04-01T13:00:00Z');
    expect(await provider()).to.include({ panelSize: 1500, orientationOn: null, nextVisitDueOn: null });
    expect(await planned()).to.deep.equal([]);
    expect((await rosa().find('Provider', "status == 'active' && orientationOn == null")).map((entry) => entry['id'])).to.deep.equal([story.id('provider')]);
  });

  it('R000-06 R000-13 the orientation is held; the first visit is due one interval after it', async () => {
    const visit = await rosa().create('Visit', { provider: story.id('provider'), purpose: 'orientation', channel: 'office' });
    await world().settle();
    const id = String(visit['id']);
    const items = await rosa().find('VisitItem', `visit == '${id}'`, ['number']);
    expect(items.map((item) => item['title'])).to.deep.equal(STANDING);
    await world().until('2026-04-01T18:00:00Z');
    await rosa().move('Visit', id, 'hold');
    await confirmDemographics(id, 'confirmed');
    await world().until('2026-04-02T14:00:00Z');
    await rosa().move('Visit', id, 'report', { attendees: 'Ada Alder, Rosa Relations', discussion: 'How the plan works.' });
    await world().settle();
    expect(await provider()).to.include({ orientationOn: '2026-04-01', lastCountedVisitOn: null, nextVisitDueOn: '2026-07-01' });
    const task = await rosa().one('Task', `provider == '${story.id('provider')}' && kind == 'orientation'`);
    await rosa().move('Task', String(task['id']), 'finish');
  });

  it('R000-01 the visit that falls due is planned two weeks before, once', async () => {
    await world().sleepUntil('2026-06-16T23:00:00Z');
    expect(await planned()).to.deep.equal([]);
    await world().until('2026-06-17T10:00:00Z');
    const [visit] = await planned();
    expect(visit).to.include({ dueOn: '2026-07-01', purpose: 'routine', specialist: rosa().id });
    story.keep('visit 1', visit?.['id']);
    await world().until('2026-06-19T10:00:00Z');
    expect(await planned()).to.have.length(1);
  });

  it('R000-13 its agenda has the thirteen standing items in their order, two of them optional', async () => {
    const items = await rosa().find('VisitItem', `visit == '${story.id('visit 1')}'`, ['number']);
    expect(items.map((item) => item['title'])).to.deep.equal(STANDING);
    expect(items.map((item) => item['number'])).to.deep.equal(STANDING.map((_, index) => index + 1));
    expect(items.filter((item) => item['optional'] === true).map((item) => item['number'])).to.deep.equal([3, 13]);
  });

  it('R000-15 the report needs attendees, discussion and the result of the first item', async () => {
    await world().until('2026-06-24T15:00:00Z');
    const id = story.id('visit 1');
    const held = await rosa().move('Visit', id, 'hold', { channel: 'office' });
    expect(held).to.include({ status: 'held', heldOn: '2026-06-24', reportDueAt: '2026-06-29T13:00:00.000Z' });
    const empty = await rosa().refused('Visit', id, 'report', { discussion: 'Rosters and referrals.' });
    expect(JSON.stringify(empty.body)).to.contain('/attendees');
    const words = { attendees: 'Ada Alder, Rosa Relations', discussion: 'Rosters and referrals.' };
    expect((await rosa().refused('Visit', id, 'report', words)).body['detail']).to.contain('The demographics check has no result.');
    await confirmDemographics(id, 'changed');
    const action = await rosa().call('POST', '/records/ActionItem', { visit: id, subject: 'Send the fee schedule' });
    expect(action.status).to.equal(422);
    await rosa().create('ActionItem', { visit: id, subject: 'Send the fee schedule', assignee: rosa().id, dueOn: '2026-07-01' });
  });

  it('R000-19 a report entered in time counts, and moves the next due date', async () => {
    await world().until('2026-06-26T20:00:00Z');
    const reported = await rosa().move('Visit', story.id('visit 1'), 'report', {
      attendees: 'Ada Alder, Rosa Relations',
      discussion: 'Rosters and referrals.',
    });
    expect(reported).to.include({ status: 'reported', counted: true, countedReason: 'in-time', reportedAt: '2026-06-26T20:00:00.000Z' });
    await world().settle();
    expect(await provider()).to.include({ lastCountedVisitOn: '2026-06-24', nextVisitDueOn: '2026-09-24' });
    const tasks = await rosa().find('Task', `visit == '${story.id('visit 1')}'`, ['queue']);
    expect(tasks.map((task) => [task['kind'], task['queue'], task['dueOn']])).to.deep.equal([
      ['demographics', 'contract-coordination', '2026-06-30'],
      ['demographics', 'data-management', '2026-06-30'],
    ]);
  });

  it('R000-19 R000-20 a report entered after Monday 09:00 stays on file and is not counted', async () => {
    await world().until('2026-06-29T13:05:00Z');
    await world().sleepUntil('2026-09-09T23:00:00Z');
    await world().until('2026-09-10T10:00:00Z');
    const [visit] = await planned();
    expect(visit).to.include({ dueOn: '2026-09-24' });
    const id = String(visit?.['id']);
    await world().sleepUntil('2026-09-16T15:00:00Z');
    expect(await rosa().move('Visit', id, 'hold', { channel: 'telephone' })).to.include({ reportDueAt: '2026-09-21T13:00:00.000Z' });
    await confirmDemographics(id, 'confirmed');
    await world().until('2026-09-21T13:00:01Z');
    await rosa().move('Visit', id, 'report', { attendees: 'Ada Alder', discussion: 'Claims that were sent twice.' });
    await world().settle();
    expect(await rosa().one('Visit', "status == 'reported' && counted == false")).to.include({
      id,
      countedReason: 'late',
      reportedAt: '2026-09-21T13:00:01.000Z',
    });
    const answer = await rosa().call('GET', '/search?q=Claims%20that%20were%20sent%20twice');
    expect(JSON.stringify(answer.body)).to.contain(id);
    expect(await provider()).to.include({ lastCountedVisitOn: '2026-06-24', nextVisitDueOn: '2026-09-24' });
  });

  it('R000-21 the weekly report is frozen on Monday after the cut-off and stays as it was published', async () => {
    await world().until('2026-09-21T13:05:00Z');
    expect(await weekly('2026-06-22/2026-06-28')).to.deep.include({
      Held: 1,
      'Reported and counted': 1,
      'Reported too late': 0,
      'Held in the office': 1,
      'Held by telephone': 0,
    });
    expect(await weekly('2026-09-14/2026-09-20')).to.deep.include({
      Held: 1,
      'Reported and counted': 0,
      'Reported too late': 1,
      'Held in the office': 0,
      'Held by telephone': 1,
    });
    const before = await frozen();
    await world().until('2026-09-22T13:00:00Z');
    expect(await frozen()).to.deep.equal(before);
    expect(world().mails()).to.deep.equal([]);
  });

  async function frozen(): Promise<readonly Json[]> {
    return asList((await world().teams.administrator.call('GET', '/reports/weekly-visits/frozen')).body['data']);
  }

  async function weekly(period: string): Promise<Json> {
    const found = (await frozen()).find((entry) => entry['period'] === period);
    if (found === undefined) throw new Error(`Nothing was frozen for ${period}.`);
    return Object.fromEntries(asList(asJson(found['body'])['rows']).map((row) => [String(row['label']), row['count']]));
  }

  async function confirmDemographics(visit: string, result: string): Promise<void> {
    const item = await rosa().one('VisitItem', `visit == '${visit}' && topic == 'demographics'`);
    await rosa().update('VisitItem', String(item['id']), { status: 'discussed', result });
  }
}
