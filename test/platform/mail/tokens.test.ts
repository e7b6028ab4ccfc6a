import { expect } from 'chai';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeVirtualClock, type VirtualClock } from '../../../src/platform/clock.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { readMailAccounts, type MailAccount, type TokenAccess } from '../../../src/platform/mail/accounts.ts';
import { makeMailFetcher, type MailFetcher } from '../../../src/platform/mail/fetch.ts';
import { makeTokenSource } from '../../../src/platform/mail/tokens.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { startDovecot, withoutDovecot, type Dovecot } from '../../support/dovecot.ts';
import { inboundOf, makeDesk, START, type Desk } from './fixtures/desk.ts';

/** An issuer of tokens: gives them at `/token`, and says at `/whose?token=` whose a token is. */
interface Issuer {
  readonly tokenUrl: string;
  readonly introspection: string;
  /** What it was asked for a token with, in order. */
  readonly asked: Readonly<Record<string, string>>[];
  readonly good: Set<string>;
  /** Answers the next question for a token in its own way. */
  next: ((response: ServerResponse) => void) | null;
  expiresIn: number | null;
  user: string;
  close(): Promise<void>;
}

async function makeIssuer(): Promise<Issuer> {
  const asked: Record<string, string>[] = [];
  const good = new Set<string>();
  const json = (response: ServerResponse, status: number, body: unknown): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/whose') {
      const token = url.searchParams.get('token') ?? '';
      return good.has(token) ? json(response, 200, { email: issuer.user, active: 'yes' }) : json(response, 401, { error: 'invalid_token' });
    }
    let body = '';
    for await (const chunk of request) body += String(chunk);
    asked.push(Object.fromEntries(new URLSearchParams(body)));
    if (issuer.next !== null) {
      const answer = issuer.next;
      issuer.next = null;
      return answer(response);
    }
    const token = `token-${String(asked.length)}`;
    good.add(token);
    const refresh = new URLSearchParams(body).get('grant_type') === 'refresh_token' ? { refresh_token: `refresh-${String(asked.length)}` } : {};
    return json(response, 200, {
      access_token: token,
      token_type: 'Bearer',
      ...(issuer.expiresIn === null ? {} : { expires_in: issuer.expiresIn }),
      ...refresh,
    });
  };
  const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const base = `http://127.0.0.1:${String(typeof address === 'object' && address !== null ? address.port : 0)}`;
  const issuer: Issuer = {
    tokenUrl: `${base}/token`,
    introspection: `${base}/whose?token=`,
    asked,
    good,
    next: null,
    expiresIn: 3600,
    user: '',
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return issuer;
}

