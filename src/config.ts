import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import type { PlainDate } from './platform/clock.ts';
import { parseDate } from './platform/expression/dates.ts';
import { AppError, isAppError, type ErrorDetail } from './platform/errors.ts';
import { readMailAccounts, type MailAccount } from './platform/mail/accounts.ts';
import { readDkimKey, type DkimKey } from './platform/mail/dkim.ts';
import { parseSender } from './platform/mail/address.ts';
import { allowedAddressComplaint } from './platform/outgoing.ts';

interface Setting {
  readonly name: string;
  readonly fallback: string;
  readonly help: string;
  /** Answers a complaint, or null when the value is good. */
  readonly check?: (value: string) => string | null;
  readonly secret?: boolean;
}

const isPort = (value: string): string | null => (/^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? null : 'must be a port number from 0 to 65535');
const isCount = (value: string): string | null => (/^[1-9]\d{0,6}$/.test(value) ? null : 'must be a whole number above 0');
const isFlag = (value: string): string | null => (/^(true|false)$/.test(value) ? null : 'must be true or false');
const isSwitch = (value: string): string | null => (/^(on|off)$/.test(value) ? null : 'must be on or off');
const isUrlOf =
  (protocols: readonly string[]) =>
  (value: string): string | null =>
    value === '' || (URL.canParse(value) && protocols.includes(new URL(value).protocol)) ? null : `must be a URL that starts with ${protocols.join(' or ')}//`;

const isHostName = (value: string): boolean =>
  value.length <= 253 && /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/.test(value);

/** What is wrong with a value, or null when it can be read. */
function complaintOf(read: () => unknown): string | null {
  try {
    read();
    return null;
  } catch (error) {
    if (isAppError(error)) return `is not usable: ${error.message.replace(/\.$/, '')}`;
    throw error;
  }
}

const NAMED_NETWORKS: readonly string[] = ['loopback', 'linklocal', 'uniquelocal'];

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0;
  const fits = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= bits);
  return NAMED_NETWORKS.includes(text) || (bits > 0 && fits && more.length === 0);
}

const listOf = (text: string): readonly string[] => text.split(',').map((part) => part.trim());
const givenOf = (text: string): readonly string[] => listOf(text).filter((entry) => entry !== '');

function proxyComplaint(value: string): string | null {
  if (value === '' || value === 'false' || /^[1-9]\d?$/.test(value) || listOf(value).every(isNetwork)) return null;
  if (value === 'true') return 'must say which proxies: with "true" every caller could write the address that signatures are kept with';
  return 'must be the number of proxies in front, or their addresses and networks (10.0.0.5, 10.0.0.0/8, loopback, linklocal, uniquelocal) separated by commas';
}

/** Proxies whose X-Forwarded headers are believed, as express takes them: none, how many, or which. */
export type TrustProxy = false | number | readonly string[];

function toTrustProxy(value: string): TrustProxy {
  if (value === '' || value === 'false') return false;
  return /^\d+$/.test(value) ? Number(value) : listOf(value);
}

/** The address of a mail domain that bounces come back to when none is set. */
export function bouncesAt(domain: string): string {
  return `bounces@${domain}`;
}

