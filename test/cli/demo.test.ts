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
    // The demo ends today, so how many stand at a stage depends on the week; that somebody stands at each does not.
    expect(await states('Application')).to.include.keys('approved', 'draft', 'returned', 'in-review', 'submitted');
    expect(await states('Contract')).to.include.keys('executed', 'drafting', 'sent', 'provider-signed');
    expect(await states('Provider')).to.include.keys('active', 'credentialed');
    expect(await states('Visit')).to.include.keys('planned', 'held', 'reported');
    expect(await states('CampaignMember')).to.include.keys('sent', 'responded', 'converted', 'bounced', 'unsubscribed', 'no-answer');
    expect(await states('Case')).to.include.keys('closed', 'answered', 'open');
  });

  it('writes no more to an address that bounced and to whoever unsubscribed, in each campaign', async () => {
    const found = await rows(database.db, sql`select reason, count(*)::int as n from credenza_sandbox_demo.mail_suppression group by reason order by reason`);
    expect(found).to.deep.equal([
      { reason: 'bounce', n: 4 },
      { reason: 'unsubscribe', n: 4 },
    ]);
    const [bounced] = await rows(database.db, sql`select count(*)::int as n from credenza_sandbox_demo.mail_delivery where state = 'bounced'`);
    expect(bounced?.['n']).to.equal(4);
    expect(await states('CampaignMember')).to.include({ bounced: 4, unsubscribed: 4 });
  });

  it('lets no mail leave', async () => {
    const found = await rows(database.db, sql`select state, count(*)::int as mails from credenza_sandbox_demo.mail_delivery group by state`);
    expect(['captured', 'bounced', 'suppressed']).to.include.members(found.map((row) => row['state']));
    expect(Number(found.find((row) => row['state'] === 'captured')?.['mails'])).to.be.greaterThan(40);
  });
});
