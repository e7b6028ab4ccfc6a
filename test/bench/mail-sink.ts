/** Child process of `campaign-mail.ts`: an SMTP server that keeps nothing of a message but its Message-ID. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

let seen = new Set<string>();
let count = 0;

const server: SMTPServer = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS', 'AUTH'],
  disableReverseLookup: true,
  logger: false,
  maxClients: 100,
  onData(stream, _session, callback) {
    let head = '';
    stream.on('data', (chunk: Buffer) => {
      if (head.length < 4096) head += chunk.toString('latin1');
    });
    stream.on('end', () => {
      count += 1;
      seen.add(/^message-id:\s*(\S+)/im.exec(head)?.[1] ?? `none ${String(count)}`);
      callback(null, 'kept');
    });
  },
});
server.on('error', () => undefined);
server.listen(0, '127.0.0.1', () => {
  const { port } = server.server.address() as AddressInfo;
  process.send?.({ port });
});
process.on('message', (question) => {
  if (question === 'end') return void server.close(() => process.exit(0));
  process.send?.({ count, different: seen.size });
  count = 0;
  seen = new Set();
});
