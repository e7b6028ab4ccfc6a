import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { Clock, Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import type { Log } from '../log.ts';
import type { MailAccount } from './accounts.ts';
import {
  beginAnew,
  forgetUnfiled,
  isLost,
  keepAccount,
  noteUnfiled,
  passMessage,
  releaseAccount,
  takeAccount,
  tryAgainAt,
  unfiledOf,
  type Holder,
  type Place,
} from './fetch.sql.ts';
import { isRefusal, openFolder, type Listed, type MailFolder } from './imap.ts';
import { BOUNCES } from './inbound.sql.ts';
import type { InboundMail } from './inbound.ts';
import { isSandbox } from './mail.sql.ts';
import { makeTokenSource, type TokenSource } from './tokens.ts';

export interface MailFetcherOptions {
  readonly db: Knex;
  readonly clock: Clock;
  readonly log: Log;
  readonly accounts: readonly MailAccount[];
  readonly inbound: Pick<InboundMail, 'fileFetched' | 'maxBytes'>;
}

export interface MailFetcher {
  /** Fetches every account that is due and that no other process has; answers how many messages were done with. */
  fetchDue(): Promise<number>;
  /** Looks after the accounts until `stop`, each by itself: a server that is slow holds up no other. */
  start(): void;
  /** Cuts connections and waits for the message in hand. */
  stop(): Promise<void>;
}

/** Longer than the longest wait for a server's answer. */
const LEASE_MS = 180_000;
/** Whether an account is due is asked so often at most. */
const LOOK_MS = 5_000;
const AT_ONCE = 50;
/** Messages of one round; the rest comes at once in the next. */
const ROUND = 500;
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 900_000;
/** A message that could not be filed is tried again after these minutes, then left to people. */
const RETRY_MINUTES = [5, 30, 120, 720] as const;

interface Round {
  readonly account: MailAccount;
  readonly own: Holder;
  readonly folder: MailFolder;
}

/** The name of an account: that of its mailbox. */
export function accountName(account: MailAccount): string {
  return account.mailbox ?? BOUNCES;
}

/**
 * Fetches mail by IMAP, by the same way into records as the listener. What is filed is known by our own place in the folder, written in the
 * transaction that files the message; marks on the server follow and are made good after a crash. A message that cannot be filed is listed,
 * flagged and tried again later, and holds up no other.
 */
export function makeMailFetcher({ db, clock, log, accounts, inbound }: MailFetcherOptions): MailFetcher {
  const holder = randomUUID();
  const sources = new Map<MailAccount, TokenSource>();
  const connections = new Map<string, () => void>();
  const timers = new Map<MailAccount, NodeJS.Timeout>();
  const inHand = new Set<Promise<number>>();
  let isStopping = false;

  const later = (ms: number): Instant => new Date(clock.nowMs() + ms).toISOString();
  const until = (): Instant => later(LEASE_MS);

  function sourceOf(account: MailAccount): TokenSource | null {
    if ('password' in account.access) return null;
    const source = sources.get(account) ?? makeTokenSource({ clock, access: account.access });
    sources.set(account, source);
    return source;
  }

  async function fetchAccount(account: MailAccount): Promise<number> {
    const own = { account: accountName(account), holder };
    // A sandbox must not take away the messages of the plan that it is a copy of.
    if (isStopping || (await isSandbox(db))) return 0;
    const place = await takeAccount(db, own, clock.now(), until());
    if (place === null) return 0;
    try {
      const folder = await openFolder(account, sourceOf(account), inbound.maxBytes, {
        onBegin: (cut) => (isStopping ? cut() : void connections.set(own.account, cut)),
        onTrouble: (error) => log.info({ account: own.account, ...describeFailure(error) }, 'The connection to a mail server had trouble.'),
      });
      const { done, isWhole } = await fetchFolder({ account, own, folder }, place);
      await folder.close();
      await releaseAccount(db, own, clock.now(), isWhole ? later(account.everySeconds * 1000) : clock.now(), null);
      return done;
    } catch (error) {
      if (isLost(error)) log.warn({ account: own.account }, 'Another process has taken over an account whose mail is fetched; this one stops.');
      else await fail(account, own, place, error);
      return 0;
    } finally {
      connections.get(own.account)?.();
      connections.delete(own.account);
    }
  }

  async function fail(account: MailAccount, own: Holder, place: Place, error: unknown): Promise<void> {
    if (isStopping) return releaseAccount(db, own, clock.now(), clock.now(), null);
    const failure = isRefusal(error) ? { code: 'refused', message: 'The server refused the account.' } : describeFailure(error);
    const pauseMs = Math.max(account.everySeconds * 1000, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** place.failures));
    log.warn(
      { account: own.account, host: account.host, failures: place.failures + 1, ...failure },
      'Mail of an account could not be fetched; it is tried again.',
    );
    await releaseAccount(db, own, clock.now(), later(pauseMs), `${failure.code}: ${failure.message}`);
  }

  async function fetchFolder(round: Round, place: Place): Promise<{ readonly done: number; readonly isWhole: boolean }> {
    const { own, folder } = round;
    if (place.validity !== folder.validity) {
      if (place.validity !== null) log.warn({ account: own.account }, 'A folder has new numbers for its messages (UIDVALIDITY); all are looked at again.');
      await inTransaction(db, (tx) => beginAnew(tx, own, folder.validity));
    }
    const from = place.validity === folder.validity ? place.uid : 0;
    const unfiled = await unfiledOf(db, own.account, folder.validity, clock.now());
    const left = new Set(unfiled.map(({ uid }) => uid));
    // A process that ended between filing and this has left messages where they were.
    await putAway(
      round,
      (await folder.notPutAway(from)).filter((uid) => !left.has(uid)),
    );
    const wanted = [...unfiled.flatMap(({ uid, isDue }) => (isDue ? [uid] : [])), ...(await folder.after(from))];
    const now = wanted.slice(0, ROUND);
    for (let start = 0; start < now.length; start += AT_ONCE) await fetchBlock(round, now.slice(start, start + AT_ONCE));
    return { done: now.length, isWhole: now.length === wanted.length };
  }

  async function fetchBlock(round: Round, uids: readonly number[]): Promise<void> {
    const { own, folder } = round;
    await keepAccount(db, own, until());
    const listed = new Map((await folder.list(uids)).map((message) => [message.uid, message]));
    const filed: number[] = [];
    for (const uid of uids) {
      const message = listed.get(uid);
      if (message === undefined) await inTransaction(db, (tx) => pass(tx, round, uid));
      else if (await fetchMessage(round, message)) filed.push(uid);
    }
    fault('mail.fetched_before_put_away');
    await putAway(round, filed);
  }

  async function putAway({ own, folder }: Round, uids: readonly number[]): Promise<void> {
    for (let start = 0; start < uids.length; start += ROUND) {
      await keepAccount(db, own, until());
      await folder.putAway(uids.slice(start, start + ROUND));
    }
  }

  /** In one transaction with what was done about the message. */
  async function pass(tx: Knex.Transaction, { own, folder }: Round, uid: number): Promise<void> {
    await forgetUnfiled(tx, { account: own.account, validity: folder.validity, uid });
    await passMessage(tx, own, folder.validity, uid, until());
  }

  /** Whether the message is filed now; if not, it is listed, or gone. */
  async function fetchMessage(round: Round, { uid, bytes, at }: Listed): Promise<boolean> {
    if (bytes > inbound.maxBytes) return leave(round, uid, bytes, `It has more than ${String(inbound.maxBytes)} bytes.`);
    const raw = await round.folder.read(uid);
    if (raw === null) {
      await inTransaction(db, (tx) => pass(tx, round, uid));
      return false;
    }
    try {
      const filed = await inbound.fileFetched({ mailbox: round.account.mailbox, raw, receivedAt: at ?? clock.now() }, (tx) => pass(tx, round, uid));
      return filed === null ? await leave(round, uid, bytes, 'It could not be read.') : true;
    } catch (error) {
      if (isLost(error) || (error instanceof AppError && error.code === 'config_invalid')) throw error;
      const { code, message } = describeFailure(error);
      return leave(round, uid, bytes, `${code}: ${message}`);
    }
  }

  async function leave(round: Round, uid: number, bytes: number, reason: string): Promise<false> {
    const { own, folder } = round;
    const unfiled = { account: own.account, validity: folder.validity, uid };
    await inTransaction(db, async (tx) => {
      const attempts = await noteUnfiled(tx, unfiled, bytes, reason, clock.now());
      const minutes = RETRY_MINUTES[attempts - 1];
      if (minutes !== undefined) await tryAgainAt(tx, unfiled, later(minutes * 60_000));
      await passMessage(tx, own, folder.validity, uid, until());
    });
    log.error({ account: own.account, uid, reason }, 'A fetched message could not be filed; it stays on the server, flagged.');
    await folder.flag(uid);
    return false;
  }

  function fetchOnce(account: MailAccount): Promise<number> {
    const work = fetchAccount(account);
    inHand.add(work);
    return work.finally(() => inHand.delete(work));
  }

  function lookAfter(account: MailAccount): void {
    const next = (ms: number): void => {
      if (!isStopping)
        timers.set(
          account,
          setTimeout(() => void look(), ms),
        );
    };
    const look = async (): Promise<void> => {
      let done = 0;
      try {
        done = await fetchOnce(account);
      } catch (error) {
        log.error({ account: accountName(account), ...describeFailure(error) }, 'Mail could not be looked for; it is tried again.');
      }
      next(done > 0 ? 0 : LOOK_MS);
    };
    next(0);
  }

  return {
    async fetchDue() {
      const counts = await Promise.all(accounts.map(fetchOnce));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    start() {
      for (const account of accounts) lookAfter(account);
    },
    async stop() {
      isStopping = true;
      for (const timer of timers.values()) clearTimeout(timer);
      for (const cut of connections.values()) cut();
      await Promise.allSettled(inHand);
    },
  };
}
