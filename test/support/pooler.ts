import { createServer, connect, type Server, type Socket } from 'node:net';

/** A way to PostgreSQL on which connections begin as through a pooler that is told to ignore start-up options. */
export interface Pooler {
  readonly url: string;
  close(): Promise<void>;
}

const IGNORED: readonly string[] = ['options', 'statement_timeout'];
const PROTOCOL = 196_608;

/** What a client opens its connection with, without the parameters that poolers ignore. */
function trimmed(start: Buffer): Buffer {
  if (start.readInt32BE(4) !== PROTOCOL) throw new Error('The connection begins with something else than its parameters.');
  const words = start.subarray(8, start.readInt32BE(0)).toString('utf8').split('\0');
  const kept: string[] = [];
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [name = '', value = ''] = [words[index], words[index + 1]];
    if (name !== '' && !IGNORED.includes(name)) kept.push(name, value);
  }
  const body = Buffer.from(`${kept.map((word) => `${word}\0`).join('')}\0`, 'utf8');
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(PROTOCOL, 4);
  return Buffer.concat([head, body]);
}

/** Passes on what the server says, up to the number of its process, which is told as another one. */
function passOn(server: Socket, client: Socket): void {
  let said = Buffer.alloc(0);
  const hear = (part: Buffer): void => {
    said = Buffer.concat([said, part]);
    for (;;) {
      const end = said.length < 5 ? Infinity : 1 + said.readInt32BE(1);
      if (end > said.length) return;
      const message = said.subarray(0, end);
      said = said.subarray(end);
      if (message[0] === 'K'.charCodeAt(0)) {
        message.writeInt32BE(message.readInt32BE(5) + 1_000_000, 5);
        server.off('data', hear);
        client.write(Buffer.concat([message, said]));
        server.pipe(client);
        return;
      }
      client.write(message);
    }
  };
  server.on('data', hear);
}

function join(client: Socket, server: Socket): void {
  client.once('data', (start: Buffer) => {
    server.write(trimmed(start));
    client.pipe(server);
  });
  passOn(server, client);
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

/** Listens in front of a PostgreSQL. */
export async function startPooler(url: string): Promise<Pooler> {
  const target = new URL(url);
  const listener: Server = createServer((client) => {
    join(client, connect(Number(target.port), target.hostname));
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const own = new URL(url);
  own.hostname = '127.0.0.1';
  own.port = String(typeof address === 'object' && address !== null ? address.port : 0);
  return { url: own.href, close: () => new Promise((resolve) => listener.close(() => resolve())) };
}