describe('access tokens of mail accounts', () => {
  let issuer: Issuer;
  let clock: VirtualClock;
  const access = (more: Partial<TokenAccess> = {}): TokenAccess => ({
    tokenUrl: issuer.tokenUrl,
    clientId: 'credenza',
    clientSecret: 'the secret',
    refreshToken: null,
    scope: 'https://mail.example/.default',
    ...more,
  });
  const laterBy = (seconds: number): void => clock.advanceTo(new Date(clock.nowMs() + seconds * 1000).toISOString());
  const refusal = async (work: Promise<unknown>): Promise<AppError> =>
    work.then(
      () => {
        throw new Error('It was not refused.');
      },
      (error: unknown) => {
        if (error instanceof AppError) return error;
        throw error;
      },
    );

  beforeEach(async () => {
    issuer = await makeIssuer();
    clock = makeVirtualClock(START);
  });
  afterEach(() => issuer.close());

  it('are asked for with the credentials of the client, kept, and renewed a minute before they end', async () => {
    const source = makeTokenSource({ clock, access: access() });
    expect(await Promise.all([source.token(), source.token(), source.token()])).to.deep.equal(['token-1', 'token-1', 'token-1']);
    expect(issuer.asked).to.deep.equal([
      { grant_type: 'client_credentials', client_id: 'credenza', client_secret: 'the secret', scope: 'https://mail.example/.default' },
    ]);
    laterBy(3539);
    expect(await source.token()).to.equal('token-1');
    laterBy(1);
    expect(await source.token()).to.equal('token-2');
    source.refuse('token-1');
    expect(await source.token(), 'an old one was refused').to.equal('token-2');
    source.refuse('token-2');
    expect(await source.token()).to.equal('token-3');
  });

  it('are got with a refresh token, and the next with the one that came with them', async () => {
    issuer.expiresIn = null;
    const source = makeTokenSource({ clock, access: access({ refreshToken: 'refresh-0', clientSecret: null, scope: null }) });
    await source.token();
    laterBy(539);
    expect(await source.token(), 'ten minutes where nothing is said').to.equal('token-1');
    laterBy(1);
    await source.token();
    expect(issuer.asked).to.deep.equal([
      { grant_type: 'refresh_token', client_id: 'credenza', refresh_token: 'refresh-0' },
      { grant_type: 'refresh_token', client_id: 'credenza', refresh_token: 'refresh-1' },
    ]);
  });

  it('that cannot be had are an error without secrets, and are asked for again', async () => {
    const source = makeTokenSource({ clock, access: access() });
    const answers: readonly (readonly [number, string, RegExp])[] = [
      [400, '{"error":"invalid_client","error_description":"the secret is wrong"}', /400 \(invalid_client\)\.$/],
      [500, 'the secret', /did not answer with JSON/],
      [200, '{"access_token":"a\\u0001b","token_type":"Bearer"}', /no bearer token/],
      [200, '{"access_token":"abc","token_type":"mac"}', /no bearer token/],
      [200, '[]', /no bearer token/],
      [307, '', /does not answer|JSON/],
    ];
    for (const [status, body, expected] of answers) {
      issuer.next = (response) => void response.writeHead(status, { location: 'http://127.0.0.1:9/' }).end(body);
      const error = await refusal(source.token());
      expect(error.code).to.equal('external_unavailable');
      expect(error.message).to.match(expected).and.not.to.contain('the secret');
    }
    expect(await source.token()).to.equal(`token-${String(answers.length + 1)}`);
  });

  describe('at a real server (OAUTHBEARER)', () => {
    let desk: Desk;
    let server: Dovecot;
    let inbound: ReturnType<typeof inboundOf>;
    let users = 0;

    before(async function () {
      const without = withoutDovecot();
      if (without !== null) {
        process.stdout.write(`      Without a real IMAP server this is not tested: ${without}.\n`);
        this.skip();
      }
      desk = await makeDesk();
      inbound = inboundOf(desk);
    });
    after(async () => {
      if (withoutDovecot() !== null) return;
      await inbound.close();
      await desk.drop();
    });
    beforeEach(async () => {
      server = await startDovecot({ introspection: issuer.introspection });
      await desk.db.raw('truncate credenza.mail_fetch');
    });
    afterEach(() => server.stop());

    const fetched = async (): Promise<number> =>
      Number((await rows(desk.db, sql`select count(*)::int as n from credenza.inbound_mail where mailbox = 'help'`))[0]?.['n']);
    const setUp = (): { readonly user: string; readonly account: MailAccount; readonly fetcher: MailFetcher } => {
      const user = `token-user${String((users += 1))}`;
      issuer.user = user;
      const account = server.account(user, { access: access() });
      return { user, account, fetcher: makeMailFetcher({ db: desk.db, clock: desk.clock, log: desk.log, accounts: [account], inbound }) };
    };
    const later = (): void => desk.clock.advanceTo(new Date(desk.clock.nowMs() + 120_000).toISOString());
    const mail = (id: string): string => `From: ann@practice.example\r\nSubject: ${id}\r\nMessage-ID: <${id}@practice.example>\r\n\r\nText`;

    it('one token serves many fetches; one that the server refuses is asked for anew, once', async () => {
      const { user, fetcher } = setUp();
      const before = await fetched();
      server.deliver(user, mail(`${user}-1`));
      await fetcher.fetchDue();
      later();
      server.deliver(user, mail(`${user}-2`));
      await fetcher.fetchDue();
      expect([(await fetched()) - before, issuer.asked.length]).to.deep.equal([2, 1]);

      issuer.good.clear();
      later();
      server.deliver(user, mail(`${user}-3`));
      await fetcher.fetchDue();
      expect([(await fetched()) - before, issuer.asked.length], 'revoked').to.deep.equal([3, 2]);
    });

    it('a server that refuses every token is left alone after the second', async () => {
      const { fetcher } = setUp();
      issuer.user = 'somebody-else';
      await fetcher.fetchDue();
      expect(issuer.asked).to.have.length(2);
      const [state] = await rows(desk.db, sql`select failures, failure from credenza.mail_fetch`);
      expect(state).to.deep.equal({ failures: 1, failure: 'refused: The server refused the account.' });
      expect(desk.logged().join('')).not.to.match(/token-\d|the secret/);
    });
  });
});

