import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { AppError, type ErrorDetail } from '../errors.ts';

/** How an access token is got (RFC 6749): with a refresh token where there is one, else by the client's own credentials. */
export interface TokenAccess {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string | null;
  readonly refreshToken: string | null;
  readonly scope: string | null;
}

/** An account of a mail server whose messages are fetched. */
export interface MailAccount {
  /** Mailbox of the metadata that its messages are for; null: they are reports about failed deliveries. */
  readonly mailbox: string | null;
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user: string;
  readonly access: { readonly password: string } | TokenAccess;
  /** PEM of the authorities that the server's certificate may come from; null: those that Node knows. */
  readonly ca: string | null;
  readonly folder: string;
  /** Folder that filed messages are moved to; null: they stay, marked as read. */
  readonly filedFolder: string | null;
  readonly everySeconds: number;
}

type Secret = string | { readonly file: string } | { readonly env: string };

interface GivenAccount {
  readonly mailbox?: string;
  readonly bounces?: true;
  readonly host: string;
  readonly port?: number;
  readonly security?: MailAccount['security'];
  readonly user: string;
  readonly password?: Secret;
  readonly oauth?: {
    readonly tokenUrl: string;
    readonly clientId: string;
    readonly clientSecret?: Secret;
    readonly refreshToken?: Secret;
    readonly scope?: string;
  };
  readonly caFile?: string;
  readonly folder?: string;
  readonly filedFolder?: string | null;
  readonly everySeconds?: number;
}

const TEXT = { type: 'string', minLength: 1 };
const SECRET = {
  anyOf: [
    TEXT,
    { type: 'object', additionalProperties: false, required: ['file'], properties: { file: TEXT } },
    { type: 'object', additionalProperties: false, required: ['env'], properties: { env: TEXT } },
  ],
};

const validate = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true }).compile<readonly GivenAccount[]>({
  type: 'array',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['host', 'user'],
    properties: {
      mailbox: TEXT,
      bounces: { const: true },
      host: TEXT,
      port: { type: 'integer', minimum: 1, maximum: 65_535 },
      security: { enum: ['tls', 'starttls', 'none'] },
      user: TEXT,
      password: SECRET,
      oauth: {
        type: 'object',
        additionalProperties: false,
        required: ['tokenUrl', 'clientId'],
        properties: { tokenUrl: TEXT, clientId: TEXT, clientSecret: SECRET, refreshToken: SECRET, scope: TEXT },
      },
      caFile: TEXT,
      folder: TEXT,
      filedFolder: { type: ['string', 'null'], minLength: 1 },
      everySeconds: { type: 'integer', minimum: 5, maximum: 86_400 },
    },
  },
});

function isHere(host: string): boolean {
  return ['127.0.0.1', '::1', '[::1]', 'localhost'].includes(host.toLowerCase());
}

/**
 * Reads the accounts that mail is fetched from. Secrets stand in the file itself, in files of their own (relative to it) or in variables of
 * the environment; metadata never holds any.
 * @throws AppError config_invalid with every finding
 */
export function readMailAccounts(file: string, environment: Readonly<Record<string, string | undefined>>): readonly MailAccount[] {
  const errors: ErrorDetail[] = [];
  const add = (pointer: string, code: string, detail: string): void => void errors.push({ pointer, code, detail });
  const read = (path: string, pointer: string): string | null => {
    try {
      return readFileSync(resolve(dirname(file), path), 'utf8');
    } catch (error) {
      add(pointer, 'unreadable', `${path} cannot be read: ${error instanceof Error ? error.message : 'unknown failure'}`);
      return null;
    }
  };
  const secretOf = (given: Secret | undefined, pointer: string): string | null => {
    if (given === undefined) return null;
    const text = typeof given === 'string' ? given : 'file' in given ? read(given.file, pointer) : environment[given.env];
    if (text === undefined) add(pointer, 'missing', `The variable ${typeof given === 'object' && 'env' in given ? given.env : ''} is not set.`);
    const secret = text?.replace(/[\r\n]+$/, '') ?? null;
    if (secret !== null && !/^[^\0-\x1f\x7f]+$/.test(secret)) add(pointer, 'invalid', 'The secret is empty or holds line breaks.');
    return secret;
  };
  const toAccount = (given: GivenAccount, index: number): MailAccount => {
    const at = `/${String(index)}`;
    const security = given.security ?? 'tls';
    if ((given.mailbox === undefined) === (given.bounces === undefined))
      add(at, 'invalid', 'Say either "mailbox", with its name in the metadata, or "bounces": true.');
    if ((given.password === undefined) === (given.oauth === undefined)) add(at, 'invalid', 'Give either "password" or "oauth".');
    if (security === 'none' && !isHere(given.host)) add(`${at}/security`, 'invalid', 'Without encryption only a server on this machine is spoken to.');
    const ca = given.caFile === undefined ? null : read(given.caFile, `${at}/caFile`);
    const { oauth } = given;
    if (oauth !== undefined && !isTokenUrl(oauth.tokenUrl))
      add(`${at}/oauth/tokenUrl`, 'invalid', 'The token address must be https (http only on this machine).');
    const access =
      oauth === undefined
        ? { password: secretOf(given.password, `${at}/password`) ?? '' }
        : {
            tokenUrl: oauth.tokenUrl,
            clientId: oauth.clientId,
            clientSecret: secretOf(oauth.clientSecret, `${at}/oauth/clientSecret`),
            refreshToken: secretOf(oauth.refreshToken, `${at}/oauth/refreshToken`),
            scope: oauth.scope ?? null,
          };
    return {
      mailbox: given.mailbox ?? null,
      host: given.host,
      port: given.port ?? (security === 'tls' ? 993 : 143),
      security,
      user: given.user,
      access,
      ca,
      folder: given.folder ?? 'INBOX',
      filedFolder: given.filedFolder === undefined ? 'Filed' : given.filedFolder,
      everySeconds: given.everySeconds ?? 60,
    };
  };

  const found = toJson(read(file, ''), add);
  if (errors.length === 0 && !validate(found))
    for (const error of validate.errors ?? []) add(error.instancePath, error.keyword, `${error.instancePath} ${error.message ?? 'is wrong'}.`);
  const accounts = errors.length === 0 && validate(found) ? found.map(toAccount) : [];
  const twice = accounts.filter((account, index) => accounts.some((other, place) => place < index && other.mailbox === account.mailbox));
  for (const account of twice)
    add('', 'duplicate', `Two accounts are for ${account.mailbox === null ? 'reports about deliveries' : `the mailbox "${account.mailbox}"`}.`);
  if (errors.length > 0)
    throw new AppError('config_invalid', `IMAP_ACCOUNTS: ${errors.map((entry) => `${entry.pointer} ${entry.detail}`.trim()).join(' ')}`, { errors });
  return accounts;
}

function toJson(text: string | null, add: (pointer: string, code: string, detail: string) => void): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's words would quote what stands in the file, which may be a secret.
    add('', 'not_json', 'The file is no JSON.');
    return null;
  }
}

function isTokenUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && isHere(hostname));
}
