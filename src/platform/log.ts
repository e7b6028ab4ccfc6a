import { pino, type Logger } from 'pino';

export type Log = Logger;

/** One JSON logger on stderr. Never log personal data: ids, counts and codes only. */
export function makeLog(level: string, destination: NodeJS.WritableStream = process.stderr): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}
