import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import { loadConfig } from '../../../src/config.ts';
import { makeApp, type App } from '../../../src/main.ts';
import { syntheticNppes } from '../../../src/network/synthetic/nppes-file.ts';
import { runDue } from '../../../src/platform/automation/run-due.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import type { ImportResult } from '../../../src/platform/import/import.ts';
import { makeShippedDatabase } from '../../support/database.ts';
import { makeSmtpSink, type SinkMessage, type SinkRule, type SmtpSink } from '../../support/smtp-sink.ts';
import { callApi, makeStaff, staffOf, type Json, type Staff } from './staff.ts';

const PASSWORD = 'a long password for the story';

/** The teams of R004-17, each with a person of its own. */
export interface Teams {
  readonly administrator: Staff;
  readonly recruiting: Staff;
  readonly credentialing: Staff;
  readonly contracting: Staff;
  readonly network: Staff;
  readonly relations: Staff;
  readonly advocate: Staff;
}

/** The running product with a clock that is moved by hand, a mail server that keeps what it gets, and the plan's people. */
export interface World {
  readonly app: App;
  readonly url: string;
  readonly sink: SmtpSink;
  readonly teams: Teams;
  /** Addresses that the mail server refuses with 550. */
  readonly refused: Set<string>;
  /** What else the mail server does with a recipient. */
  readonly mailRules: Map<string, SinkRule>;
  /** Lets time pass up to an instant and does everything that falls due, in order. */
  until(instant: string): Promise<void>;
  /** As `until`, without work in between: the server was down, or nothing of interest happened. */
  sleepUntil(instant: string): Promise<void>;
  /** Does what is due now. */
  settle(): Promise<void>;
  /** The mails since the last call, in order of recipient and subject. */
  mails(): readonly SinkMessage[];
  importFile(object: string, map: string | null, content: Iterable<string>): Promise<ImportResult>;
  /** Sends a message to the plan's mailbox over SMTP. */
  write(mail: {
    readonly from: string;
    readonly to: string;
    readonly subject: string;
    readonly text: string;
    readonly headers?: Record<string, string>;
  }): Promise<void>;
  close(): Promise<void>;
}

export function addresses(mails: readonly SinkMessage[]): readonly string[] {
  return mails.map((mail) => `${mail.to.join(',')}: ${mail.parsed.subject ?? ''}`);
}

/** What a mail says in plain text, white space folded. */
export function wordsOf(mail: SinkMessage | undefined): string {
  return (mail?.parsed.text ?? '').replace(/\s+/g, ' ');
}

/** The address behind the button of a mail. */
export function linkIn(mail: SinkMessage | undefined): string {
  const found = /href="([^"]*\/portal\/start\/[^"]*)"/.exec(typeof mail?.parsed.html === 'string' ? mail.parsed.html : '')?.[1];
  if (found === undefined) throw new Error(`The mail holds no personal link: ${mail?.parsed.subject ?? 'no mail'}`);
  return found;
}

/** Invented providers in the layout of NPPES. */
export function nppesRows(rows: number): Iterable<string> {
  return syntheticNppes({ rows, random: seededRandom(20_260_302) });
}

/** Opens the world at an instant: shipped metadata, everybody invited and signed in, the web server and the inbound listener up. */
export async function makeWorld(start: string): Promise<World> {
  const database = await makeShippedDatabase();
  const refused = new Set<string>();
  const mailRules = new Map<string, SinkRule>();
  const sink = await makeSmtpSink({ rules: (recipient) => (refused.has(recipient) ? 550 : (mailRules.get(recipient) ?? 'accept')) });
  const clock = makeVirtualClock(start);
  const config = loadConfig({ PORT: '0', SMTP_URL: sink.url, LOG_LEVEL: 'silent', WORKER: 'false' }, import.meta.dirname);
  const app = makeApp({ ...config, databaseUrl: database.url }, { clock, db: database.db, random: seededRandom(4) });
  const { url } = await app.start({ web: true, work: false });
  if (url === null) throw new Error('The web server did not start.');
  const { port } = await app.inbound.listen(0, '127.0.0.1');
  let seen = 0;
  const settle = async (): Promise<void> => {
    await app.worker.drain();
  };
  return {
    app,
    url,
    sink,
    refused,
    mailRules,
    teams: await makeTeams(app, url),
    settle,
    sleepUntil: async (instant) => {
      clock.advanceTo(new Date(instant).toISOString());
      await settle();
    },
    until: async (instant) => {
      await runDue({ db: app.db, clock, worker: app.worker, until: new Date(instant).toISOString() });
    },
    mails: () => {
      const fresh = sink.messages.slice(seen);
      seen = sink.messages.length;
      return fresh.sort((left, right) => (`${left.to.join()} ${left.parsed.subject ?? ''}` < `${right.to.join()} ${right.parsed.subject ?? ''}` ? -1 : 1));
    },
    importFile: async (object, map, content) => {
      const context = await app.contextFor({ kind: 'system', name: 'import' }, { kind: 'command', name: 'import' });
      return app.importer.run(app.db, context, { object, map, fileName: 'story.csv', content: Readable.from(content) });
    },
    write: async (mail) => {
      const transport = createTransport({ host: '127.0.0.1', port, secure: false, ignoreTLS: true });
      try {
        await transport.sendMail(mail);
      } finally {
        transport.close();
      }
    },
    close: async () => {
      await app.stop();
      await sink.close();
      await database.drop();
    },
  };
}

async function makeTeams(app: App, url: string): Promise<Teams> {
  const link = await app.firstAdministratorLink();
  const secret = link?.split('/').at(-1) ?? '';
  const first = await callApi(url, 'POST', '/invitations/accept', { secret, password: PASSWORD, name: 'Alma Administrator' }, {});
  const administrator = await staffOf(url, first);
  const member = async (name: string, set: string): Promise<Staff> => {
    const email = `${set}@plan.example`;
    const added: { readonly status: number; readonly body: Json } = await administrator.call('POST', '/users', {
      email,
      name,
      permissionSets: [set],
      password: PASSWORD,
    });
    if (added.status !== 201) throw new Error(`${name} cannot be added: ${JSON.stringify(added.body)}`);
    return makeStaff(url, { email, password: PASSWORD });
  };
  return {
    administrator,
    recruiting: await member('Rita Recruiting', 'recruiting'),
    credentialing: await member('Carl Credentialing', 'credentialing'),
    contracting: await member('Cora Contracting', 'contracting'),
    network: await member('Nina Network', 'network'),
    relations: await member('Rosa Relations', 'relations'),
    advocate: await member('Adam Advocate', 'advocate'),
  };
}
