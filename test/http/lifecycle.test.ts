import { expect } from 'chai';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const LEADS = '/api/v1/records/Lead';
const NPIS = ['1234567893', '1891798906', '1558302604', '1003000126', '1023011178', '1245319599'];

describe('trash, merge and undo over HTTP', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  let number = 0;
  async function makeLead(values: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const npi = NPIS[number % NPIS.length];
    number += 1;
    const answer = await admin('POST', LEADS, { entityType: 'individual', lastName: `Byron ${String(number)}`, npi, source: 'nppes', ...values });
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }
  const version = async (id: string): Promise<number> => Number(at((await admin('GET', `${LEADS}/${id}`)).body, 'data.version'));
  const act = (client: Client, id: string, what: string, read: number, body?: unknown): Promise<Answer> =>
    client('POST', `${LEADS}/${id}/${what}`, body, { 'if-match': `"v${String(read)}"` });
  const trash = (id: string, read: number): Promise<Answer> => admin('DELETE', `${LEADS}/${id}`, undefined, { 'if-match': `"v${String(read)}"` });

  it('restores with the references that were cleared, or without, and names what stands against it', async () => {
    const first = await makeLead();
    const second = await makeLead({ referredBy: first });
    expect((await trash(first, 1)).status).to.equal(204);
    expect(at((await admin('GET', `${LEADS}/${second}`)).body, 'data.referredBy')).to.equal(null);
    const back = await act(admin, first, 'restore', 2);
    expect([back.status, back.headers.get('etag'), back.body['meta']], back.text).to.deep.equal([
      200,
      '"v3"',
      { restored: [], relinked: [{ object: 'Lead', id: second }], left: [] },
    ]);
    expect(at((await admin('GET', `${LEADS}/${second}`)).body, 'data.referredBy')).to.equal(first);
    const npi = at(back.body, 'data.npi');
    expect((await trash(first, 3)).status).to.equal(204);
    const rival = await admin('POST', LEADS, { entityType: 'individual', lastName: 'Rival', npi, source: 'nppes' });
    expect(rival.status, rival.text).to.equal(201);
    const refused = await act(admin, first, 'restore', 4, { relations: false });
    expect([refused.status, refused.body['code'], at(refused.body, 'errors.0.pointer')]).to.deep.equal([409, 'conflict_unique', '/npi']);
    expect((await act(admin, first, 'restore', 4, { everything: true })).status).to.equal(400);
  });

  it('lists the trash of all objects by pages, what went there last first, for those who may delete', async () => {
    const [first, second] = [await makeLead({ npi: '1912901257' }), await makeLead({ npi: '2034567893', lastName: 'Last' })].map(String);
    const network = await admin('POST', '/api/v1/records/Network', { name: 'Gone', code: 'GONE', type: 'hmo', lineOfBusiness: 'commercial' });
    const gone = String(at(network.body, 'data.id'));
    for (const id of [first, second]) expect((await trash(String(id), 1)).status).to.equal(204);
    expect((await admin('DELETE', `/api/v1/records/Network/${gone}`, undefined, { 'if-match': '"v1"' })).status).to.equal(204);
    const seen: string[] = [];
    for (let path = '/api/v1/trash?limit=1'; seen.length < 3;) {
      const page = await admin('GET', path);
      expect(page.status, page.text).to.equal(200);
      seen.push(String(at(page.body, 'data.0.id')));
      path = `/api/v1/trash?limit=1&cursor=${String(at(page.body, 'page.next'))}`;
    }
    expect(seen).to.deep.equal([gone, second, first]);
    const leads = await admin('GET', '/api/v1/trash?objects=Lead&limit=1');
    expect([at(leads.body, 'data.0.object'), at(leads.body, 'data.0.version'), at(leads.body, 'data.0.deletedBy.name')]).to.deep.equal(['Lead', 2, 'User 1']);
    expect((await admin('GET', '/api/v1/trash?cursor=abc')).body['code']).to.equal('invalid_query');
    const watcher = await test.caller('relations');
    expect((await watcher('GET', '/api/v1/trash')).text).to.not.include(gone);
    expect((await watcher('GET', '/api/v1/trash?objects=Network')).body['code']).to.equal('invalid_query');
  });

  it('merges with a preview first, and parts again', async () => {
    const stays = await makeLead({ npi: '1184722779', email: null });
    const goes = await makeLead({ npi: '1376551804', email: 'ada@plan.example', firstName: 'Ada' });
    const referred = await makeLead({ npi: '1447298070', referredBy: goes });
    const body = { sources: [{ id: goes, version: await version(goes) }], fields: { firstName: goes } };
    const preview = await act(admin, stays, 'merge', 1, { ...body, preview: true });
    expect([preview.status, at(preview.body, 'data.email'), at(preview.body, 'meta.merge')], preview.text).to.deep.equal([200, 'ada@plan.example', null]);
    expect(await version(stays)).to.equal(1);
    const merged = await act(admin, stays, 'merge', 1, body);
    expect([merged.status, at(merged.body, 'data.firstName'), at(merged.body, 'meta.moved')], merged.text).to.deep.equal([
      200,
      'Ada',
      [{ object: 'Lead', field: 'referredBy', count: 1 }],
    ]);
    expect((await admin('GET', `${LEADS}/${goes}`)).status).to.equal(404);
    const history = (await admin('GET', `${LEADS}/${stays}/history`)).body['data'];
    expect(Array.isArray(history) ? new Set(history.map((entry) => at(entry, 'record'))) : null).to.deep.equal(new Set([stays, goes]));
    const undone = await act(admin, stays, 'undo', await version(stays), { merge: at(merged.body, 'meta.merge') });
    expect([undone.status, at(undone.body, 'meta.undid'), at(undone.body, 'data.email')], undone.text).to.deep.equal([200, 'merged', null]);
    expect(at((await admin('GET', `${LEADS}/${goes}`)).body, 'data.email')).to.equal('ada@plan.example');
    expect(at((await admin('GET', `${LEADS}/${referred}`)).body, 'data.referredBy')).to.equal(goes);
  });

  it('undoes the last change, needs the version, and answers the current record to a stale one', async () => {
    const id = await makeLead({ npi: '1578561817' });
    expect((await admin('PATCH', `${LEADS}/${id}`, { email: 'x@plan.example' }, { 'if-match': '"v1"' })).status).to.equal(200);
    expect((await admin('POST', `${LEADS}/${id}/undo`)).status).to.equal(428);
    const stale = await act(admin, id, 'undo', 1);
    expect([stale.status, at(stale.body, 'current.email')]).to.deep.equal([412, 'x@plan.example']);
    const undone = await act(admin, id, 'undo', 2);
    expect([undone.status, undone.headers.get('etag'), at(undone.body, 'data.email')], undone.text).to.deep.equal([200, '"v3"', null]);
    const gone = await makeLead({ npi: '1669471041' });
    const away = await act(admin, gone, 'undo', 1);
    expect([away.status, away.body['data'], at(away.body, 'meta.undid')]).to.deep.equal([200, null, 'created']);
  });

  it('is refused to those who may not, with nothing changed', async () => {
    const [stays, goes] = [await makeLead({ npi: '1780683847' }), await makeLead({ npi: '1801899513' })];
    const guest = await test.caller();
    for (const what of ['restore', 'merge', 'undo'])
      expect((await act(guest, stays, what, 1, what === 'merge' ? { sources: [{ id: goes, version: 1 }] } : undefined)).status, what).to.equal(404);
    expect([await version(stays), await version(goes)]).to.deep.equal([1, 1]);
  });
});
