import { ImapFlow } from 'imapflow';
import type { MailAccount } from './accounts.ts';
import type { TokenSource } from './tokens.ts';

/** One message as the server lists it. */
export interface Listed {
  readonly uid: number;
  readonly bytes: number;
  /** When the server got it; null when it does not say. */
  readonly at: string | null;
}

/** The folder of an account, open. Reading leaves no mark on messages. */
export interface MailFolder {
  /** Numbers of messages are good for as long as this stays the same (UIDVALIDITY). */
  readonly validity: string;
  /** Numbers above `uid`, in order. */
  after(uid: number): Promise<readonly number[]>;
  /** Messages up to `uid` that were not put away yet. */
  notPutAway(uid: number): Promise<readonly number[]>;
  list(uids: readonly number[]): Promise<readonly Listed[]>;
  /** The message, byte for byte; null when it is gone. */
  read(uid: number): Promise<Buffer | null>;
  /** Moves filed messages to their folder, or marks them as read. Does nothing more when it is done again. */
  putAway(uids: readonly number[]): Promise<void>;
  /** Marks a message for people, and leaves it where it is. */
  flag(uid: number): Promise<void>;
  close(): Promise<void>;
}

/** What is told of connections while they are made and used. */
export interface ConnectionWatch {
  /** A connection is begun; `cut` ends it without a word, at any time. */
  onBegin(cut: () => void): void;
  onTrouble(error: Error): void;
}

const OPERATION_MS = 60_000;

/** Opens the folder of an account. A token that the server refuses is asked for anew, once. */
export async function openFolder(account: MailAccount, tokens: TokenSource | null, maxBytes: number, watch: ConnectionWatch): Promise<MailFolder> {
  const client = await connect(account, tokens, maxBytes, watch);
  try {
    const box = await client.mailboxOpen(account.folder);
    const { filedFolder } = account;
    if (filedFolder !== null && !(await client.list()).some(({ path, name }) => path === filedFolder || name === filedFolder))
      await client.mailboxCreate(filedFolder);
    return toFolder(client, account, String(box.uidValidity));
  } catch (error) {
    client.close();
    throw error;
  }
}

async function connect(account: MailAccount, tokens: TokenSource | null, maxBytes: number, watch: ConnectionWatch): Promise<ImapFlow> {
  for (let attempt = 1; ; attempt += 1) {
    const token = tokens === null ? null : await tokens.token();
    const secret = token === null ? { pass: 'password' in account.access ? account.access.password : '' } : { accessToken: token };
    const client = new ImapFlow({
      host: account.host,
      port: account.port,
      secure: account.security === 'tls',
      ...(account.security === 'tls' ? {} : { doSTARTTLS: account.security === 'starttls' }),
      ...(account.ca === null ? {} : { tls: { ca: account.ca } }),
      auth: { user: account.user, ...secret },
      logger: false,
      disableAutoIdle: true,
      connectionTimeout: OPERATION_MS,
      socketTimeout: OPERATION_MS,
      maxLiteralSize: maxBytes + 1024,
      maxResponseSize: 2 * maxBytes + 1024 * 1024,
    });
    // Without a listener an error of the connection would end the process; whoever waits for an answer is told as well.
    client.on('error', (error: Error) => watch.onTrouble(error));
    watch.onBegin(() => client.close());
    try {
      await client.connect();
      return client;
    } catch (error) {
      client.close();
      if (token === null || attempt > 1 || !isRefusal(error)) throw error;
      tokens?.refuse(token);
    }
  }
}

/** Whether the server refused the account's name, password or token. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'authenticationFailed' in error && error.authenticationFailed === true;
}

function toFolder(client: ImapFlow, account: MailAccount, validity: string): MailFolder {
  const byUid = { uid: true } as const;
  const search = async (query: Parameters<ImapFlow['search']>[0]): Promise<readonly number[]> => {
    const found = await client.search(query, byUid);
    if (!Array.isArray(found)) throw new Error('The server did not answer a search.');
    return found.sort((one, other) => one - other);
  };
  const mark = async (uids: readonly number[], flag: string): Promise<void> => {
    // A message that is gone meanwhile is no failure.
    await client.messageFlagsAdd(uids.join(','), [flag], byUid);
  };
  return {
    validity,
    // "n:*" always names the last message too.
    after: async (uid) => (await search({ uid: `${String(uid + 1)}:*` })).filter((found) => found > uid),
    notPutAway: (uid) => {
      if (uid === 0) return Promise.resolve([]);
      return search({ uid: `1:${String(uid)}`, ...(account.filedFolder === null ? { seen: false } : {}) });
    },
    async list(uids) {
      if (uids.length === 0) return [];
      const found = await client.fetchAll(uids.join(','), { uid: true, size: true, internalDate: true }, byUid);
      return found
        .map(({ uid, size, internalDate }) => ({
          uid,
          bytes: size ?? 0,
          at: internalDate === undefined || Number.isNaN(new Date(internalDate).getTime()) ? null : new Date(internalDate).toISOString(),
        }))
        .sort((one, other) => one.uid - other.uid);
    },
    async read(uid) {
      const found = await client.fetchOne(String(uid), { source: true }, byUid);
      return found === false ? null : (found.source ?? null);
    },
    async putAway(uids) {
      if (uids.length === 0) return;
      await mark(uids, '\\Seen');
      if (account.filedFolder !== null && (await client.messageMove(uids.join(','), account.filedFolder, byUid)) === false)
        throw new Error('The server did not move messages.');
    },
    flag: (uid) => mark([uid], '\\Flagged'),
    close: () => client.logout(),
  };
}
