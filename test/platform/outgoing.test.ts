import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isAppError } from '../../src/platform/errors.ts';
import {
  allowedAddressComplaint,
  isPublicAddress,
  makeOutgoing,
  type Outgoing,
  type OutgoingOptions,
  type ResolvedAddress,
} from '../../src/platform/outgoing.ts';

/** Ways to write an address that must not be called; PORT stands for the listener's. */
const FORMS = [
  'https://127.0.0.1:PORT/',
  'https://127.1:PORT/',
  'https://127.0.1:PORT/',
  'https://2130706433:PORT/',
  'https://0x7f000001:PORT/',
  'https://0x7f.0.0.1:PORT/',
  'https://0x7f.0x0.0x0.0x1:PORT/',
  'https://017700000001:PORT/',
  'https://0177.0.0.1:PORT/',
  'https://0177.0.0.01:PORT/',
  'https://127.0.0.1.:PORT/',
  'https://127.255.255.254:PORT/',
  'https://0.0.0.0:PORT/',
  'https://0:PORT/',
  'https://0x0:PORT/',
  'https://%31%32%37.0.0.1:PORT/',
  'https://127%2e0%2e0%2e1:PORT/',
  'https://127。0。0。1:PORT/',
  'https://127．0．0．1:PORT/',
  'https://①②⑦.⓪.⓪.①:PORT/',
  'https://１２７.０.０.１:PORT/',
  'https://[::1]:PORT/',
  'https://[0:0:0:0:0:0:0:1]:PORT/',
  'https://[::]:PORT/',
  'https://[::ffff:127.0.0.1]:PORT/',
  'https://[::ffff:7f00:1]:PORT/',
  'https://[0:0:0:0:0:ffff:127.0.0.1]:PORT/',
  'https://[::127.0.0.1]:PORT/',
  'https://[64:ff9b::127.0.0.1]:PORT/',
  'https://[64:ff9b:1::7f00:1]:PORT/',
  'https://[2002:7f00:1::]:PORT/',
  'https://[2001:0:7f00:1::]:PORT/',
  'https://[2001:db8::1]:PORT/',
  'https://[fe80::1]:PORT/',
  'https://[fe80::1%25lo]:PORT/',
  'https://[fec0::1]:PORT/',
  'https://[fc00::1]:PORT/',
  'https://[fd00:ec2::254]:PORT/',
  'https://[ff02::1]:PORT/',
  'https://[100::1]:PORT/',
  'https://10.0.0.1:PORT/',
  'https://172.16.0.1:PORT/',
  'https://172.31.255.255:PORT/',
  'https://192.168.0.1:PORT/',
  'https://100.64.0.1:PORT/',
  'https://169.254.169.254:PORT/latest/meta-data/',
  'https://2852039166:PORT/',
  'https://198.18.0.1:PORT/',
  'https://192.0.0.8:PORT/',
  'https://224.0.0.1:PORT/',
  'https://255.255.255.255:PORT/',
  'https://localhost:PORT/',
  'https://LOCALHOST:PORT/',
  'https://localhost.:PORT/',
  'https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/',
  'https://user:secret@127.0.0.1:PORT/',
  'https://hooks.plan.example@127.0.0.1:PORT/',
  'https://hooks.plan.example#@127.0.0.1:PORT/',
  'https:127.0.0.1:PORT',
  'https:\\\\127.0.0.1:PORT\\',
  'http://127.0.0.1:PORT/',
  'ftp://127.0.0.1:PORT/',
  'file:///etc/passwd',
  'gopher://127.0.0.1:PORT/',
  '//127.0.0.1:PORT/',
  ' https://127.0.0.1:PORT/ ',
  'https://127.0.0.1:22/',
  'https://rebinding.plan.example:PORT/',
  'https://mixed.plan.example:PORT/',
  'https://redirect.plan.example:PORT/',
] as const;

/** Bytes of a name server's answer to a question about IPv4 addresses (RFC 1035). */
function dnsAnswer(question: Buffer, addresses: readonly string[]): Buffer {
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt16BE(0, 8);
  header.writeUInt16BE(0, 10);
  const end = question.indexOf(0, 12) + 5;
  const records = addresses.map((address) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]));
  return Buffer.concat([header, question.subarray(12, end), ...records]);
}