/** Every setting of the product: an environment variable each, with its default. `credenza config` lists them. */
export const SETTINGS = [
  { name: 'PORT', fallback: '3000', help: 'Port of the web server; 0 takes any free one.', check: isPort },
  { name: 'HOST', fallback: '127.0.0.1', help: 'Address the web server listens on.' },
  { name: 'PUBLIC_URL', fallback: '', help: 'Address that links in mails start with; default http://HOST:PORT.', check: isUrlOf(['http:', 'https:']) },
  {
    name: 'TRUST_PROXY',
    fallback: '',
    help: 'Proxies in front of the web server whose X-Forwarded-For is believed: how many, or their addresses; empty = none.',
    check: proxyComplaint,
  },
  {
    name: 'DATABASE_URL',
    fallback: '',
    help: 'A PostgreSQL of 15 or newer; empty starts the embedded one in CREDENZA_DATA.',
    check: isUrlOf(['postgres:', 'postgresql:']),
    secret: true,
  },
  {
    name: 'DATABASE_SCHEMA',
    fallback: 'credenza',
    help: 'PostgreSQL schema that holds this plan (tenant).',
    check: (v: string) => (/^[a-z][a-z0-9_]{0,40}$/.test(v) ? null : 'must be lower-case letters, digits and _'),
  },
  { name: 'DATABASE_POOL', fallback: '10', help: 'Connections of a process to the database.', check: isCount },
  {
    name: 'DATABASE_PREPARED_STATEMENTS',
    fallback: 'on',
    help: 'off: no statement is given a name, as a pooler in transaction mode needs it (docs/operations.md).',
    check: isSwitch,
  },
  {
    name: 'DATABASE_DIRECT_URL',
    fallback: '',
    help: 'The same database past any pooler, for indexes that are made beside running work; empty = DATABASE_URL.',
    check: isUrlOf(['postgres:', 'postgresql:']),
    secret: true,
  },
  {
    name: 'DATABASE_IDLE_TRANSACTION_MS',
    fallback: '60000',
    help: 'A transaction in which a process says nothing for so long is taken back by PostgreSQL, so that others go on (docs/operations.md).',
    check: isCount,
  },
  { name: 'SLOW_STATEMENT_MS', fallback: '1000', help: 'Statements that take longer are logged with their plan, without values.', check: isCount },
  { name: 'CREDENZA_DATA', fallback: '.data', help: 'Data directory of the embedded PostgreSQL.' },
  { name: 'CREDENZA_METADATA', fallback: '', help: 'Package directories laid over the shipped metadata, separated by commas.' },
  {
    name: 'SMTP_URL',
    fallback: '',
    help: 'Where mail is sent (smtp://user:password@host:587); empty keeps mail as captured.',
    check: isUrlOf(['smtp:', 'smtps:']),
    secret: true,
  },
  { name: 'SMTP_LISTEN_PORT', fallback: '', help: 'Port of the inbound SMTP listener; empty = none.', check: (v: string) => (v === '' ? null : isPort(v)) },
  {
    name: 'IMAP_ACCOUNTS',
    fallback: '',
    help: 'File that names the accounts whose mail is fetched by IMAP (docs/operations.md); empty = none.',
  },
  { name: 'MAIL_FROM', fallback: 'Network Operations <network@plan.example>', help: 'Sender of outgoing mail.' },
  { name: 'MAIL_DOMAIN', fallback: 'plan.example', help: 'Domain of Message-IDs and of inbound mailbox addresses.' },
  {
    name: 'MAIL_BOUNCES',
    fallback: '',
    help: 'Address that failed deliveries are reported to, with a mark for each mail; default bounces@MAIL_DOMAIN where SMTP_LISTEN_PORT is set, else the sender of MAIL_FROM.',
    check: (v: string) =>
      v === '' || /^[A-Za-z0-9._-]{1,28}@[A-Za-z0-9.-]{1,200}$/.test(v) ? null : 'must be name@domain, with at most 28 letters before the @',
  },
  {
    name: 'MAIL_WARM_UP_FROM',
    fallback: '',
    help: 'Day (2026-03-02) on which the plan began to send from its domain; campaign mail is then increased by the policy mail-pacing. Empty: long ago.',
    check: (v: string) => (v === '' || parseDate(v) !== null ? null : 'must be a day such as 2026-03-02'),
  },
  {
    name: 'DKIM_KEY_FILE',
    fallback: '',
    help: 'File with the RSA key (PEM, 2048 bits or more) that outgoing mail is signed with; empty sends unsigned.',
    check: (v: string) => (v === '' ? null : complaintOf(() => readDkimKey(v))),
  },
  {
    name: 'DKIM_SELECTOR',
    fallback: '',
    help: 'Name under which the public key stands in DNS: DKIM_SELECTOR._domainkey.DKIM_DOMAIN.',
    check: (v: string) => (v === '' || isHostName(v) ? null : 'must be letters, digits and -, in parts separated by dots'),
  },
  {
    name: 'DKIM_DOMAIN',
    fallback: '',
    help: 'Domain that signs; default the domain of MAIL_FROM, which DMARC wants it to be (or a parent of it).',
    check: (v: string) => (v === '' || isHostName(v) ? null : 'must be a domain'),
  },
  {
    name: 'WEBHOOK_ALLOW',
    fallback: '',
    help: 'Addresses with port (10.1.2.3:8080) that webhooks may reach although they are not public, also by http, separated by commas.',
    check: (v: string) =>
      givenOf(v)
        .map(allowedAddressComplaint)
        .find((complaint) => complaint !== null) ?? null,
  },
  { name: 'PLAN_NAME', fallback: 'Example Health Plan', help: 'Name of the health plan in mails and pages.' },
  { name: 'PLAN_ADDRESS', fallback: '1 Example Street, Springfield, MA 01101', help: 'Postal address in campaign mail.' },
  { name: 'PLAN_PHONE', fallback: '+1 413 555 0100', help: 'Phone number in acknowledgements.' },
  {
    name: 'LOG_LEVEL',
    fallback: 'info',
    help: 'trace, debug, info, warn, error or silent.',
    check: (v: string) => (/^(trace|debug|info|warn|error|silent)$/.test(v) ? null : 'must be trace, debug, info, warn, error or silent'),
  },
  { name: 'IMPORT_LIMIT_MB', fallback: '300', help: 'Largest file of an import by web, in megabytes.', check: isCount },
  { name: 'WORKER', fallback: 'true', help: 'Whether `start` also runs the worker and scheduler.', check: isFlag },
] as const satisfies readonly Setting[];

