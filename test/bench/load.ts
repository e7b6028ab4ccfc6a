import autocannon from 'autocannon';
import type { ServerProcess } from './child.ts';

const CONNECTIONS = 10;
/** autocannon looks this often whether it is done; its own default of a second would be counted as work. */
const SAMPLE_MS = 50;

/** A measurement has at least so many answers: what takes seconds is measured for longer than was asked for ... */
const LEAST_ANSWERS = 30;
/** ... but no longer than this. */
const LONGEST_S = 120;

export type HttpRequest = autocannon.Request;

/** One measurement of one server. */
export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMs: number;
  readonly statements: number;
  readonly rssMb: number;
}

/**
 * Sends the requests over ten connections: for some seconds and until thirty answers have come, or (when each may be sent once only) until all
 * are answered.
 */
export async function measure(server: ServerProcess, requests: readonly HttpRequest[], seconds: number, once: boolean): Promise<Measured> {
  const before = await server.usage();
  let next = 0;
  const take = (): HttpRequest => requests[next++ % requests.length] ?? {};
  let last = performance.now();
  let answers = 0;
  const from = last;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const tracker = autocannon(
      {
        url: server.url,
        connections: CONNECTIONS,
        requests: [{ setupRequest: (request) => ({ ...request, ...take() }) }],
        sampleInt: SAMPLE_MS,
        // A request may take as long as a measurement; autocannon would give up after ten seconds.
        timeout: LONGEST_S,
        ...(once ? { amount: requests.length } : { duration: Math.max(seconds, LONGEST_S) }),
      },
      (error: unknown, done) => {
        if (error instanceof Error) reject(error);
        else resolve(done);
      },
    );
    tracker.on('response', () => {
      last = performance.now();
      answers += 1;
      if (!once && answers >= LEAST_ANSWERS && last - from >= seconds * 1000) tracker.stop();
    });
  });
  const after = await server.usage();
  const count = result['2xx'];
  if (count === 0 && result.non2xx === 0 && result.errors === 0) throw new Error(`No answer came within ${String(LONGEST_S)} s.`);
  if (count === 0 || result.non2xx > 0 || result.errors > 0) {
    throw new Error(`The server failed under load: ${String(count)} good answers, ${String(result.non2xx)} others, ${String(result.errors)} errors.`);
  }
  return {
    perSecond: count / ((last - from) / 1000),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    cpuMs: (after.cpuMs - before.cpuMs) / count,
    statements: (after.statements - before.statements) / count,
    rssMb: after.rssMb,
  };
}

/** The median of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new RangeError('There is no median of nothing.');
  return sorted.length % 2 === 1 ? middle : (middle + (sorted[sorted.length / 2 - 1] ?? middle)) / 2;
}

/** The median measurement, figure by figure. */
export function medianOf(measured: readonly Measured[]): Measured {
  const of = (name: keyof Measured): number => median(measured.map((one) => one[name]));
  return { perSecond: of('perSecond'), p50Ms: of('p50Ms'), p99Ms: of('p99Ms'), cpuMs: of('cpuMs'), statements: of('statements'), rssMb: of('rssMb') };
}
