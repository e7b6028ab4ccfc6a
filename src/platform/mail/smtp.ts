import { PassThrough } from 'node:stream';
import { createTransport, type SendMailOptions } from 'nodemailer';
import { SIGNED_FIELDS, type DkimKey } from './dkim.ts';

/** What an attempt to hand a mail to the server came to. */
export type SendResult =
  | { readonly kind: 'accepted' }
  /** This recipient, or this content, is refused for good; `isHard` = the address itself. */
  | { readonly kind: 'refused'; readonly code: number; readonly isHard: boolean; readonly error: string }
  /** The server asks to try this mail later. */
  | { readonly kind: 'later'; readonly error: string }
  /** The server could not be talked to at all; nothing of the message left. */
  | { readonly kind: 'unreachable'; readonly error: string }
  /** The connection broke after the message began to leave: it may have arrived or not. */
  | { readonly kind: 'unsure'; readonly error: string }
  /** The message cannot be sent by anybody. */
  | { readonly kind: 'invalid'; readonly error: string };

export interface SmtpClient {
  readonly host: string;
  /** @param signal aborted when the attempt must end: its connection is closed at once */
  send(mail: SendMailOptions & { readonly messageId: string }, signal: AbortSignal): Promise<SendResult>;
  close(): void;
}

interface SmtpFailure {
  readonly message: string;
  readonly code: string | null;
  readonly responseCode: number | null;
  readonly command: string;
}

/** Boundary: an error of nodemailer. */
function toFailure(error: unknown): SmtpFailure {
  const found = typeof error === 'object' && error !== null ? error : {};
  return {
    message: error instanceof Error ? error.message : 'unknown failure',
    code: 'code' in found && typeof found.code === 'string' ? found.code : null,
    responseCode: 'responseCode' in found && typeof found.responseCode === 'number' ? found.responseCode : null,
    command: 'command' in found && typeof found.command === 'string' ? found.command : '',
  };
}

/** Sorts a failure by what is certain about it (quality.md, 6: case 17). */
export function judgeFailure(failure: SmtpFailure, hasDataStarted: boolean): SendResult {
  const error = `${failure.responseCode === null ? (failure.code ?? 'error') : String(failure.responseCode)}: ${failure.message}`.slice(0, 500);
  const code = failure.responseCode;
  if (code !== null) {
    const isAboutUs = failure.code === 'EAUTH' || !/^(?:MAIL FROM|RCPT TO|DATA)$/.test(failure.command);
    if (code === 421 || isAboutUs) return { kind: 'unreachable', error };
    if (code < 500 || failure.command === 'MAIL FROM') return { kind: 'later', error };
    return { kind: 'refused', code, isHard: failure.command === 'RCPT TO', error };
  }
  if (hasDataStarted) return { kind: 'unsure', error };
  if (failure.code === 'EENVELOPE' || failure.code === 'EMESSAGE' || failure.code === 'ESTREAM') return { kind: 'invalid', error };
  return { kind: 'unreachable', error };
}

/** A pool of connections to one SMTP server, which signs what it sends if it has a key. Nothing connects before the first mail. */
export function makeSmtpClient(url: string, connections: number, dkim: DkimKey | null = null): SmtpClient {
  const transport = createTransport({
    pool: true,
    url,
    maxConnections: connections,
    maxMessages: 200,
    // The pool must never send a message a second time by itself: whether to do so is decided by class, in the database.
    maxRequeues: 0,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
    // What is cut off is cut off: nothing that waits in a buffer may leave after the attempt counts as ended.
    socketCloseTimeout: 0,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(dkim === null
      ? {}
      : { dkim: { domainName: dkim.domain, keySelector: dkim.selector, privateKey: dkim.privateKey, headerFieldNames: SIGNED_FIELDS.join(':') } }),
  });
  const leaving = new Map<string, PassThrough>();
  // The connection reads its stream only after the server's 354, so its first read is the moment from which the outcome is in
  // doubt. Nothing stands behind this stream: the signer reads the whole message long before.
  transport.use('stream', ({ message }, done) => {
    const open = message.createReadStream.bind(message);
    message.createReadStream = (options) => {
      const body = new PassThrough();
      leaving.set(message.messageId(), body);
      const made = open(options);
      made.on('error', (error) => body.destroy(error));
      body.on('close', () => made.destroy());
      return made.pipe(body);
    };
    done();
  });
  return {
    host: new URL(url).host,
    async send(mail, signal) {
      try {
        await transport.sendMail({ ...mail, signal });
        return { kind: 'accepted' };
      } catch (error) {
        return judgeFailure(toFailure(error), leaving.get(mail.messageId)?.readableDidRead ?? false);
      } finally {
        leaving.delete(mail.messageId);
      }
    },
    close: () => transport.close(),
  };
}