describe('the file of mail accounts', () => {
  let home: string;
  const read = (content: unknown, environment: Record<string, string> = {}): readonly MailAccount[] => {
    const file = join(home, 'accounts.json');
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return readMailAccounts(file, environment);
  };
  const refused = (content: unknown): readonly string[] => {
    try {
      read(content);
    } catch (error) {
      if (error instanceof AppError && error.code === 'config_invalid') return error.errors.map(({ pointer, code }) => `${pointer} ${code}`);
      throw error;
    }
    throw new Error('It was not refused.');
  };

  before(() => {
    home = mkdtempSync(join(tmpdir(), 'credenza-accounts-'));
    writeFileSync(join(home, 'password.txt'), 'from a file\n');
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  it('takes secrets from the file, from files beside it and from the environment', () => {
    const accounts = read(
      [
        { mailbox: 'help', host: 'imap.example', user: 'help', password: { file: 'password.txt' } },
        { bounces: true, host: 'imap.example', user: 'bounces', security: 'starttls', password: 'plain', filedFolder: null, everySeconds: 300 },
        {
          mailbox: 'other',
          host: 'outlook.example',
          user: 'other@plan.example',
          oauth: { tokenUrl: 'https://login.example/token', clientId: 'c', clientSecret: { env: 'SECRET' } },
        },
      ],
      { SECRET: 'from outside' },
    );
    expect(
      accounts.map(({ mailbox, port, security, access, filedFolder, everySeconds }) => ({ mailbox, port, security, access, filedFolder, everySeconds })),
    ).to.deep.equal([
      { mailbox: 'help', port: 993, security: 'tls', access: { password: 'from a file' }, filedFolder: 'Filed', everySeconds: 60 },
      { mailbox: null, port: 143, security: 'starttls', access: { password: 'plain' }, filedFolder: null, everySeconds: 300 },
      {
        mailbox: 'other',
        port: 993,
        security: 'tls',
        access: { tokenUrl: 'https://login.example/token', clientId: 'c', clientSecret: 'from outside', refreshToken: null, scope: null },
        filedFolder: 'Filed',
        everySeconds: 60,
      },
    ]);
  });

  it('is refused with every finding, and never quoted', () => {
    const good = { mailbox: 'help', host: 'h', user: 'u', password: 'p' };
    expect(refused('{"password": "hunter2"')).to.deep.equal([' not_json']);
    expect(refused([{ ...good, secret: 1 }])).to.deep.equal(['/0 additionalProperties']);
    expect(refused([good, good])).to.deep.equal([' duplicate']);
    expect(refused([{ ...good, security: 'none' }])).to.deep.equal(['/0/security invalid']);
    expect(
      refused([
        { ...good, bounces: true },
        { host: 'h', user: 'u', bounces: true },
      ]),
    ).to.deep.equal(['/0 invalid', '/1 invalid']);
    expect(refused([{ ...good, password: { file: 'gone' } }])).to.deep.equal(['/0/password unreadable']);
    expect(refused([{ ...good, password: { env: 'GONE' } }])).to.deep.equal(['/0/password missing']);
    const oauth = { tokenUrl: 'http://login.example/token', clientId: 'c' };
    expect(refused([{ mailbox: 'help', host: 'h', user: 'u', oauth }])).to.deep.equal(['/0/oauth/tokenUrl invalid']);
  });
});