export type SettingName = (typeof SETTINGS)[number]['name'];

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly publicUrl: string;
  readonly trustProxy: TrustProxy;
  readonly databaseUrl: string | null;
  readonly schema: string;
  readonly poolSize: number;
  /** Whether statements that are sent often are given names. */
  readonly prepares: boolean;
  /** The same database past any pooler; null: `databaseUrl` leads there. */
  readonly directUrl: string | null;
  /** Milliseconds. */
  readonly slowStatementMs: number;
  /** Milliseconds. */
  readonly idleTransactionMs: number;
  readonly dataDirectory: string;
  readonly packages: readonly string[];
  readonly smtpUrl: string | null;
  readonly smtpListenPort: number | null;
  /** Accounts whose mail is fetched. */
  readonly mailAccounts: readonly MailAccount[];
  readonly mailFrom: string;
  readonly mailDomain: string;
  /** Address that mails leave with as their return path, a mark for each added; null: the sender's own. */
  readonly mailBounces: string | null;
  /** Day on which the plan began to send from its domain; null: long ago. */
  readonly mailWarmUpFrom: PlainDate | null;
  /** The key that outgoing mail is signed with; null: it leaves unsigned. */
  readonly dkim: DkimKey | null;
  /** Addresses with port that webhooks may reach although they are not public. */
  readonly webhookAllow: readonly string[];
  readonly planName: string;
  readonly planAddress: string;
  readonly planPhone: string;
  readonly logLevel: string;
  readonly importLimitMb: number;
  readonly worker: boolean;
  /** Value and source of every setting, secrets masked: for `credenza config`. */
  readonly listing: readonly {
    readonly name: SettingName;
    readonly value: string;
    readonly source: 'environment' | '.env' | 'default';
    readonly help: string;
  }[];
}

function dkimOf(file: string, selector: string, domain: string): DkimKey {
  return { domain, selector, privateKey: readDkimKey(file) };
}

function domainOf(sender: string): string {
  const { address } = parseSender(sender);
  return address.slice(address.lastIndexOf('@') + 1);
}

