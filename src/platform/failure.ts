import { isAppError } from './errors.ts';

/** What may be logged or kept of a failure: never a value that somebody typed, stored or sent. */
export interface Failure {
  /** Code of an AppError, SQLSTATE of the database, code of the operating system, or the kind of error. */
  readonly code: string;
  readonly message: string;
}

/**
 * States whose messages name tables, columns and constraints only. Others (a text that is no date, a value that is too
 * long, an exception of a trigger) quote what was sent, so that of those nothing is said but the state and the place.
 */
const NAMES_ONLY = /^(?:23\w{3}|40\w{3}|53\w{3}|55\w{3}|57\w{3}|25\w{3}|26000|0A000|42703|42P01|42P07|42P18|42883|42804|42501)$/;
const LONGEST = 300;

/** What is certain to hold no personal data in an error: for logs, and for what administrators are shown of runs. */
export function describeFailure(error: unknown): Failure {
  if (isAppError(error)) return { code: error.code, message: error.message };
  if (!(error instanceof Error)) return { code: 'unknown', message: typeof error };
  const code = textOf(error, 'code');
  if (code !== null && /^[0-9A-Z]{5}$/.test(code) && textOf(error, 'severity') !== null) return { code, message: databaseMessage(error, code) };
  // Raised where a connection or a file is opened: addresses and paths of our own.
  if (code !== null && textOf(error, 'syscall') !== null) return { code, message: error.message.slice(0, LONGEST) };
  return { code: code ?? error.name, message: withoutValues(error.message, error instanceof TypeError || error instanceof ReferenceError).slice(0, LONGEST) };
}

/** knex puts the statement before the server's words. */
function databaseMessage(error: Error, state: string): string {
  const said = NAMES_ONLY.test(state) ? `: ${error.message.split(' - ').at(-1) ?? ''}`.slice(0, LONGEST) : '';
  const places = ['table', 'column', 'constraint', 'dataType', 'routine'].flatMap((name) => {
    const value = textOf(error, name);
    return value === null ? [] : [`${name === 'dataType' ? 'type' : name} ${value}`];
  });
  return `SQLSTATE ${state}${said}${places.length === 0 ? '' : ` (${places.join(', ')})`}`;
}

/** Words of an error without what they quote. The engine's own errors about code name properties, which hold nothing. */
function withoutValues(message: string, keepsNames: boolean): string {
  const unquoted = message.replace(/"[^"]*"|`[^`]*`/g, '(not shown)');
  const bare = keepsNames ? unquoted : unquoted.replace(/'[^']*'/g, '(not shown)').replace(/: .*$/s, ': (not shown)');
  return bare.replace(/\S+@[^\s,;)]+/g, '(address)').replace(/\d{4,}/g, '(number)');
}

/** The boundary to members that drivers put on their errors. */
function textOf(error: Error, name: string): string | null {
  const value: unknown = Object.getOwnPropertyDescriptor(error, name)?.value;
  return typeof value === 'string' && value !== '' ? value : null;
}
