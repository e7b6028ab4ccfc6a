import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { simpleParser, type ParsedMail } from 'mailparser';
import { SMTPServer } from 'smtp-server';

/**
 * What the sink does with a recipient: a code refuses RCPT TO; `drop` ends the connection at RCPT TO; `drop-after-data` takes
 * the whole message and ends the connection before answering; `refuse-data` answers 554 to the message; `greylist-data` 451.
 */
export type SinkRule = 'accept' | 550 | 552 | 450 | 451 | 'drop' | 'drop-after-data' | 'refuse-data' | 'greylist-data';

export interface SinkMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  readonly parsed: ParsedMail;
}

export interface SmtpSink {
  readonly port: number;
  readonly url: string;
  /** Messages answered with 250, and those taken in full but dropped before the answer. */
  readonly messages: SinkMessage[];
  readonly dropped: SinkMessage[];
  /** How often a connection was opened. */
  connections(): number;
  close(): Promise<void>;
}

function reply(code: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode: code });
}

export interface SinkOptions {
  readonly rules?: (recipient: string) => SinkRule;
  readonly port?: number;
  /** Asked when a message has come in full: it is answered when this is done. */
  readonly hold?: (recipient: string) => Promise<void>;
  /** Asked before each answer: it is given when this is done. */
  readonly pause?: (step: SinkStep) => Promise<void>;
}

/** What a client waits for: the greeting, and the answers to MAIL, RCPT and the end of the message. */
export type SinkStep = 'greeting' | 'mail' | 'rcpt' | 'end';

/** A real SMTP server on a free port that keeps what it is sent. `rules` is asked per recipient, each time anew. */
export async function makeSmtpSink(options: SinkOptions = {}): Promise<SmtpSink> {
  const rules = options.rules ?? (() => 'accept');
  const hold = options.hold ?? (() => Promise.resolve());
  const pause = options.pause ?? (() => Promise.resolve());
  const after = (step: SinkStep, then: () => void, fail: (error: Error) => void): void =>
    void pause(step).then(then, (error: unknown) => fail(error instanceof Error ? error : new Error('the pause failed')));
  const messages: SinkMessage[] = [];
  const dropped: SinkMessage[] = [];
  let connections = 0;
  const server: SMTPServer = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    onConnect(_session, callback) {
      connections += 1;
      after('greeting', callback, callback);
    },
    onMailFrom(_address, _session, callback) {
      after('mail', callback, callback);
    },
    onRcptTo(address, session, callback) {
      const rule = rules(address.address);
      if (typeof rule === 'number') return callback(reply(rule, rule < 500 ? 'try again later' : 'no such mailbox'));
      if (rule === 'drop') return cut(session.id);
      after('rcpt', callback, callback);
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const raw = Buffer.concat(chunks);
        const to = session.envelope.rcptTo.map((entry) => entry.address);
        const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
        const rule = rules(to[0] ?? '');
        if (rule === 'refuse-data') return callback(reply(554, 'content refused'));
        if (rule === 'greylist-data') return callback(reply(451, 'try again later'));
        const read = async (): Promise<ParsedMail> => {
          await hold(to[0] ?? '');
          await pause('end');
          return simpleParser(raw);
        };
        read().then(
          (parsed) => {
            (rule === 'drop-after-data' ? dropped : messages).push({ from, to, raw: raw.toString('utf8'), parsed });
            if (rule === 'drop-after-data') cut(session.id);
            else callback(null, 'kept');
          },
          (error: unknown) => callback(error instanceof Error ? error : new Error('unreadable')),
        );
      });
    },
  });
  function cut(sessionId: string): void {
    for (const connection of server.connections) if (connection.id === sessionId) connection._socket.destroy();
  }
  server.on('error', () => undefined);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    url: `smtp://127.0.0.1:${port}`,
    messages,
    dropped,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