function readDotEnv(directory: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let text: string;
  try {
    text = readFileSync(join(directory, '.env'), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return found;
    throw error;
  }
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (match?.[1] !== undefined) found.set(match[1], (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2'));
  }
  return found;
}

/**
 * Reads the environment once (`.env` of `directory` honoured, the environment wins).
 * @throws AppError config_invalid with every wrong setting at once
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env, directory = process.cwd()): Config {
  const dotEnv = readDotEnv(directory);
  const errors: ErrorDetail[] = [];
  const listing = SETTINGS.map((setting) => {
    const fromEnvironment = environment[setting.name];
    const fromFile = dotEnv.get(setting.name);
    const value = fromEnvironment ?? fromFile ?? setting.fallback;
    const complaint = 'check' in setting ? setting.check(value) : null;
    if (complaint !== null) errors.push({ pointer: `/${setting.name}`, code: 'invalid', detail: `${setting.name} ${complaint}.`, fix: setting.help });
    const source = fromEnvironment !== undefined ? ('environment' as const) : fromFile !== undefined ? ('.env' as const) : ('default' as const);
    return { name: setting.name, value, source, help: setting.help };
  });
  const get = (name: SettingName): string => listing.find((entry) => entry.name === name)?.value ?? '';
  if ((get('DKIM_KEY_FILE') === '') !== (get('DKIM_SELECTOR') === '')) {
    const detail = 'DKIM_KEY_FILE and DKIM_SELECTOR are set both or neither.';
    errors.push({ pointer: get('DKIM_SELECTOR') === '' ? '/DKIM_SELECTOR' : '/DKIM_KEY_FILE', code: 'invalid', detail, fix: 'Set the other one too.' });
  }
  if (errors.length > 0) throw new AppError('config_invalid', errors.map((entry) => entry.detail).join(' '), { errors });
  const secrets = new Set<string>(SETTINGS.filter((setting) => 'secret' in setting).map((setting) => setting.name));
  return {
    port: Number(get('PORT')),
    host: get('HOST'),
    publicUrl: get('PUBLIC_URL') || `http://${get('HOST')}:${get('PORT')}`,
    trustProxy: toTrustProxy(get('TRUST_PROXY')),
    databaseUrl: get('DATABASE_URL') || null,
    schema: get('DATABASE_SCHEMA'),
    poolSize: Number(get('DATABASE_POOL')),
    prepares: get('DATABASE_PREPARED_STATEMENTS') === 'on',
    directUrl: get('DATABASE_DIRECT_URL') || null,
    slowStatementMs: Number(get('SLOW_STATEMENT_MS')),
    idleTransactionMs: Number(get('DATABASE_IDLE_TRANSACTION_MS')),
    dataDirectory: resolve(directory, get('CREDENZA_DATA')),
    packages: givenOf(get('CREDENZA_METADATA')),
    smtpUrl: get('SMTP_URL') || null,
    smtpListenPort: get('SMTP_LISTEN_PORT') === '' ? null : Number(get('SMTP_LISTEN_PORT')),
    mailAccounts: get('IMAP_ACCOUNTS') === '' ? [] : readMailAccounts(resolve(directory, get('IMAP_ACCOUNTS')), environment),
    mailFrom: get('MAIL_FROM'),
    mailDomain: get('MAIL_DOMAIN'),
    mailBounces: get('MAIL_BOUNCES') || (get('SMTP_LISTEN_PORT') === '' ? null : bouncesAt(get('MAIL_DOMAIN'))),
    mailWarmUpFrom: get('MAIL_WARM_UP_FROM') || null,
    dkim: get('DKIM_KEY_FILE') === '' ? null : dkimOf(get('DKIM_KEY_FILE'), get('DKIM_SELECTOR'), get('DKIM_DOMAIN') || domainOf(get('MAIL_FROM'))),
    webhookAllow: givenOf(get('WEBHOOK_ALLOW')),
    planName: get('PLAN_NAME'),
    planAddress: get('PLAN_ADDRESS'),
    planPhone: get('PLAN_PHONE'),
    logLevel: get('LOG_LEVEL'),
    importLimitMb: Number(get('IMPORT_LIMIT_MB')),
    worker: get('WORKER') === 'true',
    listing: listing.map((entry) => ({ ...entry, value: secrets.has(entry.name) && entry.value !== '' ? '(set)' : entry.value })),
  };
}
