import { Readable } from 'node:stream';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { COMMANDS, runCommand } from '../../src/cli/main.ts';
import { rows, run, sql } from '../../src/platform/sql.ts';
import { makeShippedDatabase, type TestDatabase } from '../support/database.ts';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

describe('the credenza command', () => {
  let database: TestDatabase;
  let directory: string;
  before(async () => {
    database = await makeShippedDatabase();
    directory = mkdtempSync(join(tmpdir(), 'credenza-cli-'));
  });
  after(async () => {
    await database.drop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function credenza(
    words: readonly string[],
    options: { readonly stdin?: string; readonly environment?: Readonly<Record<string, string>> } = {},
  ): Promise<Outcome> {
    let out = '';
    let said = '';
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += `${text}\n`),
      stdin: Readable.from([Buffer.from(options.stdin ?? '')]),
      isTerminal: false,
      directory,
    };
    const code = await runCommand(words, io, { DATABASE_URL: database.url, ...options.environment });
    return { code, out, said };
  }

  it('lists its commands, and explains each with an example of itself first', async () => {
    const all = await credenza(['--help']);
    expect(all.code).to.equal(0);
    for (const command of COMMANDS) {
      expect(all.out).to.include(command.name);
      const help = await credenza([...command.name.split(' '), '--help']);
      expect([help.code, help.said]).to.deep.equal([0, '']);
      expect(help.out.split('\n')[0]?.trim()).to.match(new RegExp(`^npx credenza ${command.name}`));
    }
  });

  it('compares roll-ups with what they are made of', async () => {
    const answer = await credenza(['rollups', 'check', '--json']);
    expect(answer.code).to.equal(0);
    const found: unknown = JSON.parse(answer.out);
    expect(Array.isArray(found) && found.every((entry: { drifted: number }) => entry.drifted === 0)).to.equal(true);
  });

  it('says before it imports anything that the error file cannot be written', async () => {
    writeFileSync(join(directory, 'some.csv'), 'name,code,type,lineOfBusiness\nNorth,NORTH,hmo,commercial\n');
    const answer = await credenza(['import', 'Network', 'some.csv', '--errors', 'no-such-folder/errors.csv']);
    expect(answer).to.include({ code: 2, out: '' });
    expect(answer.said).to.match(/--errors no-such-folder\/errors\.csv cannot be written/);
    expect(await rows(database.db, sql`select 1 from credenza.import_job`)).to.have.length(0);
  });

  it('answers wrong use with 2 and what was probably meant', async () => {
    expect(await credenza(['lst']))
      .to.include({ code: 2 })
      .and.have.property('said')
      .that.matches(/Did you mean 'list'/);
    expect(await credenza(['metadata']))
      .to.include({ code: 2 })
      .and.have.property('said')
      .that.matches(/metadata check, metadata plan/);
    expect(await credenza(['list', 'Provider', '--filtr', 'x']))
      .to.include({ code: 2 })
      .and.have.property('said')
      .that.matches(/Did you mean 'filter'/);
    expect(await credenza(['list', 'Provder']))
      .to.include({ code: 2 })
      .and.have.property('said')
      .that.matches(/Did you mean 'Provider'/);
    expect(await credenza(['get', 'Provider'])).to.include({ code: 2 });
    expect(await credenza(['config', 'extra'])).to.include({ code: 2 });
  });

  it('answers a failure with 1 and one clear line', async () => {
    const wrong = await credenza(['list', 'Provider', '--filter', 'nope == 1']);
    expect([wrong.code, wrong.out]).to.deep.equal([1, '']);
    expect(wrong.said).to.match(/nope/);
    const nowhere = await credenza(['list', 'Provider'], { environment: { DATABASE_URL: 'postgres://x@127.0.0.1:1/none' } });
    expect(nowhere.code).to.equal(1);
    expect(nowhere.said).to.match(/ECONNREFUSED/);
    const config = await credenza(['config'], { environment: { PORT: 'x', HOST: 'y', DATABASE_POOL: '0' } });
    expect(config.code).to.equal(1);
    expect(config.said).to.match(/PORT must be.*DATABASE_POOL must be/s);
  });

  it('shows every setting with its source and no secret', async () => {
    const shown = await credenza(['config', '--json'], { environment: { SMTP_URL: 'smtp://u:secret@host:25' } });
    expect(shown.out).to.not.include('secret');
    expect(JSON.parse(shown.out)).to.deep.include({ name: 'PORT', value: '3000', source: 'default', help: 'Port of the web server; 0 takes any free one.' });
  });

  it('adds accounts with a password from standard input, or with an invitation, and makes tokens', async () => {
    const added = await credenza(['user', 'add', 'Cli@plan.example', '--name', 'Cli', '--permissions', 'administrator', '--password-stdin', '--json'], {
      stdin: 'correct horse battery\n',
    });
    expect(added.code, added.said).to.equal(0);
    expect(JSON.parse(added.out)).to.include({ email: 'cli@plan.example', invitation: null });
    const invited = await credenza(['user', 'add', 'new@plan.example', '--name', 'New']);
    expect(invited.out).to.match(/\/invitation\/[\w-]{43}/);
    const token = await credenza(['token', 'create', '--user', 'cli@plan.example', '--json']);
    expect(String(Object(JSON.parse(token.out)).token)).to.match(/^crz_[\w-]{43}$/);
    expect((await credenza(['token', 'create', '--user', 'nobody@plan.example'])).code).to.equal(1);
    expect((await credenza(['user', 'add', 'x@plan.example', '--name', 'X', '--permissions', 'nope'])).said).to.match(/no permission set 'nope'/);
  });

  it('imports, lists, gets, sets and exports records', async () => {
    writeFileSync(join(directory, 'networks.csv'), 'name,code,type,lineOfBusiness\nGold,GOLD,hmo,medicaid\nBad,BAD,nope,medicaid\n');
    const dry = await credenza(['import', 'Network', 'networks.csv', '--dry-run', '--json']);
    expect(JSON.parse(dry.out), dry.said).to.deep.equal({ read: 2, created: 1, updated: 0, unchanged: 0, rejected: 1 });
    const imported = await credenza(['import', 'Network', 'networks.csv', '--errors', 'rejected.csv', '--json']);
    expect([imported.code, JSON.parse(imported.out)]).to.deep.equal([0, { read: 2, created: 1, updated: 0, unchanged: 0, rejected: 1 }]);
    expect(readFileSync(join(directory, 'rejected.csv'), 'utf8')).to.match(
      /^import:line,import:column,import:reason,name,code,type,lineOfBusiness\r\n3,type,.*,Bad,BAD,nope,medicaid\r\n$/,
    );
    const listed = await credenza(['list', 'Network', '--filter', "code == 'GOLD'", '--fields', 'name', '--json']);
    const id = String(Object(JSON.parse(listed.out)).data[0].id);
    expect((await credenza(['list', 'Network'])).out).to.match(/Gold/);
    expect((await credenza(['set', 'Network', id, 'name=Golden', '--dry-run'])).code).to.equal(0);
    expect(JSON.parse((await credenza(['get', 'Network', id, '--json'])).out)).to.include({ name: 'Gold', version: 1 });
    expect((await credenza(['set', 'Network', id, 'name==1+1'])).out).to.match(/version 2/);
    expect(await credenza(['get', 'Network', id, '--recorded-at', '2001-01-01'])).to.include({ code: 1, out: '' });
    expect((await credenza(['get', 'Network', id, '--as-of', '2999-01-01', '--fields', 'name'])).out).to.include('name: =1+1');
    expect((await credenza(['list', 'Network', '--effective-on', 'today'])).said).to.match(/"effectiveOn" is a day/);
    expect(await credenza(['export', 'Network', '--effective-on', '2026-02-30'])).to.include({ code: 1, out: '' });
    expect((await credenza(['export', 'Network', '--effective-on', '2026-02-28', '--fields', 'code'])).out).to.equal('code\r\nGOLD\r\n');
    expect(await credenza(['succeed', 'Network', id, 'name=x', '--dry-run'])).to.include({ code: 1 });
    expect((await credenza(['export', 'Network', '--fields', 'code,name'])).out).to.equal("code,name\r\nGOLD,'=1+1\r\n");
    expect((await credenza(['export', 'Network', '--fields', 'code,name', '--format', 'ndjson'])).out).to.equal('{"code":"GOLD","name":"=1+1"}\n');
    expect((await credenza(['get', 'Network', 'nope'])).code).to.equal(1);
    expect((await credenza(['import', 'Network', 'missing.csv'])).said).to.match(/no file missing.csv/);
    writeFileSync(join(directory, 'rejected.csv'), readFileSync(join(directory, 'rejected.csv'), 'utf8').replace('nope', 'ppo'));
    const mended = await credenza(['import', 'Network', 'rejected.csv', '--json']);
    expect(JSON.parse(mended.out), mended.said).to.deep.equal({ read: 1, created: 1, updated: 0, unchanged: 0, rejected: 0 });
    expect((await credenza(['export', 'Network', '--format', 'xlsx'])).said).to.match(/--out FILE/);
    expect((await credenza(['export', 'Network', '--format', 'xlsx', '--fields', 'name,code,type', '--out', 'networks.xlsx'])).code).to.equal(0);
    const back = await credenza(['import', 'Network', 'networks.xlsx', '--existing', 'skip', '--json']);
    expect(JSON.parse(back.out), back.said).to.deep.equal({ read: 2, created: 0, updated: 0, unchanged: 0, rejected: 0, skipped: 2 });
    const jobs = await credenza(['import', 'list', '--json']);
    const [, mend] = JSON.parse(jobs.out)
      .filter((job: { readonly state: string }) => job.state === 'done')
      .reverse();
    const undone = await credenza(['import', 'undo', String(Object(mend).id), '--json']);
    expect(Object(JSON.parse(undone.out)).undone, undone.said).to.deep.equal({ removed: 1, restored: 0, kept: 0 });
  });

  it('evaluates expressions with value, type and SQL', async () => {
    const shown = await credenza(['eval', "addBusinessDays(date('2026-11-25'), 4, 'federal')", '--json', '--sql']);
    expect(JSON.parse(shown.out), shown.said).to.include({ value: '2026-12-02', type: 'date' });
    expect(Object(JSON.parse(shown.out)).sql).to.be.a('string');
    const wrong = await credenza(['eval', '1 +']);
    expect(wrong.code).to.equal(1);
  });

  it('plans and applies a package, writes types, and finds nothing to do the second time', async () => {
    expect((await credenza(['metadata', 'check'])).out).to.match(/in order/);
    const before = await credenza(['metadata', 'plan', '--json']);
    expect(Object(JSON.parse(before.out)).steps).to.deep.equal([]);
    const types = await credenza(['types']);
    expect(types.out).to.match(/export interface Provider \{/);
    expect(JSON.parse((await credenza(['migrate', '--json'])).out)).to.deep.equal({ applied: [] });
    expect((await credenza(['metadata', 'plan', 'no-such-directory'])).said).to.match(/no-such-directory does not exist/);
  });

  it('writes a client and a document of what a permission set may call', async () => {
    const client = await credenza(['client', '--permissions', 'recruiting', '--out', 'client.ts']);
    expect([client.code, client.out, client.said]).to.deep.equal([0, '', '']);
    const source = readFileSync(join(directory, 'client.ts'), 'utf8');
    expect(source)
      .to.match(/createLead\(options: \{/)
      .and.not.match(/listAccounts|disclosureFelony/);
    const document: unknown = JSON.parse((await credenza(['openapi'])).out);
    expect(Object(document)).to.include({ openapi: '3.1.0' });
    expect(JSON.stringify(document)).to.match(/listAccounts/);
    const unknown = await credenza(['client', '--permissions', 'recruting']);
    expect([unknown.code, unknown.out]).to.deep.equal([2, '']);
    expect(unknown.said).to.match(/no permission set "recruting".*recruiting/);
  });

  it('copies the database into a sandbox that knows what it is, lets time run there only, and drops it', async () => {
    const made = await credenza(['sandbox', 'create', 'trial', '--json']);
    expect(JSON.parse(made.out), made.said).to.deep.equal({ name: 'trial', schema: 'credenza_sandbox_trial' });
    const inside = { DATABASE_SCHEMA: 'credenza_sandbox_trial' };
    const [original, copy] = await Promise.all([credenza(['list', 'Network', '--json']), credenza(['list', 'Network', '--json'], { environment: inside })]);
    expect(copy.out).to.equal(original.out);
    expect(Object(JSON.parse((await credenza(['metadata', 'plan', '--json'], { environment: inside })).out)).steps).to.deep.equal([]);
    // What must not be null has a name of PostgreSQL's own choice (from 18 on), which nothing goes by.
    const keys = (schema: string): Promise<readonly Record<string, unknown>[]> =>
      rows(
        database.db,
        sql`select c.relname, case k.contype when 'n' then '' else k.conname end as conname, replace(pg_get_constraintdef(k.oid), ${`${schema}.`}, '') as d from pg_constraint k join pg_class c on c.oid = k.conrelid
            join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and k.conparentid = 0 order by 1, 2, 3`,
      );
    expect(await keys('credenza_sandbox_trial')).to.deep.equal(await keys('credenza'));
    const future = new Date(Date.now() + 3_600_000).toISOString();
    expect((await credenza(['run-due', '--at', future])).said).to.match(/only in a sandbox|ahead only/);
    expect((await credenza(['run-due', '--at', future, '--json'], { environment: inside })).code).to.equal(0);
    expect((await credenza(['sandbox', 'create', 'trial'])).said).to.match(/exists already/);
    expect((await credenza(['sandbox', 'list'])).out).to.match(/trial/);
    expect((await credenza(['sandbox', 'drop', 'trial'])).code).to.equal(0);
    expect((await credenza(['sandbox', 'drop', 'trial'])).code).to.equal(1);
    await run(database.db, sql`create schema credenza_sandbox_other`);
    expect((await credenza(['sandbox', 'drop', 'other'])).code).to.equal(1);
  });

  it('simulates on a copy that it removes, and the same seed gives the same log', async () => {
    const words = ['simulate', '--from', '2027-03-01', '--to', '2027-03-02', '--seed', '7', '--json'];
    const first = Object(JSON.parse((await credenza(words)).out));
    const second = Object(JSON.parse((await credenza(words)).out));
    expect(first.hash)
      .to.match(/^[0-9a-f]{64}$/)
      .and.equal(second.hash);
    expect(await rows(database.db, sql`select nspname from pg_namespace where starts_with(nspname, 'credenza_sandbox_sim')`)).to.deep.equal([]);
  });
});
