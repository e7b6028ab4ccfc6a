import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../src/platform/root.ts';

/** Path of a file of the shared data set (`CREDENZA_SHARED`, default `../shared`); null when it is not there. */
export function sharedFile(...parts: readonly string[]): string | null {
  const directory = process.env['CREDENZA_SHARED'] ?? resolve(packageRoot(), '..', 'shared');
  const path = join(directory, 'data', ...parts);
  return existsSync(path) ? path : null;
}

/** Makes a test pending, with a message that says what is missing and where it is looked for. */
export function pendingWithout(test: Mocha.Context, what: string): void {
  if (test.test !== undefined) test.test.title += ` (pending: ${what} of the shared data is not here; set CREDENZA_SHARED)`;
  test.skip();
}
