import { Readable } from 'node:stream';
import { expect } from 'chai';
import { runCommand } from '../../../src/cli/main.ts';
import type { PolicyFile } from '../../../src/platform/metadata/types.ts';
import { policyHash } from '../../../src/platform/model/approvals.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { installApprovals } from '../../../src/platform/policies/approve.ts';
import { makePolicies } from '../../../src/platform/policies/policies.ts';
import { packageRoot } from '../../../src/platform/root.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { at, startTestApp, type Client, type TestApp } from '../../support/app.ts';
import { openTestPool } from '../../support/database.ts';

const NAME = 'visit-cadence';
const PATH = `/api/v1/policies/${NAME}`;
const TODAY = '2026-11-23';

/** The policy with another interval for large panels in its newest version, or with a further version. */
function edited(file: PolicyFile, interval: string, further: string | null = null): PolicyFile {
  const newest = file.versions.at(-1);
  if (newest === undefined) throw new Error('The policy has no version.');
  const rows = newest.rows.map((row) => (row.band === 'pcp-large' ? { ...row, then: { ...row.then, interval } } : row));
  if (further !== null) return { ...file, versions: [...file.versions, { effective: further, rows }] };
  return { ...file, versions: [...file.versions.slice(0, -1), { ...newest, rows }] };
}

