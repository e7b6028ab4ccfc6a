import { Readable } from 'node:stream';
import { tmpdir } from 'node:os';
import { expect } from 'chai';
import { runCommand } from '../../src/cli/main.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { makeBlankDatabase, type TestDatabase } from '../support/database.ts';

const SCHEMA = 'credenza_sandbox_demo';

describe('credenza demo', function () {
  this.timeout(400_000);
  let database: TestDatabase;
  let told = '';

  async function credenza(words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<string> {
    let out = '';
    let said = '';
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += `${text}\n`),
      stdin: Readable.from([]),
      isTerminal: false,
      directory: tmpdir(),
    };
    const code = await runCommand(words, io, { DATABASE_URL: database.url, PORT: '3907', ...environment });
    expect(code, said).to.equal(0);
    return out;
  }

  before(async () => {
    database = await makeBlankDatabase();
    told = await credenza(['demo', '--size', 'small', '--json']);
  });
  after(() => database.drop());

  const states = async (object: string): Promise<Readonly<Record<string, number>>> => {
    const csv = await credenza(['export', object, '--fields', 'status'], { DATABASE_SCHEMA: SCHEMA });
    const counts: Record<string, number> = {};
    for (const state of csv.trim().split(/\r?\n/).slice(1)) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  };

  it('says how to look at it, with the accounts and the link of the one who is half way through the form', () => {
    expect(JSON.parse(told))
      .to.include({ schema: SCHEMA, serve: 'npx credenza start --sandbox demo', leads: 150 })
      .and.have.property('accounts')
      .with.length(7);
    expect(told).to.match(/"url": ?"http:\/\/127\.0\.0\.1:3907\/portal\/start\/[\w-]+"/);
  });

  it('has applications, contracts, providers and visits at every stage', async () => {
    expect(await states('Application')).to.deep.equal({ approved: 11, draft: 2, returned: 1, 'in-review': 1, submitted: 1 });
    expect(await states('Contract')).to.deep.equal({ executed: 8, drafting: 1, sent: 1, 'provider-signed': 1 });
    expect(await states('Provider')).to.include({ active: 8, credentialed: 3 });
    expect(await states('Visit')).to.include.keys('planned', 'held', 'reported');
    expect(await states('CampaignMember')).to.include.keys('sent', 'responded', 'converted', 'bounced', 'unsubscribed', 'no-answer');
    expect(await states('Case')).to.include({ closed: 2, answered: 2, open: 2 });
  });

  it('lets no mail leave', async () => {
    const found = await rows(database.db, sql`select state, count(*)::int as mails from credenza_sandbox_demo.mail_delivery group by state`);
    expect(found.filter((row) => row['state'] !== 'captured' && row['state'] !== 'suppressed')).to.deep.equal([]);
    expect(Number(found.find((row) => row['state'] === 'captured')?.['mails'])).to.be.greaterThan(40);
  });
});
