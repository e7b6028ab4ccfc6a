import { expect } from 'chai';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';
import { runCommand } from '../../../src/cli/main.ts';
import { besideModule } from '../../../src/platform/child.ts';
import { makeVirtualClock, systemClock, type VirtualClock } from '../../../src/platform/clock.ts';
import { holds, platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { isWebhookDue } from '../../../src/platform/webhooks/webhooks.sql.ts';
import { at, startTestApp, type Client, type TestApp } from '../../support/app.ts';

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: unknown;
}

const HOOKS = '/api/v1/webhooks';

describe('webhooks', () => {
  const received: Received[] = [];
  let answer: (got: Received) => number = () => 204;
  let receiver: Server;
  let port = 0;
  let clock: VirtualClock;
  let test: TestApp;
  let admin: Client;

  before(async () => {
    receiver = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const text = Buffer.concat(parts).toString();
        const got: Received = { headers: request.headers, text, body: JSON.parse(text) };
        received.push(got);
        response.writeHead(answer(got)).end();
      });
    });
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const address: AddressInfo | string | null = receiver.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
    clock = makeVirtualClock(systemClock.now());
    test = await startTestApp({ clock, environment: { WEBHOOK_ALLOW: `127.0.0.1:${String(port)}` } });
    admin = await test.caller('administrator');
  });
  after(async () => {
    await test.stop();
    receiver.close();
  });
  beforeEach(async () => {
    await test.app.worker.drain();
    await run(test.app.db, sql`delete from ${platformTable(test.app.db, 'webhook_endpoint')}`);
    received.length = 0;
    answer = () => 204;
  });

  const url = (): string => `http://127.0.0.1:${String(port)}/hook`;
  const add = async (more: Readonly<Record<string, unknown>> = {}): Promise<{ readonly id: string; readonly secret: string }> => {
    const made = await admin('POST', HOOKS, { name: 'warehouse', url: url(), objects: ['Task'], permissionSets: ['recruiting'], ...more });
    expect(made.status, made.text).to.equal(201);
    return { id: String(at(made.body, 'data.id')), secret: String(at(made.body, 'data.secret')) };
  };
  const task = async (subject: string): Promise<string> => {
    const made = await admin('POST', '/api/v1/records/Task', { subject, queue: 'network' });
    expect(made.status, made.text).to.equal(201);
    return String(at(made.body, 'data.id'));
  };
  const rename = async (id: string, version: number, subject: string): Promise<void> => {
    const changed = await admin('PATCH', `/api/v1/records/Task/${id}`, { subject }, { 'if-match': `"v${String(version)}"` });
    expect(changed.status, changed.text).to.equal(200);
  };
  const later = (ms: number): void => clock.advanceTo(new Date(clock.nowMs() + ms).toISOString());
  const listed = async (id: string, query = ''): Promise<readonly unknown[]> => {
    const found = at((await admin('GET', `${HOOKS}/${id}/deliveries${query}`)).body, 'data');
    return Array.isArray(found) ? found : [];
  };
  const subjects = (): readonly unknown[] => received.map(({ body }) => at(body, 'data.after.subject'));

  it('are signed so that the library of the standard verifies them, also with the secret before', async () => {
    const { id, secret } = await add();
    const record = await task('Call Ann');
    await test.app.worker.drain();
    expect(received).to.have.length(1);
    const [first] = received;
    const headersOf = (got: Received | undefined): Record<string, string> =>
      Object.fromEntries(['id', 'timestamp', 'signature'].map((name) => [`webhook-${name}`, String(got?.headers[`webhook-${name}`])]));
    const verified = new Webhook(secret).verify(first?.text ?? '', headersOf(first));
    expect([at(verified, 'type'), at(verified, 'data.recordId'), at(verified, 'data.after.subject')]).to.deep.equal(['Task.created', record, 'Call Ann']);
    expect(() => new Webhook(secret).verify(`${first?.text ?? ''} `, headersOf(first))).to.throw('No matching signature');
    expect(first?.headers['content-type']).to.equal('application/json');

    const replaced = await admin('POST', `${HOOKS}/${id}/secret`);
    const fresh = String(at(replaced.body, 'data.secret'));
    expect(fresh)
      .to.match(/^whsec_[A-Za-z0-9+/]{43}=$/)
      .and.not.equal(secret);
    await task('Call Ben');
    await test.app.worker.drain();
    for (const key of [secret, fresh]) new Webhook(key).verify(received[1]?.text ?? '', headersOf(received[1]));
    later(25 * 60 * 60_000);
    await task('Call Cid');
    await test.app.worker.drain();
    expect(received[2]?.headers['webhook-signature']).to.match(/^v1,\S+$/);
    expect(JSON.stringify((await admin('GET', HOOKS)).body)).to.not.contain('whsec_');
    await admin('POST', `${HOOKS}/${id}/deactivate`);
    await task('Call Dan');
    await test.app.worker.drain();
    expect(received).to.have.length(3);
  });

  it('hold what the permission sets of their endpoint show, and nothing else', async () => {
    const { id } = await add({ objects: ['Application'] });
    const made = await admin('POST', '/api/v1/records/Application', {
      providerType: 'pcp',
      entityType: 'individual',
      email: 'b@practice.example',
      disclosureFelonyDetail: 'CANARY-1',
    });
    expect(made.status, made.text).to.equal(201);
    await test.app.worker.drain();
    const application = `/api/v1/records/Application/${String(at(made.body, 'data.id'))}`;
    const version = (await admin('GET', application)).headers.get('etag') ?? '';
    const count = received.length;
    expect(count).to.be.greaterThan(0);
    const changed = await admin('PATCH', application, { disclosureFelonyDetail: 'CANARY-2' }, { 'if-match': version });
    expect(changed.status, changed.text).to.equal(200);
    await test.app.worker.drain();
    expect(received.map(({ text }) => text).join(' '))
      .to.contain('b@practice.example')
      .and.not.contain('CANARY')
      .and.not.contain('disclosureFelony');
    expect(received).to.have.length(count);
    expect(at(await listed(id), '0.state')).to.equal('skipped');
  });

  it('come in the order of their record, however often one is tried, and end 72 hours later', async () => {
    const { id } = await add();
    const record = await task('one');
    await rename(record, 1, 'two');
    const other = await task('other');
    answer = ({ body }) => (at(body, 'data.after.subject') === 'one' ? 500 : 204);
    await test.app.worker.drain();
    expect(subjects(), 'what follows waits, another record does not').to.deep.equal(['one', 'other']);
    expect(received.map(({ body }) => at(body, 'data.recordId'))).to.deep.equal([record, other]);
    const began = clock.nowMs();
    for (let turn = 0; turn < 50 && (await listed(id, '?state=queued')).length > 0; turn += 1) {
      const [due] = await rows(
        test.app.db,
        sql`select min(next_attempt_at) as due from ${platformTable(test.app.db, 'webhook_delivery')} where state = 'queued' and status is not null`,
      );
      const next = Date.parse(String(due?.['due']));
      later(next - clock.nowMs());
      await test.app.worker.drain();
    }
    expect(clock.nowMs() - began).to.equal(72 * 60 * 60_000);
    const ones = received.filter(({ body }) => at(body, 'data.after.subject') === 'one');
    expect(ones).to.have.length.within(9, 14);
    expect(new Set(ones.map(({ headers }) => headers['webhook-id'])).size).to.equal(1);
    expect(subjects().at(-1)).to.equal('two');
    const dead = await listed(id, '?state=dead');
    expect(dead).to.have.length(1);
    expect(at(dead, '0.error')).to.contain('Given up after 72 hours').and.contain('500');

    answer = () => 204;
    const again = `${HOOKS}/${id}/deliveries/${String(at(dead, '0.id'))}/replay`;
    expect([(await admin('POST', again)).status, (await admin('POST', again)).status]).to.deep.equal([204, 404]);
    await test.app.worker.drain();
    expect([subjects().at(-1), received.at(-1)?.headers['webhook-id']]).to.deep.equal(['one', ones[0]?.headers['webhook-id']]);
  });

  it('are sent again from any place on, with the identifiers they had', async () => {
    const { id } = await add();
    const record = await task('first');
    for (let version = 1; version < 6; version += 1) await rename(record, version, `change ${String(version)}`);
    await test.app.worker.drain();
    expect(subjects()).to.deep.equal(['first', 'change 1', 'change 2', 'change 3', 'change 4', 'change 5']);
    const ids = received.map(({ headers }) => headers['webhook-id']);
    const from = at(received[2]?.body, 'data.seq');
    const replayed = await admin('POST', `${HOOKS}/${id}/replay`, { from });
    expect(at(replayed.body, 'data.count')).to.equal(4);
    await test.app.worker.drain();
    expect(received.slice(6).map(({ headers }) => headers['webhook-id'])).to.deep.equal(ids.slice(2));
    const late = await add({ name: 'late' });
    await admin('POST', `${HOOKS}/${late.id}/replay`, { from });
    await test.app.worker.drain();
    expect(
      received.slice(10).map(({ headers }) => headers['webhook-id']),
      'also what was before the endpoint',
    ).to.deep.equal(ids.slice(2));
    expect(await listed(late.id, `?before=${String(from)}`)).to.deep.equal([]);
  });

  it('end with an answer of 410, and leave an address alone that does not answer', async () => {
    const { id } = await add();
    await task('gone');
    answer = () => 410;
    await test.app.worker.drain();
    const shown = await admin('GET', `${HOOKS}/${id}`);
    expect([at(shown.body, 'data.active'), at(shown.body, 'data.inactiveReason')]).to.deep.equal([false, 'The address answered 410: it is gone.']);
    answer = () => 204;
    later(60_000);
    await test.app.worker.drain();
    expect(received).to.have.length(1);
    expect((await admin('POST', `${HOOKS}/${id}/activate`)).status).to.equal(204);
    await test.app.worker.drain();
    expect(received).to.have.length(2);

    const silent = await add({ name: 'silent', url: 'https://127.0.0.1:1/' }).catch(() => null);
    expect(silent, 'an address that is not public').to.equal(null);
    await run(test.app.db, sql`update ${platformTable(test.app.db, 'webhook_endpoint')} set url = ${url().replace('http:', 'https:')} where id = ${id}::uuid`);
    for (let count = 0; count < 12; count += 1) await task(`waits ${String(count)}`);
    await test.app.worker.drain();
    expect((await listed(id)).filter((delivery) => at(delivery, 'tries') === 1 && at(delivery, 'state') === 'queued')).to.have.length(5);
    expect(at((await admin('GET', `${HOOKS}/${id}`)).body, 'data.pausedUntil')).to.be.a('string');
  });

  it('are never lost, wherever a process is killed', async () => {
    for (const point of ['events.after_runs:1', 'webhook.after_claim:1', 'webhook.after_send:2']) {
      const { id } = await add({ name: point });
      received.length = 0;
      const expected = new Set<string>();
      for (let count = 0; count < 4; count += 1) {
        const record = await task(`${point} ${String(count)}`);
        await rename(record, 1, `${point} ${String(count)} changed`);
        expected.add(`${point} ${String(count)}`).add(`${point} ${String(count)} changed`);
      }
      const child = fork(
        fileURLToPath(besideModule(import.meta.url, 'drain-child')),
        [test.app.config.databaseUrl, `127.0.0.1:${String(port)}`, point, clock.now()],
        { stdio: 'inherit' },
      );
      const ended: readonly unknown[] = await once(child, 'exit');
      expect(ended[1], point).to.equal('SIGKILL');
      later(10 * 60_000);
      await test.app.worker.drain();
      expect(new Set(subjects()), point).to.deep.equal(expected);
      const states = (await listed(id)).map((delivery) => at(delivery, 'state'));
      expect(states, point).to.deep.equal(Array.from({ length: 8 }, () => 'delivered'));
      expect(await holds(test.app.db, isWebhookDue(test.app.db, clock.now()))).to.equal(false);
      expect((await admin('DELETE', `${HOOKS}/${id}`)).status).to.equal(204);
    }
  });

  it('are set up by administrators only, with everything that is wrong said at once, and by commands', async () => {
    const other = await test.caller('recruiting');
    expect([(await other('GET', HOOKS)).status, (await test.guest('GET', HOOKS)).status]).to.deep.equal([403, 401]);
    const wrong = await admin('POST', HOOKS, { name: 'x', url: 'https://10.0.0.1/', objects: ['Task', 'Nothing'], permissionSets: ['recruiting'] });
    expect([wrong.status, at(wrong.body, 'errors.0.pointer'), at(wrong.body, 'errors.1.pointer')]).to.deep.equal([422, '/url', '/objects/1']);
    const portal = await admin('POST', HOOKS, { name: 'x', url: url(), objects: ['Task'], permissionSets: ['provider'] });
    expect([portal.status, at(portal.body, 'errors.0.pointer')]).to.deep.equal([422, '/permissionSets/0']);
    const hidden = await admin('POST', HOOKS, { name: 'x', url: url(), objects: ['Application'], permissionSets: ['relations'] });
    expect([hidden.status, at(hidden.body, 'errors.0.pointer')]).to.deep.equal([422, '/objects/0']);
    expect((await admin('GET', `${HOOKS}/x`)).status).to.equal(404);

    const credenza = async (...words: readonly string[]): Promise<string> => {
      let out = '';
      const io = {
        out: (text: string) => void (out += text),
        say: (text: string) => void (out += text),
        stdin: Readable.from([]),
        isTerminal: false,
        directory: '/nowhere',
      };
      const code = await runCommand([...words], io, {
        DATABASE_URL: test.app.config.databaseUrl,
        LOG_LEVEL: 'silent',
        WEBHOOK_ALLOW: `127.0.0.1:${String(port)}`,
      });
      expect(code, out).to.equal(0);
      return out;
    };
    const added = await credenza('webhook', 'add', 'by-command', url(), '--objects', 'Task', '--sets', 'recruiting', '--kinds', 'created');
    const id = added.split('\n')[0] ?? '';
    expect(added).to.match(/^[0-9a-f-]{36}\nwhsec_\S+\n$/);
    await task('by command');
    await test.app.worker.drain();
    expect(await credenza('webhook', 'list')).to.contain('by-command');
    const seq = String(at(await listed(id), '0.seq'));
    expect(await credenza('webhook', 'deliveries', id, '--state', 'delivered')).to.contain(seq);
    expect(await credenza('webhook', 'replay', id, '--from', seq)).to.contain('1 events');
    await credenza('webhook', 'remove', id);
    const audit = await rows(test.app.db, sql`select action from ${platformTable(test.app.db, 'audit_entry')} where detail->>'webhook' = ${id} order by id`);
    expect(audit.map((row) => row['action'])).to.deep.equal(['webhook-added', 'webhook-replayed', 'webhook-removed']);
  });

  it('open no socket in a sandbox', async () => {
    const { db } = test.app;
    const { id } = await add();
    await run(db, sql`insert into ${platformTable(db, 'setting')} (key, value) values ('sandbox', 'true'::jsonb)`);
    try {
      await task('inside');
      await test.app.worker.drain();
      expect(at(await listed(id), '0.state')).to.equal('captured');
      expect(received).to.have.length(0);
    } finally {
      await run(db, sql`delete from ${platformTable(db, 'setting')} where key = 'sandbox'`);
    }
  });
});