describe('approval of policies', () => {
  let test: TestApp;
  let author: Client;
  let approver: Client & { readonly userId: string };
  let shipped: PolicyFile;
  let newest: string;
  before(async () => {
    test = await startTestApp();
    await test.app.prepare();
    author = await test.caller('administrator');
    approver = await test.caller('administrator');
    const file = (await test.app.store.recorded()).set.policies.get(NAME);
    if (file === undefined) throw new Error('The shipped metadata has no such policy.');
    shipped = file;
    newest = file.versions.at(-1)?.effective ?? '';
  });
  after(() => test.stop());

  const credenza = async (...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> => {
    let out = '';
    let said = '';
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += `${text}\n`),
      stdin: Readable.from([]),
      isTerminal: false,
      directory: '/nowhere',
    };
    const code = await runCommand([...words], io, { DATABASE_URL: test.app.config.databaseUrl, LOG_LEVEL: 'silent' });
    return { code, out, said };
  };
  const change = async (file: PolicyFile): Promise<void> => {
    const answer = await author('POST', '/api/v1/metadata/apply', { files: { policies: { [NAME]: file } } });
    expect(answer.status, answer.text).to.equal(200);
  };
  const decide = async (on = TODAY): Promise<string> => {
    const { body } = await approver('POST', `${PATH}/decide`, { on, input: { type: 'pcp', panelSize: 5000 } });
    return `${String(at(body, 'data.version'))} ${String(at(body, 'data.band'))} ${String(at(body, 'data.results.interval'))}`;
  };
  const versionOf = async (effective: string): Promise<Readonly<Record<string, unknown>>> => {
    const { body } = await approver('GET', PATH);
    const found = at(body, 'data.versions');
    const version: unknown = Array.isArray(found) ? found.find((entry) => at(entry, 'version') === effective) : null;
    return typeof version === 'object' && version !== null ? Object.fromEntries(Object.entries(version)) : {};
  };

  it('R000-30 the version in force on a day decides, whenever one asks', async () => {
    expect(await decide('2014-12-01')).to.equal('2014-11-16 pcp-1000 P1M');
    expect(await decide('2015-02-08')).to.equal('2014-11-16 pcp-1000 P1M');
    expect(await decide('2019-01-31')).to.equal('2019-01 pcp-large P3M');
    expect((await approver('POST', `${PATH}/decide`, { on: '2014-02-30', input: {} })).status).to.equal(400);
    expect(at((await approver('POST', `${PATH}/decide`, { on: '2014-11-15', input: { type: 'pcp', panelSize: 5000 } })).body, 'data')).to.equal(null);
    expect((await approver('GET', '/api/v1/policies/none-such')).status).to.equal(404);
    expect((await approver('POST', '/api/v1/policies/none-such/decide', { input: {} })).status).to.equal(404);
    for (const input of [{ type: 'pcp', panelSize: 'many' }, { type: 7, panelSize: true }, { nothing: 1 }, {}])
      expect((await approver('POST', `${PATH}/decide`, { input })).status, JSON.stringify(input)).to.be.oneOf([200, 400, 422]);
  });

  it('R000-37 what is shipped comes approved, with approver, instant and the fingerprint of its content', async () => {
    const lines = await rows(test.app.db, sql`select * from ${platformTable(test.app.db, 'policy_approval')}`);
    const files = [...(await test.app.store.recorded()).set.policies.values()];
    expect(lines.length)
      .to.equal(files.flatMap((file) => file.versions).length)
      .and.greaterThan(10);
    expect(lines.every((line) => line['kind'] === 'package')).to.equal(true);
    const model = await test.app.store.load();
    for (const file of files) {
      for (const entry of makePolicies(model).versions(file.name)) {
        expect(entry.withheld, `${file.name} ${entry.version}`).to.equal(null);
        expect(entry.approvedAt).to.match(/^\d{4}-\d{2}-\d{2}T/);
        expect(entry.hash).to.match(/^[0-9a-f]{64}$/);
        expect(entry.approvedBy).not.to.equal('');
      }
    }
    await test.app.prepare();
    expect((await rows(test.app.db, sql`select id from ${platformTable(test.app.db, 'policy_approval')}`)).length, 'once').to.equal(lines.length);
  });

  it('R000-37 a version that was edited falls out of force until somebody else approves its content', async () => {
    const before = await decide();
    expect(before).to.contain(`${newest} pcp-large`);
    const file = edited(shipped, 'P6M');
    const plan = await author('POST', '/api/v1/metadata/plan', { files: { policies: { [NAME]: file } } });
    const previous = shipped.versions.at(-2)?.effective ?? '';
    expect(plan.text).to.contain(`Withhold version ${newest} of the policy ${NAME} until it is approved: version ${previous} stays in force`);
    await change(file);
    expect(await decide()).to.contain(`${previous} `);
    expect((await versionOf(newest))['withheld']).to.contain('It was changed after it was approved');
    expect(at((await approver('GET', '/api/v1/policies')).body, 'data')).to.satisfy((list: unknown) =>
      JSON.stringify(list).includes(`"waiting":["${newest}"]`),
    );

    const { hash } = await versionOf(newest);
    const wish = { version: newest, hash, reference: 'GRC-2041' };
    const relations = await test.caller('relations');
    expect((await relations('POST', `${PATH}/approve`, wish)).status, 'no right').to.equal(403);
    expect((await relations('GET', '/api/v1/openapi.json')).text).not.to.contain('/policies/{name}/approve');
    const own = await author('POST', `${PATH}/approve`, wish);
    expect([own.status, at(own.body, 'code')], 'four eyes').to.deep.equal([403, 'forbidden']);
    const stale = await approver('POST', `${PATH}/approve`, { ...wish, hash: policyHash(shipped, shipped.versions.at(-1) ?? { effective: '', rows: [] }) });
    expect([stale.status, at(stale.body, 'code')], 'another content').to.deep.equal([409, 'conflict_state']);
    expect((await approver('POST', `${PATH}/approve`, { ...wish, version: '1999-01' })).status).to.equal(404);
    expect(await decide(), 'nothing was approved so far').to.contain(`${previous} `);

    const other = openTestPool(test.app.config.databaseUrl);
    try {
      const second = makeModelStore({ db: other, clock: test.app.clock, extensions: EXTENSIONS });
      const interval = async (): Promise<unknown> =>
        makePolicies(await second.load()).decide(NAME, { type: 'pcp', panelSize: 5000 }, TODAY)?.results['interval'];
      expect(await interval()).not.to.equal('P6M');
      const done = await approver('POST', `${PATH}/approve`, wish);
      expect(done.status, done.text).to.equal(200);
      expect(await decide()).to.equal(`${newest} pcp-large P6M`);
      expect(await interval(), 'another process').to.equal('P6M');
    } finally {
      await other.destroy();
    }
    const signed = await versionOf(newest);
    expect(signed['approvedBy']).to.equal(`User 2 <user2@plan.example>`);
    expect(signed['reference']).to.equal('GRC-2041');
    expect((await approver('POST', `${PATH}/approve`, wish)).status, 'once').to.equal(409);

    await change(shipped);
    expect(await decide(), 'the approval of the content of before still stands').to.equal(before);
  });

  it('R000-37 a version without an approval is not in force, whatever its file says of one', async () => {
    const file = edited(shipped, 'P9M', '2026-10');
    const claimed = {
      ...file,
      versions: file.versions.map((version) => (version.effective === '2026-10' ? { ...version, approvedBy: 'The board' } : version)),
    };
    await change(claimed);
    expect(await decide()).not.to.contain('P9M');
    const { hash, withheld } = await versionOf('2026-10');
    expect(withheld).to.equal('It has not been approved.');
    const shown = await credenza('policy', 'show', NAME);
    expect(shown.out).to.contain('It has not been approved.');
    const wrong = await credenza('policy', 'approve', NAME, '2026-10', '--by', 'user1@plan.example', '--reference', 'GRC-1');
    expect([wrong.code, wrong.said]).to.satisfy(([code, said]: readonly unknown[]) => code === 1 && String(said).includes('Somebody else must approve this'));
    const short = String(hash).slice(0, 12);
    const approve = ['policy', 'approve', NAME, '2026-10', '--by', 'user2@plan.example', '--hash', short] as const;
    const nameless = await credenza(...approve);
    expect([nameless.code, nameless.said], 'R003-38 an approval names where it is kept').to.satisfy(
      ([code, said]: readonly unknown[]) => code === 1 && String(said).includes('Say where the approval is kept'),
    );
    const done = await credenza(...approve, '--reference', 'GRC-2042');
    expect(done.code, done.said).to.equal(0);
    await test.app.store.load();
    expect(await decide()).to.equal('2026-10 pcp-large P9M');
    await change(shipped);
  });

  it('R003-38 an approval without a reference is refused', async () => {
    const { hash } = await versionOf(newest);
    for (const reference of ['', '   ']) {
      const answer = await approver('POST', `${PATH}/approve`, { version: newest, hash, reference });
      expect(answer.status, JSON.stringify(reference)).to.be.oneOf([400, 422]);
    }
  });

  it('R000-38 a review that changes nothing is a line of the log and no new version', async () => {
    const before = await approver('GET', PATH);
    const inForce = (await test.app.store.recorded()).version;
    expect((await approver('POST', `${PATH}/reviews`, { note: 'No revisions' })).status).to.equal(204);
    const after = await approver('GET', PATH);
    expect(at(after.body, 'data.versions')).to.deep.equal(at(before.body, 'data.versions'));
    expect((await test.app.store.recorded()).version).to.equal(inForce);
    expect([at(after.body, 'data.reviews.0.note'), at(after.body, 'data.reviews.0.actor')]).to.deep.equal(['No revisions', approver.userId]);
    const second = await credenza('policy', 'review', NAME, '--by', 'user2@plan.example', '--note', 'No revisions, 2027');
    expect(second.code, second.said).to.equal(0);
    expect((await credenza('policy', 'show', NAME)).out).to.contain('No revisions, 2027');
    expect((await (await test.caller('relations'))('POST', `${PATH}/reviews`, { note: 'x' })).status).to.equal(403);
  });

  it('R003-37 the lines of the log are never changed or taken away', async () => {
    const { db } = test.app;
    for (const name of ['policy_approval', 'policy_review']) {
      const table = platformTable(db, name);
      for (const statement of [sql`update ${table} set actor = 'x'`, sql`delete from ${table}`, sql`truncate ${table}`]) {
        const refused: unknown = await run(db, statement).then(
          () => null,
          (error: unknown) => error,
        );
        expect(String(refused), statement.text).to.contain('never changed or taken away');
      }
    }
  });

  it('R003-36 the list shows number, replaces, product, approved, effective, retired and reviewed; what is retired is not to be chosen', async () => {
    const document = { number: 'PR-104', replaces: 'PR-88', product: 'Medicaid', keeper: 'Provider relations' };
    await change({ ...shipped, document });
    const inList = async (query = ''): Promise<unknown> => {
      const { body } = await approver('GET', `/api/v1/policies${query}`);
      const list = at(body, 'data');
      return Array.isArray(list) ? list.find((entry) => at(entry, 'name') === NAME) : null;
    };
    const shown = await inList();
    expect(shown).to.include({ ...document, version: newest, effectiveFrom: `${newest}-01`.slice(0, 10), retiredOn: null });
    expect(at(shown, 'approvedAt')).to.match(/^\d{4}/);
    expect(at(shown, 'reviewedAt')).to.match(/^\d{4}/);
    const retire = (on: string | null) => approver('POST', `${PATH}/retire`, { on, reference: 'GRC-9' });
    const soon = '2026-12-01';
    expect((await retire(soon)).status).to.equal(200);
    expect(await decide('2026-11-30')).to.contain(newest);
    expect(await decide(soon)).to.contain('undefined');
    expect((await retire('2020-01-01')).status, 'what was decided stays decided').to.equal(422);
    const { today } = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    expect((await retire(today)).status).to.equal(200);
    expect(await inList()).to.equal(undefined);
    expect(at(await inList('?retired=true'), 'retiredOn')).to.equal(today);
    expect((await credenza('policy', 'list')).out).not.to.contain(NAME);
    expect((await retire(null)).status).to.equal(200);
    expect(await decide()).to.contain(newest);
    await change(shipped);
  });

  it('what an earlier release had in force stays in force when approvals begin to be recorded', async () => {
    const old = await startTestApp();
    try {
      const by = await old.caller('administrator');
      const answer = await by('POST', '/api/v1/metadata/apply', { files: { policies: { [NAME]: edited(shipped, 'P7M') } } });
      expect(answer.status, answer.text).to.equal(200);
      expect(await readInterval(old), 'by the word of the file').to.equal('P7M');
      await installApprovals(old.app.db, old.app.clock.now(), loadMetadata([packageRoot()]));
      await by('POST', '/api/v1/metadata/apply', {
        files: { policies: { 'visit-planning': (await old.app.store.recorded()).set.policies.get('visit-planning') } },
      });
      expect(await readInterval(old)).to.equal('P7M');
      const kinds = await rows(old.app.db, sql`select kind, count(*)::int as n from ${platformTable(old.app.db, 'policy_approval')} group by 1 order by 1`);
      expect(kinds.map((row) => row['kind'])).to.deep.equal(['kept', 'package']);
      expect(kinds[0]?.['n']).to.equal(1);
    } finally {
      await old.stop();
    }
  });
});

async function readInterval({ app }: TestApp): Promise<unknown> {
  const store = makeModelStore({ db: app.db, clock: app.clock, extensions: EXTENSIONS });
  return makePolicies(await store.load()).decide(NAME, { type: 'pcp', panelSize: 5000 }, TODAY)?.results['interval'];
}
