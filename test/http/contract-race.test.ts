import { expect } from 'chai';
import { rows, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

/** Contracts that are executed at once; the full number by the environment, as CONTRACT_RACE=200. */
const RIVALS = Number(process.env['CONTRACT_RACE'] ?? 60);
const ROOT = '/api/v1/records/Contract';
const HASH = 'ab'.repeat(32);
const TOPICS = { priorAuthorization: 'As agreed.', reimbursement: 'As agreed.', claims: 'As agreed.', rates: 'As agreed.', disputes: 'As agreed.' };

describe('contracts of one provider in one network (quality.md, row 27)', function () {
  this.timeout(300_000);
  let product: TestApp;
  let admin: Client;
  let parties: Readonly<Record<string, string>>;
  before(async () => {
    product = await startTestApp();
    admin = await product.caller('administrator');
    const provider = await made('Provider', {
      name: 'Ana Brandt',
      entityType: 'individual',
      type: 'pcp',
      firstName: 'Ana',
      lastName: 'Brandt',
      npi: '1234567893',
    });
    const network = await made('Network', { name: 'West', code: 'WEST', type: 'hmo', lineOfBusiness: 'commercial' });
    parties = { provider, network };
  });
  after(() => product.stop());

  async function made(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `/api/v1/records/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }
  const read = async (id: string): Promise<unknown> => at((await admin('GET', `${ROOT}/${id}`)).body, 'data');
  const move = async (id: string, transition: string, values: unknown = {}): Promise<Answer> =>
    admin('POST', `${ROOT}/${id}/transitions/${transition}`, values, { 'if-match': `"v${String(at(await read(id), 'version'))}"` });
  /** A contract that both sides have signed: what is left is to execute it. */
  async function signed(more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const values = { type: 'participation', effectiveFrom: '2026-01-01', signerName: 'Ana Brandt', signerEmail: 'ana@practice.example', ...TOPICS };
    const id = await made('Contract', { ...parties, ...values, ...more });
    const sent = await move(id, 'send');
    expect(sent.status, sent.text).to.equal(200);
    const hashed = await admin('PATCH', `${ROOT}/${id}`, { contentHash: HASH }, { 'if-match': `"v${String(at(sent.body, 'data.version'))}"` });
    expect(hashed.status, hashed.text).to.equal(200);
    const signature = {
      contract: id,
      signerName: 'Somebody',
      consentText: 'I agree.',
      signedAt: '2026-01-02T00:00:00Z',
      documentHash: HASH,
      contractVersion: 1,
    };
    for (const party of ['provider', 'plan']) await made('Signature', { ...signature, party });
    const agreed = await move(id, 'provider-sign');
    expect(agreed.status, agreed.text).to.equal(200);
    return id;
  }
  const inForce = async (): Promise<unknown> =>
    at((await admin('GET', `${ROOT}?count=exact&filter=${encodeURIComponent('inForce == true')}`)).body, 'meta.count');
  const deadlocks = async (): Promise<number> => {
    const [found] = await rows(product.app.db, sql`select deadlocks from pg_stat_database where datname = current_database()`);
    return Number(found?.['deadlocks']);
  };

  it(`of ${String(RIVALS)} executed at once one is in force; the others are told so, and stay as they were`, async () => {
    const ids: string[] = [];
    while (ids.length < RIVALS) ids.push(...(await Promise.all(Array.from({ length: Math.min(8, RIVALS - ids.length) }, () => signed()))));
    const answers = await Promise.all(
      ids
        .map((id) => read(id))
        .map(async (record) => {
          const { id, version } = { id: String(at(await record, 'id')), version: String(at(await record, 'version')) };
          return admin('POST', `${ROOT}/${id}/transitions/execute`, {}, { 'if-match': `"v${version}"` });
        }),
    );
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length, answers[0]?.text).to.equal(RIVALS - 1);
    for (const answer of refused) expect([answer.status, at(answer.body, 'errors.0.rule')], answer.text).to.deep.equal([409, 'none-in-force']);
    expect(await inForce()).to.equal(1);
    const states = await Promise.all(ids.map(async (id) => at(await read(id), 'status')));
    expect(states.filter((status) => status === 'provider-signed').length).to.equal(RIVALS - 1);
    const [acted] = await rows(product.app.db, sql`select count(*)::int as n from credenza.event where object = 'Contract' and transition = 'execute'`);
    expect(acted?.['n'], 'one event: nothing of a refused one is acted upon').to.equal(1);
    expect(await deadlocks()).to.equal(0);
  });

  it('another network is no matter; after the end of the one, the next may be in force', async () => {
    const other = await made('Network', { name: 'East', code: 'EAST', type: 'hmo', lineOfBusiness: 'commercial' });
    const elsewhere = await move(await signed({ network: other }), 'execute');
    expect([elsewhere.status, at(elsewhere.body, 'data.inForce')], elsewhere.text).to.deep.equal([200, true]);
    const next = await signed();
    const early = await move(next, 'execute');
    expect([early.status, at(early.body, 'errors.0.rule')], early.text).to.deep.equal([409, 'none-in-force']);
    expect(early.text).to.contain('in force in this network');
    const old = at(
      (await admin('GET', `${ROOT}?filter=${encodeURIComponent(`inForce == true && network == '${String(parties['network'])}'`)}`)).body,
      'data.0.id',
    );
    const dayFrom = (days: number): string => new Date(product.app.clock.nowMs() + days * 86_400_000).toISOString().slice(0, 10);
    const tooEarly = await move(String(old), 'end', { endsOn: dayFrom(30), endReason: 'Notice was given.' });
    expect([tooEarly.status, at(tooEarly.body, 'errors.0.rule')], tooEarly.text).to.deep.equal([409, 'has-ended']);
    const unexplained = await move(String(old), 'end', { endsOn: dayFrom(-1) });
    expect([unexplained.status, at(unexplained.body, 'errors.0.pointer')], unexplained.text).to.deep.equal([409, '/endReason']);
    const ended = await move(String(old), 'end', { endsOn: dayFrom(-1), endReason: 'Followed by a new agreement.' });
    expect([ended.status, at(ended.body, 'data.status'), at(ended.body, 'data.inForce')], ended.text).to.deep.equal([200, 'ended', null]);
    expect((await move(next, 'execute')).status).to.equal(200);
    expect(await inForce()).to.equal(2);
  });
});
