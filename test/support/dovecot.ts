import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import type { MailAccount } from '../../src/platform/mail/accounts.ts';

/** A real IMAP server of this test's own, with its own configuration, folders and port. */
export interface Dovecot {
  readonly port: number;
  /** An account of it; every user has the same password. */
  account(user: string, more?: Partial<MailAccount>): MailAccount;
  /** Puts a message into the inbox of a user. */
  deliver(user: string, raw: string | Buffer, at?: string): void;
  /** Subjects and flags of a folder, in the order of their arrival. */
  look(user: string, folder: string): Promise<readonly { readonly subject: string; readonly flags: readonly string[] }[]>;
  /** Has the inbox number its messages anew. */
  renumber(user: string): void;
  stop(): Promise<void>;
}

const BINARY = '/usr/sbin/dovecot';
const PASSWORD = 'onlyForTheTest';
/** Dovecot reads no mail as the super-user. */
const NOBODY = 65_534;

/** Why there is none, or null: it starts as the super-user with its own users, as Debian's package makes them. */
export function withoutDovecot(): string | null {
  if (!existsSync(BINARY)) return `${BINARY} is not installed (Debian: dovecot-imapd)`;
  return process.getuid?.() === 0 ? null : 'Dovecot is started by the super-user only';
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('There is no free port.');
  return address.port;
}

/** Starts it; `introspection` is an address that says whose a token is (it ends with `=`). */
export async function startDovecot(options: { readonly introspection?: string; readonly port?: number } = {}): Promise<Dovecot> {
  const home = mkdtempSync(join(tmpdir(), 'credenza-imap-'));
  chmodSync(home, 0o755);
  const mail = join(home, 'mail');
  mkdirSync(mail);
  chownSync(mail, NOBODY, NOBODY);
  const port = options.port ?? (await freePort());
  const tokens =
    options.introspection === undefined ? '' : `passdb {\n  driver = oauth2\n  mechanisms = oauthbearer xoauth2\n  args = ${join(home, 'oauth2.conf')}\n}\n`;
  writeFileSync(
    join(home, 'oauth2.conf'),
    `tokeninfo_url = ${options.introspection ?? ''}\nintrospection_mode = auth\nusername_attribute = email\nactive_attribute = active\nactive_value = yes\n`,
  );
  writeFileSync(
    join(home, 'dovecot.conf'),
    `base_dir = ${join(home, 'run')}
state_dir = ${join(home, 'state')}
instance_name = credenza-test
log_path = ${join(home, 'log')}
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain${tokens === '' ? '' : ' oauthbearer xoauth2'}
auth_failure_delay = 0
auth_cache_size = 0
mail_location = maildir:${mail}/%n
mail_max_userip_connections = 100
first_valid_uid = 1
default_vsz_limit = 512M
service imap-login {
  chroot =
  inet_listener imap {
    port = ${String(port)}
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = static
  mechanisms = plain
  args = password=${PASSWORD}
}
${tokens}userdb {
  driver = static
  args = uid=${String(NOBODY)} gid=${String(NOBODY)} home=${mail}/%n
}
namespace inbox {
  inbox = yes
  separator = /
}
`,
  );
  const daemon = spawn(BINARY, ['-F', '-c', join(home, 'dovecot.conf')], { stdio: 'ignore' });
  await answering(port, daemon, join(home, 'log'));
  let delivered = 0;

  const account = (user: string, more: Partial<MailAccount> = {}): MailAccount => ({
    mailbox: 'help',
    host: '127.0.0.1',
    port,
    security: 'none',
    user,
    access: { password: PASSWORD },
    ca: null,
    folder: 'INBOX',
    filedFolder: 'Filed',
    everySeconds: 60,
    ...more,
  });
  return {
    port,
    account,
    deliver(user, raw, at) {
      for (const folder of ['', 'new', 'cur', 'tmp']) {
        const path = join(mail, user, folder);
        if (existsSync(path)) continue;
        mkdirSync(path, { recursive: true });
        chownSync(path, NOBODY, NOBODY);
      }
      delivered += 1;
      const name = `${String(1_700_000_000 + delivered)}.M${String(delivered)}.test`;
      const temporary = join(mail, user, 'tmp', name);
      writeFileSync(temporary, raw);
      chownSync(temporary, NOBODY, NOBODY);
      if (at !== undefined) utimesSync(temporary, new Date(at), new Date(at));
      renameSync(temporary, join(mail, user, 'new', name));
    },
    async look(user, folder) {
      const client = new ImapFlow({ host: '127.0.0.1', port, secure: false, doSTARTTLS: false, auth: { user, pass: PASSWORD }, logger: false });
      await client.connect();
      try {
        await client.mailboxOpen(folder, { readOnly: true });
        const found = await client.fetchAll('1:*', { uid: true, envelope: true, flags: true });
        return found.map((message) => ({ subject: message.envelope?.subject ?? '', flags: [...(message.flags ?? [])].sort() }));
      } finally {
        await client.logout();
      }
    },
    renumber(user) {
      const list = join(mail, user, 'dovecot-uidlist');
      const [head = '', ...lines] = readFileSync(list, 'utf8').split('\n');
      const renamed = head.replace(/ V(\d+)/, (_whole, validity: string) => ` V${String(Number(validity) + 1)}`);
      writeFileSync(list, [renamed, ...lines].join('\n'));
      for (const name of readdirSync(join(mail, user))) if (name.startsWith('dovecot.index')) rmSync(join(mail, user, name));
    },
    async stop() {
      if (daemon.exitCode === null) {
        daemon.kill('SIGTERM');
        await once(daemon, 'exit');
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Waits until it takes connections. */
async function answering(port: number, daemon: ChildProcess, log: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (daemon.exitCode !== null) throw new Error(`Dovecot ended: ${existsSync(log) ? readFileSync(log, 'utf8') : 'it wrote no log'}`);
    const client = new ImapFlow({ host: '127.0.0.1', port, secure: false, doSTARTTLS: false, auth: { user: 'nobody', pass: PASSWORD }, logger: false });
    try {
      await client.connect();
      await client.logout();
      return;
    } catch (error) {
      client.close();
      if (!(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')) throw error;
      await delay(25);
    }
  }
  throw new Error('Dovecot takes no connections.');
}
