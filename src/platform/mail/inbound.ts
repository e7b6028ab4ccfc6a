import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { Knex } from 'knex';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import type { CallContext, Cause } from '../access/types.ts';
import { besideModule, makeChild } from '../child.ts';
import type { Instant } from '../clock.ts';
import { inTransaction, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import { fault } from '../fault.ts';
import type { Log } from '../log.ts';
import type { MailboxFile } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import { onModelInForce } from '../schema/processes.sql.ts';
import { parseAddress, splitReturnPath, splitThreadAddress } from './address.ts';
import { fileMessage, fileReturned, type Filed, type FilingTools, type ReceivedMessage } from './file-message.ts';
import { toParsedMessage, type ParsedMessage } from './parsed.ts';

export interface InboundMailOptions extends FilingTools {
  readonly db: Knex;
  /** A call as the system, on the current Model, at the clock's present moment. */
  readonly context: (cause: Cause) => Promise<CallContext>;
  readonly log: Log;
  /** Largest message; 25 MB unless told. */
  readonly maxBytes?: number;
}

export interface InboundMail {
  /** Listens for SMTP; port 0 takes any free one. */
  listen(port: number, host: string): Promise<{ readonly port: number }>;
  /** Files one message for one recipient address, as the listener does; null when it was known already, or was a bounce. */
  receive(raw: Buffer, envelope: { readonly from: string; readonly to: string }): Promise<Filed | null>;
  /**
   * Files a message that was fetched from an account of a mailbox (null: of the address of bounces), in one transaction with what `alongside`
   * writes. It goes to every thread that its addresses name. Null when the message cannot be read; then nothing is written.
   */
  fileFetched(message: FetchedMessage, alongside: (tx: Knex.Transaction) => Promise<void>): Promise<readonly Filed[] | null>;
  /** Largest message, in bytes. */
  readonly maxBytes: number;
  close(): Promise<void>;
}

export interface FetchedMessage {
  readonly mailbox: string | null;
  readonly raw: Buffer;
  /** When the server got it. */
  readonly receivedAt: Instant;
}

type Target =
  { readonly kind: 'mailbox'; readonly mailbox: MailboxFile; readonly token: string | null } | { readonly kind: 'bounces'; readonly deliveryId: string | null };

/** An answer of the SMTP conversation. */
function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** The mailbox that an address belongs to, with the thread token in it. */
export function findMailboxFor(model: Model, address: string): { readonly mailbox: MailboxFile; readonly token: string | null } | null {
  const exact = address.toLowerCase();
  const split = splitThreadAddress(address);
  for (const mailbox of model.mailboxes.values()) {
    const own = mailbox.address.toLowerCase();
    if (own === exact) return { mailbox, token: null };
    if (own === split.address) return { mailbox, token: split.token };
  }
  return null;
}

/**
 * Where a fetched message belongs: to each thread that the addresses in it name, by preference those that servers noted for the delivery, else to
 * its mailbox; or, from the account of bounces, back to the mail whose return path it came to.
 */
function fetchedTargets(model: Model, own: MailboxFile | null, { recipients }: ParsedMessage, bounces: string | undefined): readonly Target[] {
  if (own === null) {
    const all = [...recipients.delivered, ...recipients.written];
    const back = all.map((address) => (bounces === undefined ? null : splitReturnPath(bounces, address))).find((found) => found !== null && found.id !== null);
    return [{ kind: 'bounces', deliveryId: back?.id ?? null }];
  }
  const tokensOf = (addresses: readonly string[]): readonly string[] => [
    ...new Set(
      addresses.flatMap((address) => {
        const found = findMailboxFor(model, address);
        return found?.mailbox.name === own.name && found.token !== null ? [found.token] : [];
      }),
    ),
  ];
  const delivered = tokensOf(recipients.delivered);
  const tokens = delivered.length > 0 ? delivered : tokensOf(recipients.written);
  return tokens.length === 0 ? [{ kind: 'mailbox', mailbox: own, token: null }] : tokens.map((token) => ({ kind: 'mailbox', mailbox: own, token }));
}

/** The Message-ID, or for a message without a usable one what it says and when it was written, in the form of one. */
function messageIdOf({ messageId, contentHash, date }: ParsedMessage): string {
  if (messageId !== null && messageId !== '' && messageId.length <= 500) return messageId;
  return `<${createHash('sha256').update(`${contentHash} ${date}`).digest('hex')}@no-message-id.invalid>`;
}

async function readAll(stream: Readable & { readonly sizeExceeded?: boolean }, maxBytes: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    // Beyond the cap the rest is read and thrown away: the answer comes after the message.
    if (size <= maxBytes) chunks.push(bytes);
  }
  return size > maxBytes || stream.sizeExceeded === true ? null : Buffer.concat(chunks);
}

