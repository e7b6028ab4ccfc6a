import { expect } from 'chai';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { PermissionFile } from '../../src/platform/metadata/types.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

/** May look into rules, and of leads reads nothing but the name. */
const OBSERVER: PermissionFile = {
  name: 'observer',
  label: 'Observer',
  audience: 'staff',
  objects: { Lead: { read: { where: "lastName == 'Byron'" }, fields: ['name', 'lastName'] } },
  actions: ['explain'],
};

describe('GET .../explain', () => {
  let test: TestApp;
  let admin: Client;
  let observer: Client;
  let ada = '';
  let other = '';
  before(async () => {
    test = await startTestApp();
    const shipped = loadMetadata(metadataDirectories([]));
    await test.app.store.apply({ ...shipped, permissions: new Map([...shipped.permissions, [OBSERVER.name, OBSERVER]]) }, 'test');
    admin = await test.caller('administrator');
    observer = await test.caller('observer');
    const create = async (npi: string, lastName: string): Promise<string> => {
      const answer = await admin('POST', '/api/v1/records/Lead', { npi, name: 'Lead', entityType: 'individual', firstName: 'Ada', lastName });
      expect(answer.status, answer.text).to.equal(201);
      return String(at(answer.body, 'data.id'));
    };
    ada = await create('1234567893', 'Byron');
    other = await create('1003000126', 'King');
    const changed = await admin('PATCH', `/api/v1/records/Lead/${ada}`, { email: 'ada@practice.example' }, { 'if-match': '"v1"' });
    expect(changed.status, changed.text).to.equal(200);
    await test.app.worker.drain();
  });
  after(() => test.stop());

  it('shows an administrator what the rule looked at, and others only what they may read', async () => {
    const path = `/api/v1/records/Lead/${ada}/explain?rule=lead-name`;
    const whole = await admin('GET', path);
    expect(at(whole.body, 'data.events.0.reason')).to.equal('None of firstName, lastName, organizationName, entityType changed (changed: email).');
    const part = await observer('GET', path);
    expect([part.status, at(part.body, 'data.enabled')], part.text).to.deep.equal([200, true]);
    expect(at(part.body, 'data.events.0.reason')).to.equal('None of lastName, what you may not read changed (changed: what you may not read).');
    expect(part.text).not.to.match(/firstName|entityType|email/);
  });

  it('without a rule tells of every rule on the object, as far as the caller may read', async () => {
    const path = `/api/v1/records/Lead/${ada}/explain`;
    const whole = await admin('GET', path);
    expect([whole.status, at(whole.body, 'data.0.rule'), at(whole.body, 'data.0.now.exists')], whole.text).to.deep.equal([200, 'lead-name', true]);
    const part = await observer('GET', path);
    expect(part.status, part.text).to.equal(200);
    expect(part.text).not.to.match(/firstName|entityType|email/);
  });

  it('a rule is tried on the past by administrators, with no effect', async () => {
    const path = '/api/v1/automation/rules/lead-name/dry-run';
    const tried = await admin('GET', `${path}?since=2020-01-01T00:00:00Z`);
    expect([tried.status, at(tried.body, 'data.rule'), Number(at(tried.body, 'data.events')) >= 3], tried.text).to.deep.equal([200, 'lead-name', true]);
    expect((await admin('GET', `${path}?since=yesterday`)).status).to.equal(400);
    expect((await admin('GET', path)).status).to.equal(400);
    expect((await observer('GET', `${path}?since=2020-01-01T00:00:00Z`)).status).to.equal(403);
    expect((await admin('GET', path.replace('lead-name', 'nobody') + '?since=2020-01-01T00:00:00Z')).status).to.equal(404);
  });

  it('answers for a record that the caller may not see as for one that does not exist', async () => {
    const [unseen, missing] = await Promise.all(
      [other, '01920000-0000-7000-8000-0000000000ff'].map((id) => observer('GET', `/api/v1/records/Lead/${id}/explain?rule=lead-name`)),
    );
    expect([unseen?.status, unseen?.body['code']]).to.deep.equal([404, 'not_found']);
    expect([missing?.status, missing?.body['code']]).to.deep.equal([404, 'not_found']);
  });
});
