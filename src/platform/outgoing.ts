import { lookup as lookUp } from 'node:dns/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { AppError } from './errors.ts';
import { describeFailure } from './failure.ts';

/** An address of the network, as a name was resolved to it. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export interface OutgoingOptions {
  /** Asked before each call: a sandbox opens no connection and asks no name server. */
  readonly isSandbox: () => Promise<boolean>;
  /** Addresses with port (`127.0.0.1:9000`, `[::1]:9000`) that may be called although they are not public, also by http. */
  readonly allow?: readonly string[];
  /** Ports of public addresses that may be called. */
  readonly ports?: readonly number[];
  /** Milliseconds for a whole call. */
  readonly timeoutMs?: number;
  /** All addresses of a name; the system's resolver unless told. */
  readonly resolve?: (name: string) => Promise<readonly ResolvedAddress[]>;
}

/** What came of a call: an answer with any status, no answer, or an address that may not be called. */
export type OutgoingResult =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'refused'; readonly error: string };

export interface Outgoing {
  /**
   * Sends a body by POST. Redirects are not followed; of the answer at most 64 kB are read.
   * @throws AppError forbidden in a sandbox, before anything is looked up
   */
  post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<OutgoingResult>;
  /** Why a URL can never be called, or null. What its name resolves to is looked at when it is called, each time. */
  complaint(url: string): string | null;
}

const PORTS = [443, 8443] as const;
const TIMEOUT_MS = 10_000;
const MOST_BYTES = 65_536;

/** Of IPv4: what is not globally reachable by the special-purpose address registry of IANA (RFC 6890), 6to4 relays and multicast. */
const CLOSED_V4 = (
  [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const
).reduce((list, [net, bits]) => (list.addSubnet(net, bits, 'ipv4'), list), new BlockList());

/** Of IPv6 only global unicast is open, which leaves out loopback, mapped IPv4, NAT64, unique-local, link-local and multicast ... */
const OPEN_V6 = new BlockList();
OPEN_V6.addSubnet('2000::', 3, 'ipv6');
/** ... and within it Teredo and other protocol assignments, examples and 6to4, which may lead to an IPv4 address. */
const CLOSED_V6 = (
  [
    ['2001::', 23],
    ['2001:db8::', 32],
    ['2002::', 16],
    ['3fff::', 20],
  ] as const
).reduce((list, [net, bits]) => (list.addSubnet(net, bits, 'ipv6'), list), new BlockList());

/** Whether an address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !CLOSED_V4.check(address, 'ipv4');
  return family === 6 && OPEN_V6.check(address, 'ipv6') && !CLOSED_V6.check(address, 'ipv6');
}

class Refusal extends Error {}

/**
 * The only way in which this product calls an address that somebody entered. The name is resolved anew for each call, every address
 * that it has must be public, and the connection goes to the very address that was looked at: a name server that changes its mind gains nothing.
 */
export function makeOutgoing(options: OutgoingOptions): Outgoing {
  const { allow = [], ports = PORTS, timeoutMs = TIMEOUT_MS } = options;
  const resolve = options.resolve ?? ((name: string) => lookUp(name, { all: true, verbatim: true }));
  const allowed = new Set(allow.map(normalEntry));
  const isAllowed = (address: string, port: number): boolean => allowed.has(entryOf(address, port));

  /** The parts of a URL that may be called, as far as the URL itself says. */
  function read(text: string): { readonly url: URL; readonly host: string; readonly port: number } {
    if (!URL.canParse(text)) throw new Refusal('This is no URL.');
    const url = new URL(text);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Refusal('The URL must begin with https.');
    if (url.username !== '' || url.password !== '') throw new Refusal('The URL holds a user name or password.');
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
    if (isIP(host) !== 0 && isAllowed(host, port)) return { url, host, port };
    if (url.protocol !== 'https:') throw new Refusal('The URL must begin with https.');
    if (isIP(host) !== 0) {
      if (!ports.includes(port)) throw new Refusal(`Port ${String(port)} may not be called, only ${ports.join(' and ')}.`);
      if (!isPublicAddress(host)) throw new Refusal(`${host} is no public address.`);
    }
    const hasPort = ports.includes(port) || allow.some((entry) => entry.endsWith(`:${String(port)}`));
    if (!hasPort) throw new Refusal(`Port ${String(port)} may not be called, only ${ports.join(' and ')}.`);
    return { url, host, port };
  }

  /** The address that a host is called at; all that it has are looked at. */
  async function place(host: string, port: number): Promise<ResolvedAddress> {
    const family = isIP(host);
    if (family !== 0) return { address: host, family };
    const found = await resolve(host);
    const mayBe = ({ address }: ResolvedAddress): boolean => isAllowed(address, port) || (ports.includes(port) && isPublicAddress(address));
    const [first] = found;
    if (first === undefined) throw new Error(`${host} has no address.`);
    if (!found.every(mayBe)) throw new Refusal(`${host} leads to an address that is not public.`);
    return first;
  }

  return {
    complaint(text) {
      try {
        read(text);
        return null;
      } catch (error) {
        if (error instanceof Refusal) return error.message;
        throw error;
      }
    },
    async post(text, headers, body) {
      if (await options.isSandbox()) throw new AppError('forbidden', 'A sandbox calls no address outside.');
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        const { url, host, port } = read(text);
        const at = await until(signal, place(host, port));
        return await send(url, at, headers, body, signal);
      } catch (error) {
        if (error instanceof Refusal) return { kind: 'refused', error: error.message };
        if (signal.aborted) return { kind: 'failed', error: `There was no answer within ${String(timeoutMs / 1000)} seconds.` };
        return { kind: 'failed', error: describeFailure(error).message };
      }
    },
  };
}

/** Waits for work that cannot be cut off itself no longer than the signal says. */
function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('The time is over.'));
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** One request on a connection of its own to `at`; the name of the URL stays what the server and its certificate are asked for. */
function send(url: URL, at: ResolvedAddress, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<OutgoingResult> {
  const lookup: LookupFunction = (_name, wanted, done) =>
    wanted.all === true ? done(null, [{ address: at.address, family: at.family }]) : done(null, at.address, at.family);
  const bytes = Buffer.from(body);
  const given: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': bytes.length, connection: 'close' },
    agent: false,
    lookup,
    signal,
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, given, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      const done = (): void => {
        resolve({ kind: 'answered', status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') });
        request.destroy();
      };
      response.on('data', (part: Buffer) => {
        parts.push(part.subarray(0, MOST_BYTES - size));
        size += part.length;
        if (size >= MOST_BYTES) done();
      });
      response.on('end', done);
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(bytes);
  });
}

function entryOf(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
}

/** An entry of the list as a URL would write its address. */
function normalEntry(entry: string): string {
  return URL.canParse(`http://${entry}`) ? entryOf(new URL(`http://${entry}`).hostname.replace(/^\[(.*)\]$/, '$1'), Number(entry.replace(/^.*:/, ''))) : entry;
}

/** What is wrong with an entry of the list of allowed addresses, or null. */
export function allowedAddressComplaint(entry: string): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(entry);
  const isGood = match !== null && isIP(match[1] ?? match[2] ?? '') !== 0 && Number(match[3]) >= 1 && Number(match[3]) <= 65_535;
  return isGood ? null : 'must be addresses with port, such as 127.0.0.1:9000 or [::1]:9000, separated by commas';
}