describe('calls to addresses that somebody entered', () => {
  const connections = { forbidden: 0, allowed: 0 };
  const servers: Server[] = [];
  let port = 0;
  const questions: string[] = [];
  const dns = createSocket('udp4');
  const resolver = new Resolver({ tries: 1, timeout: 2000 });
  const resolve = async (name: string): Promise<readonly ResolvedAddress[]> =>
    name.endsWith('.plan.example')
      ? (await resolver.resolve4(name)).map((address) => ({ address, family: 4 }))
      : [
          { address: '127.0.0.1', family: 4 },
          { address: '::1', family: 6 },
        ];
  const outgoing = (more: Partial<OutgoingOptions> = {}): Outgoing =>
    makeOutgoing({ isSandbox: () => Promise.resolve(false), ports: [port], timeoutMs: 3000, resolve, ...more });
  const listen = async (host: string, count: () => void): Promise<void> => {
    const server = createServer((socket) => {
      count();
      socket.on('error', () => socket.destroy());
      socket.destroy();
    });
    server.listen(port, host);
    await once(server, 'listening');
    servers.push(server);
    const address: AddressInfo | string | null = server.address();
    if (typeof address === 'object' && address !== null) port = address.port;
  };

  before(async () => {
    const forbidden = (): void => void (connections.forbidden += 1);
    await listen('127.0.0.1', forbidden);
    const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    if (own.some(({ address }) => address === '::1')) await listen('::1', forbidden);
    await listen('127.0.0.2', () => void (connections.allowed += 1));
    let asked = 0;
    dns.on('message', (question, from) => {
      const name = question.toString('latin1', 13, 13 + (question[12] ?? 0));
      questions.push(name);
      const rebound = (asked += 1) % 2 === 1 ? ['127.0.0.2'] : ['127.0.0.1'];
      dns.send(dnsAnswer(question, name === 'rebinding' ? rebound : name === 'mixed' ? ['127.0.0.2', '127.0.0.1'] : ['127.0.0.1']), from.port, from.address);
    });
    dns.bind(0, '127.0.0.1');
    await once(dns, 'listening');
    resolver.setServers([`127.0.0.1:${String(dns.address().port)}`]);
  });
  after(() => {
    for (const server of servers) server.close();
    dns.close();
  });

  it('make no connection to a forbidden address, however it is written', async () => {
    expect(FORMS.length).to.be.at.least(60);
    const client = outgoing({ allow: [`127.0.0.2:${String(port)}`] });
    for (const form of FORMS) {
      const result = await client.post(form.replaceAll('PORT', String(port)), {}, '{}');
      const mayFail = form.includes('rebinding') || form.includes('#@');
      expect(result.kind, form).to.be.oneOf(mayFail ? ['refused', 'failed'] : ['refused']);
    }
    expect(connections.forbidden).to.equal(0);
  });

  it('look at the address of a name anew each time, and connect to that very address', async () => {
    const client = outgoing({ allow: [`127.0.0.2:${String(port)}`] });
    const before = { ...connections, questions: questions.length };
    const kinds: string[] = [];
    for (let turn = 0; turn < 10; turn += 1) kinds.push((await client.post(`https://rebinding.plan.example:${String(port)}/`, {}, '{}')).kind);
    expect(kinds.filter((kind) => kind === 'refused')).to.have.length(5);
    expect(
      kinds.filter((kind) => kind === 'failed'),
      'what answers there speaks no TLS',
    ).to.have.length(5);
    expect(questions.length - before.questions).to.equal(10);
    expect(connections.allowed).to.be.greaterThan(before.allowed);
    expect(connections.forbidden).to.equal(0);
    expect((await client.post(`https://mixed.plan.example:${String(port)}/`, {}, '{}')).kind).to.equal('refused');
  });

  it('reach what the installation allows, follow no redirect and end an answer that is too long or never comes', async () => {
    let calls = 0;
    const big = createHttp((request, response) => {
      calls += 1;
      if (request.url === '/hang') return;
      if (request.url === '/redirect') response.writeHead(302, { location: `http://127.0.0.1:${String(port)}/` }).end();
      else if (request.url === '/big') response.end('x'.repeat(1_000_000));
      else request.on('data', (part: Buffer) => response.end(`${String(request.headers['x-mark'])} ${part.toString()}`));
    });
    big.listen(0, '127.0.0.1');
    await once(big, 'listening');
    const address: AddressInfo | string | null = big.address();
    const own = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const client = outgoing({ allow: [`127.0.0.1:${String(own)}`], timeoutMs: 500 });
      const base = `http://127.0.0.1:${String(own)}`;
      expect(await client.post(`${base}/`, { 'x-mark': 'm' }, '{"a":1}')).to.deep.equal({ kind: 'answered', status: 200, body: 'm {"a":1}' });
      expect(await client.post(`${base}/redirect`, {}, '{}')).to.deep.equal({ kind: 'answered', status: 302, body: '' });
      const long = await client.post(`${base}/big`, {}, '{}');
      expect(long.kind === 'answered' && long.body.length).to.equal(65_536);
      expect((await client.post(`${base}/hang`, {}, '{}')).kind).to.equal('failed');
      expect(calls).to.equal(4);
      expect((await outgoing().post(`${base}/`, {}, '{}')).kind).to.equal('refused');
      expect(calls).to.equal(4);
    } finally {
      big.closeAllConnections();
      big.close();
    }
    expect(connections.forbidden).to.equal(0);
  });

  it('do not happen in a sandbox: no name is looked up and no socket opened', async () => {
    const before = { ...connections, questions: questions.length };
    const client = outgoing({ isSandbox: () => Promise.resolve(true), allow: [`127.0.0.2:${String(port)}`] });
    for (const host of ['rebinding.plan.example', '127.0.0.2']) {
      const refused: unknown = await client.post(`https://${host}:${String(port)}/`, {}, '{}').catch((error: unknown) => error);
      expect(isAppError(refused, 'forbidden'), host).to.equal(true);
    }
    expect({ ...connections, questions: questions.length }).to.deep.equal(before);
  });

  it('know the public addresses and read the list of allowed ones', () => {
    for (const open of ['93.184.215.14', '1.1.1.1', '2606:4700:4700::1111', '2a00:1450:4001:80b::200e']) expect(isPublicAddress(open), open).to.equal(true);
    for (const closed of ['127.0.0.1', '::ffff:1.1.1.1', '64:ff9b::101:101', 'plan.example', '']) expect(isPublicAddress(closed), closed).to.equal(false);
    for (const good of ['127.0.0.1:9000', '[::1]:9000']) expect(allowedAddressComplaint(good), good).to.equal(null);
    for (const wrong of ['127.0.0.1', 'localhost:9000', '::1:9000', '127.0.0.1:0', '1.2.3:80']) expect(allowedAddressComplaint(wrong), wrong).to.be.a('string');
  });
});