/**
 * The inbound listener: mail for a mailbox of the metadata becomes records in one transaction before it is answered 250;
 * what cannot be filed is refused or deferred, so no message is ever accepted without its record (R003-01).
 */
export function makeInboundMail(options: InboundMailOptions): InboundMail {
  const { db, log } = options;
  const maxBytes = options.maxBytes ?? 25 * 1024 * 1024;
  const parser = makeChild({
    module: besideModule(import.meta.url, 'parse-child'),
    failure: 'The message could not be read',
    timeoutMs: 20_000,
    memoryMb: 256,
  });

  /** The sender of the envelope is null where nobody knows it any more. */
  async function parse(raw: Buffer, envelopeFrom: string | null, model: Model): Promise<ParsedMessage> {
    const parsed = toParsedMessage(await parser.ask(raw));
    let from = '';
    try {
      from = parseAddress(parsed.from === '' ? (envelopeFrom ?? '') : parsed.from).toLowerCase();
    } catch {
      log.info('A message came without a usable sender; it is filed, and not acknowledged.');
    }
    const isOwn = from !== '' && findMailboxFor(model, from) !== null;
    return { ...parsed, from, isAutoReply: parsed.isAutoReply || envelopeFrom === '' || from === '' || isOwn };
  }

  /** Where a message to an address goes: to a mailbox, or back to the mail that it reports on. */
  function targetOf(model: Model, address: string): Target | null {
    const mailbox = findMailboxFor(model, address);
    if (mailbox !== null) return { kind: 'mailbox', ...mailbox };
    const back = options.bounceAddress === undefined ? null : splitReturnPath(options.bounceAddress, address);
    return back === null ? null : { kind: 'bounces', deliveryId: back.id };
  }

  async function receive(raw: Buffer, envelope: { readonly from: string; readonly to: string }): Promise<Filed | null> {
    const { model } = await options.context({ kind: 'mail', mailbox: '' });
    const target = targetOf(model, envelope.to);
    if (target === null) throw reply(550, 'No such mailbox here');
    const parsed = await readable(raw, envelope.from, model);
    if (parsed === null) throw reply(554, 'The message could not be read');
    const [filed] = await file({ parsed, raw, messageId: messageIdOf(parsed) }, [target]);
    return filed ?? null;
  }

  async function readable(raw: Buffer, envelopeFrom: string | null, model: Model): Promise<ParsedMessage | null> {
    try {
      return await parse(raw, envelopeFrom, model);
    } catch (error) {
      log.warn({ ...describe(error), bytes: raw.length }, 'A message could not be read and was refused.');
      return null;
    }
  }

  async function file(
    message: Pick<ReceivedMessage, 'parsed' | 'raw' | 'messageId' | 'receivedAt'>,
    targets: readonly Target[],
    alongside?: (tx: Knex.Transaction) => Promise<void>,
  ): Promise<readonly (Filed | null)[]> {
    const fileAll = async (tx: Knex.Transaction): Promise<readonly (Filed | null)[]> => {
      const answers: (Filed | null)[] = [];
      for (const target of targets) {
        const context = await options.context({ kind: 'mail', mailbox: target.kind === 'mailbox' ? target.mailbox.name : '' });
        answers.push(target.kind === 'mailbox' ? await fileMessage(tx, context, options, { ...target, ...message }) : null);
        if (target.kind === 'bounces' && !(await fileReturned(tx, context, options, { ...target, ...message })))
          log.info('A message came to the address of bounces and is about no mail of ours; it is kept.');
      }
      await alongside?.(tx);
      fault('mail.inbound_before_commit');
      return answers;
    };
    const filed = await onModelInForce(() => inTransaction(db, fileAll));
    fault('mail.inbound_after_commit');
    return filed;
  }

  async function fileFetched(
    { mailbox, raw, receivedAt }: FetchedMessage,
    alongside: (tx: Knex.Transaction) => Promise<void>,
  ): Promise<readonly Filed[] | null> {
    const { model, now } = await options.context({ kind: 'mail', mailbox: mailbox ?? '' });
    const own = mailbox === null ? null : model.mailboxes.get(mailbox);
    if (own === undefined) throw new AppError('config_invalid', `An account is for the mailbox "${mailbox ?? ''}", which is not in the metadata.`);
    const parsed = await readable(raw, null, model);
    if (parsed === null) return null;
    const targets = fetchedTargets(model, own, parsed, options.bounceAddress);
    const filed = await file({ parsed, raw, messageId: messageIdOf(parsed), receivedAt: receivedAt < now ? receivedAt : now }, targets, alongside);
    return filed.filter((entry) => entry !== null);
  }

  async function receiveAll(stream: Readable & { readonly sizeExceeded?: boolean }, session: SMTPServerSession): Promise<void> {
    const raw = await readAll(stream, maxBytes);
    if (raw === null) throw reply(552, `Messages may have at most ${maxBytes} bytes`);
    const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    for (const recipient of session.envelope.rcptTo) await receive(raw, { from, to: recipient.address });
  }

  /** No message of an error: it may hold what the mail said. */
  function describe(error: unknown): Record<string, unknown> {
    if (error instanceof AppError) return { code: error.code, places: error.errors.map((entry) => `${entry.pointer} ${entry.code}`) };
    if (error instanceof Error)
      return {
        code: sqlState(error) ?? error.name,
        stack: error.stack
          ?.split('\n')
          .filter((line) => line.trim().startsWith('at '))
          .slice(0, 6),
      };
    return { code: 'unknown' };
  }

  /** What the other side may know about a failure: ours are deferred, so that the sender's server keeps the message. */
  function toReply(error: unknown): Error {
    if (error instanceof Error && 'responseCode' in error) return error;
    log.error(describe(error), 'A message could not be filed; its sender was asked to try again later.');
    return reply(451, 'Cannot file the message now, try again later');
  }

  const server: SMTPServer = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    size: maxBytes,
    maxClients: 50,
    socketTimeout: 60_000,
    closeTimeout: 2_000,
    banner: 'Credenza',
    onRcptTo(address, session, callback) {
      if (session.envelope.rcptTo.length >= 20) return callback(reply(452, 'Too many recipients'));
      options.context({ kind: 'mail', mailbox: '' }).then(
        ({ model }) => callback(targetOf(model, address.address) === null ? reply(550, 'No such mailbox here') : null),
        (error: unknown) => callback(toReply(error)),
      );
    },
    onData(stream, session, callback) {
      receiveAll(stream, session).then(
        () => callback(null, 'Filed'),
        (error: unknown) => callback(toReply(error)),
      );
    },
  });
  // Without a listener an error of one connection would end the process.
  server.on('error', (error: Error) => log.warn({ code: error.name }, 'The inbound SMTP listener had trouble with a connection.'));
  let isListening = false;

  return {
    receive,
    fileFetched,
    maxBytes,
    async listen(port, host) {
      const listener = server.listen(port, host);
      try {
        await once(listener, 'listening');
      } catch (error) {
        throw new AppError(
          'config_invalid',
          `Inbound mail cannot be listened for on ${host}:${port} (${error instanceof Error ? error.message : 'unknown reason'}). Choose another SMTP_LISTEN_PORT.`,
          { cause: error },
        );
      }
      isListening = true;
      const address = listener.address();
      return { port: typeof address === 'object' && address !== null ? address.port : port };
    },
    async close() {
      if (isListening) await new Promise<void>((resolve) => server.close(resolve));
      isListening = false;
      parser.close();
    },
  };
}
