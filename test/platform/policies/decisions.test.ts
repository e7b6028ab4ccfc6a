import { Readable } from 'node:stream';
import { expect } from 'chai';
import { runCommand } from '../../../src/cli/main.ts';
import { shownUses } from '../../../src/platform/access/policy-uses.ts';
import type { PolicyUse } from '../../../src/platform/expression/types.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../../support/app.ts';

describe('which version and row of a policy decided', () => {
  let test: TestApp;
  let admin: Client & { readonly userId: string };
  before(async () => {
    test = await startTestApp();
    await test.app.prepare();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  const make = async (object: string, values: Readonly<Record<string, unknown>>): Promise<{ readonly id: string; readonly etag: string }> => {
    const made = await admin('POST', `/api/v1/records/${object}`, values);
    expect(made.status, made.text).to.equal(201);
    return { id: String(at(made.body, 'data.id')), etag: made.headers.get('etag') ?? '' };
  };
  const entries = (answer: Answer): readonly unknown[] => {
    const list = at(answer.body, 'data');
    return Array.isArray(list) ? list : [];
  };

  it('is kept with a transition and shown in the history of the record', async () => {
    const provider = await make('Provider', { npi: '1891798906', name: 'Ada Alder', entityType: 'individual', type: 'pcp', panelSize: 300 });
    const visit = await make('Visit', { provider: provider.id, channel: 'office', purpose: 'routine', specialist: admin.userId });
    const held = await admin('POST', `/api/v1/records/Visit/${visit.id}/transitions/hold`, {}, { 'if-match': visit.etag });
    expect(held.status, held.text).to.equal(200);
    const history = await admin('GET', `/api/v1/records/Visit/${visit.id}/history`);
    const [newest, ...older] = entries(history);
    expect(at(newest, 'cause.decisions')).to.deep.equal([{ policy: 'visit-report-cutoff', version: '2019-01', band: 'following-monday', record: visit.id }]);
    expect(older.map((entry) => at(entry, 'cause.decisions'))).to.deep.equal(older.map(() => undefined));
  });

  it('is kept with a run of a rule and with what it writes, and shown by explain', async () => {
    const made = await make('Case', {
      subject: 'A question about claims',
      contactEmail: 'office@practice.example',
      channel: 'phone',
      receivedAt: test.app.clock.now(),
    });
    await test.app.worker.drain();
    const history = await admin('GET', `/api/v1/records/Case/${made.id}/history`);
    const written = entries(history).find((entry) => at(entry, 'cause.rule') === 'case-clock');
    const uses = at(written, 'cause.decisions');
    expect(uses, history.text).to.be.an('array').with.lengthOf(1);
    expect(at(uses, '0.policy')).to.equal('response-time');
    expect(at(uses, '0.record')).to.equal(made.id);
    const explained = await admin('GET', `/api/v1/records/Case/${made.id}/explain?rule=case-clock`);
    expect(at(explained.body, 'data.runs.0.trace.decisions')).to.deep.equal(uses);
    const decided = await admin('POST', '/api/v1/policies/response-time/decide', { input: {} });
    expect([at(uses, '0.version'), at(uses, '0.band')]).to.deep.equal([at(decided.body, 'data.version'), at(decided.body, 'data.band')]);
  });

  it('is shown by explain for a condition that asks a policy, and told only to those who may read what the policy read', async () => {
    const provider = await make('Provider', {
      npi: '1245319599',
      name: 'Elm Alder',
      entityType: 'individual',
      type: 'pcp',
      panelSize: 5000,
      nextVisitDueOn: '2026-12-01',
    });
    const explained = await admin('GET', `/api/v1/records/Provider/${provider.id}/explain?rule=visit-plan`);
    expect(explained.status, explained.text).to.equal(200);
    const operands = at(explained.body, 'data.now.operands');
    const policies = Array.isArray(operands)
      ? operands.flatMap((operand) => (Array.isArray(at(operand, 'decisions')) ? [at(operand, 'decisions.0.policy')] : []))
      : [];
    expect(policies, explained.text).to.deep.equal(['visit-planning']);

    const context = await test.app.contextFor(
      { kind: 'user', userId: admin.userId, permissionSets: ['relations'], email: 'a@plan.example', name: 'A' },
      { kind: 'command', name: 'test' },
    );
    const use = (record: string | null): PolicyUse => ({ policy: 'visit-cadence', version: '2021-03', band: 'pcp-large', record });
    const shown = (uses: readonly PolicyUse[], readable: readonly string[]) => shownUses(context, uses, 'Provider', provider.id, new Set(readable)).length;
    expect(shown([use(provider.id)], ['type', 'panelSize'])).to.equal(1);
    expect(shown([use(provider.id)], ['type']), 'the row tells of the size of the panel').to.equal(0);
    expect(shown([use(null), use('0190b6f0-0000-7000-8000-000000000001')], ['type', 'panelSize']), 'about something else').to.equal(0);
    expect(shown([{ ...use(provider.id), policy: 'gone' }], ['type', 'panelSize'])).to.equal(0);
    const all = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    expect(shownUses(all, [use(null)], 'Provider', provider.id, new Set())).to.have.lengthOf(1);
  });
});

describe('what another version of a policy would decide', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    await test.app.prepare();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  it('is counted over the records as they are, by row and result, with examples; over HTTP and by a command', async () => {
    const sizes = [5, 5, 60, 1500, 2500];
    const npis = ['1891798906', '1245319599', '1003000126', '1234567893', '1679576722'];
    for (const [index, panelSize] of sizes.entries()) {
      const values = { npi: npis[index], name: `Provider ${String(index)}`, entityType: 'individual', type: 'pcp', panelSize };
      const made = await admin('POST', '/api/v1/records/Provider', values);
      expect(made.status, made.text).to.equal(201);
    }
    const ask = (body: Readonly<Record<string, unknown>>) => admin('POST', '/api/v1/policies/visit-cadence/what-if', body);
    const found = await ask({ from: '2015-02-09', to: '2014-11-16' });
    expect(found.status, found.text).to.equal(200);
    expect([at(found.body, 'data.records'), at(found.body, 'data.changed')]).to.deep.equal([5, 3]);
    expect(at(found.body, 'data.groups')).to.deep.equal([
      { from: 'pcp-below-10', to: 'as-needed', results: ['interval'], records: 2 },
      { from: 'pcp-1000', to: 'pcp-1000', results: [], records: 2 },
      { from: 'pcp-50', to: 'as-needed', results: ['interval'], records: 1 },
    ]);
    expect(at(found.body, 'data.examples')).to.be.an('array').with.lengthOf(3);
    expect(at((await ask({ from: '2015-02-09', to: '2014-11-16', filter: 'panelSize > 50' })).body, 'data.records')).to.equal(3);
    expect(at((await ask({ to: '2015-02-09' })).body, 'data.from'), 'the one in force').to.match(/^20[12]/);
    expect((await ask({ to: '1999-01' })).status).to.equal(404);
    expect((await ask({ to: '2015-02-09', filter: 'nothing == 1' })).status).to.equal(400);
    const relations = await test.caller('relations');
    expect((await relations('POST', '/api/v1/policies/visit-cadence/what-if', { to: '2015-02-09' })).status).to.equal(403);

    const before = (await test.app.store.recorded()).version;
    const file = (await test.app.store.recorded()).set.policies.get('visit-cadence');
    if (file === undefined) throw new Error('There is no such policy.');
    const versions = file.versions.map((version) =>
      version.effective === '2015-02-09' ? { ...version, rows: version.rows.map((row) => ({ ...row, then: { ...row.then, interval: 'P2M' } })) } : version,
    );
    expect((await admin('POST', '/api/v1/metadata/apply', { files: { policies: { 'visit-cadence': { ...file, versions } } } })).status).to.equal(200);
    const edited = await ask({ from: '2015-02-09', to: '2015-02-09', fromMetadata: before });
    expect([at(edited.body, 'data.changed'), at(edited.body, 'data.records')], 'before it was edited and now').to.deep.equal([5, 5]);

    let out = '';
    const io = { out: (text: string) => void (out += text), say: () => undefined, stdin: Readable.from([]), isTerminal: false, directory: '/nowhere' };
    const words = ['policy', 'what-if', 'visit-cadence', '2014-11-16', '--from', '2015-02-09', '--from-metadata', String(before)];
    expect(await runCommand(words, io, { DATABASE_URL: test.app.config.databaseUrl, LOG_LEVEL: 'silent' })).to.equal(0);
    expect(out).to.contain('3 of 5 records of Provider get other results by 2014-11-16 than by 2015-02-09.');
  });
});
