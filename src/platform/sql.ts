import type { Knex } from 'knex';
import { PreparedRun, type Answer, type PreparedStatement, type Rows } from './prepared.ts';

/**
 * The only way SQL text is made: immutable fragments of text with `?` place-holders and bound values.
 * Interpolated values are always bound; identifiers pass through `ident`, fragments nest.
 */
export interface Sql {
  readonly kind: 'sql';
  readonly text: string;
  readonly values: readonly unknown[];
}

function isSql(part: unknown): part is Sql {
  return typeof part === 'object' && part !== null && 'kind' in part && part.kind === 'sql' && 'text' in part;
}

/** Tagged template: `sql\`select ${ident('a')} where b = ${5}\`` */
export function sql(strings: TemplateStringsArray, ...parts: readonly unknown[]): Sql {
  let text = strings[0] ?? '';
  const values: unknown[] = [];
  parts.forEach((part, index) => {
    if (isSql(part)) {
      text += part.text;
      values.push(...part.values);
    } else {
      text += '?';
      values.push(part === undefined ? null : part);
    }
    text += strings[index + 1] ?? '';
  });
  return { kind: 'sql', text, values };
}

/** A quoted identifier, dotted when several names are given. */
export function ident(...names: readonly string[]): Sql {
  const text = names.map((name) => `"${name.replaceAll('"', '""')}"`).join('.');
  if (text.includes('?') || text.includes('\\')) throw new RangeError('Identifiers hold neither ? nor \\');
  return { kind: 'sql', text, values: [] };
}

/** Fragments joined by a separator that the code itself gives (never user text). */
export function joinSql(parts: readonly Sql[], separator = ', '): Sql {
  return { kind: 'sql', text: parts.map((part) => part.text).join(separator), values: parts.flatMap((part) => part.values) };
}

/** Fixed text of the code's own, such as a keyword or a generated cast; never user text. */
export function keyword(text: string): Sql {
  return { kind: 'sql', text, values: [] };
}

export const EMPTY: Sql = { kind: 'sql', text: '', values: [] };

export interface RunOptions {
  /** Name of a prepared statement; the same name must always mean the same text. */
  readonly name?: string;
}

/** Runs a statement and returns its rows as unchecked records; callers narrow them at one named boundary. */
export async function rows(db: Knex, statement: Sql, options: RunOptions = {}): Promise<Record<string, unknown>[]> {
  return watched(db, statement.text, statement.values, async () => {
    if (options.name !== undefined && mayPrepare(db)) {
      const { columns, rows: found } = await sendPrepared(db, { name: options.name, text: numberedText(statement.text) }, statement.values);
      return found.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
    }
    const answer = await db.raw<{ rows: Record<string, unknown>[] }>(statement.text, [...statement.values] as Knex.RawBinding[]);
    return answer.rows;
  });
}

/** Asks whether a condition holds, in a statement of its own. Reads only. */
export async function holds(db: Knex, condition: Sql): Promise<boolean> {
  const [found] = await rows(db, sql`select ${condition} as holds`);
  return found?.['holds'] === true;
}

/** Runs a statement and returns how many rows it touched. */
export async function run(db: Knex, statement: Sql): Promise<number> {
  const answer = await db.raw<{ rowCount: number | null }>(statement.text, [...statement.values] as Knex.RawBinding[]);
  return answer.rowCount ?? 0;
}

/** A statement that is sent often: its text with numbered place-holders, and its name when it is prepared. */
export interface ReadyStatement {
  readonly text: string;
  readonly numbered: string;
  /** What is known of it on the server; null for one without a name, which is parsed each time. */
  readonly prepared: PreparedStatement | null;
}

/** Makes a text ready to be sent often. The same name must always mean the same text. */
export function ready(text: string, name: string | null = null): ReadyStatement {
  const numbered = numberedText(text);
  return { text, numbered, prepared: name === null ? null : { name, text: numbered } };
}

function numberedText(text: string): string {
  let count = 0;
  return text.replace(/\\\?|\?/g, (mark) => (mark === '?' ? `$${String((count += 1))}` : '?'));
}

/**
 * Runs a statement and returns its rows as arrays, in the order of the columns. Outside a transaction it goes straight
 * to a connection of the pool: knex's builder takes as long as the rest of a read by id.
 * @param onConnected told when there is a connection, which a busy pool may take seconds to give
 */
export function rowArrays(db: Knex, statement: ReadyStatement, values: readonly unknown[], onConnected?: () => void): Promise<Rows> {
  return watched(db, statement.text, values, () => sendArrays(db, statement, values, onConnected));
}

async function sendArrays(db: Knex, { text, numbered, prepared }: ReadyStatement, values: readonly unknown[], onConnected?: () => void): Promise<Rows> {
  if (prepared !== null && mayPrepare(db)) return (await sendPrepared(db, prepared, values, onConnected)).rows;
  if (isTransaction(db)) {
    const answer = await db.raw<{ rows: unknown[][] }>(text, [...values] as Knex.RawBinding[]).options({ rowMode: 'array' });
    return answer.rows;
  }
  return onConnection(db, async (connection) => (await connection.query({ text: numbered, values, rowMode: 'array' })).rows, onConnected);
}

/** Statements with a name go past knex, also in a transaction; whoever listens there hears of them. */
function sendPrepared(db: Knex, statement: PreparedStatement, values: readonly unknown[], onConnected?: () => void): Promise<Answer> {
  if (isTransaction(db)) {
    if (db.isCompleted()) throw new Error('A statement was sent after the end of its transaction.');
    db.client.emit('query', { sql: statement.text, bindings: values });
  }
  const send = (connection: Connection): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const end = (error: unknown, answer: Answer): void => {
        if (error === null) resolve(answer);
        else reject(error instanceof Error ? error : new Error(String(error)));
      };
      connection.query(new PreparedRun(statement, values, end));
    });
  return onConnection(db, send, onConnected);
}

/** Runs work on a connection of the pool, or on that of the transaction. */
async function onConnection<T>(db: Knex, work: (connection: Connection) => Promise<T>, onConnected?: () => void): Promise<T> {
  const pool = poolOf(db);
  const connection = await pool.acquireConnection();
  onConnected?.();
  try {
    return await work(connection);
  } finally {
    await pool.releaseConnection(connection);
  }
}

/** False where names are turned off, as a pooler needs it that gives each transaction another connection; set in `db.ts`. */
export function mayPrepare(db: Knex): boolean {
  return db.userParams['prepares'] !== false;
}

/** True when this handle already is a transaction. */
export function isTransaction(db: Knex): db is Knex.Transaction {
  return 'isTransaction' in db && db.isTransaction === true;
}

interface Connection {
  query(run: PreparedRun): PreparedRun;
  query(config: { readonly text: string; readonly values: readonly unknown[]; readonly rowMode: 'array' }): Promise<{ readonly rows: Rows }>;
}

/** The boundary to knex's pool, which knex's own types leave open. */
function poolOf(db: Knex): { acquireConnection(): Promise<Connection>; releaseConnection(connection: Connection): Promise<void> } {
  return db.client;
}

/** A statement that took long, as it may be logged: its text with place-holders and PostgreSQL's plan, values left out of both. */
export interface SlowStatement {
  readonly ms: number;
  readonly text: string;
  readonly plan: readonly string[];
}

/** Asks to be told of statements that take longer, or had to wait longer for a connection. */
export interface SlowReport {
  readonly overMs: number;
  readonly report: (slow: SlowStatement) => void;
}

/** The same for a pool; set in `db.ts`. Plans are asked for by a connection of the pool, never in the transaction that was slow. */
export interface SlowWatch extends SlowReport {
  readonly db: Knex;
}

async function watched<T>(db: Knex, text: string, values: readonly unknown[], send: () => Promise<T>): Promise<T> {
  const watch = slowWatchOf(db);
  if (watch === null) return send();
  const from = performance.now();
  const answer = await send();
  const ms = performance.now() - from;
  // Whoever waits for the answer does not wait for the plan: what was written is written, whatever becomes of the report.
  if (ms > watch.overMs) void tell(watch, { ms: Math.round(ms), text }, values);
  return answer;
}

/** Pools of which a plan is being asked: one at a time, for what is slow is slow together. */
const explaining = new WeakSet<SlowWatch>();

async function tell(watch: SlowWatch, slow: Omit<SlowStatement, 'plan'>, values: readonly unknown[]): Promise<void> {
  if (explaining.has(watch)) {
    watch.report({ ...slow, plan: [] });
    return;
  }
  explaining.add(watch);
  const plan = await planOf(watch.db, slow.text, values).catch((error: unknown) => [
    `The plan is not known: ${error instanceof Error ? error.name : 'error'}.`,
  ]);
  explaining.delete(watch);
  watch.report({ ...slow, plan });
}

/** The plan, with the values that PostgreSQL writes into it blanked. Empty for statements that have none. */
async function planOf(db: Knex, text: string, values: readonly unknown[]): Promise<readonly string[]> {
  if (!/^\s*(select|with|insert|update|delete)\b/i.test(text)) return [];
  const { rows: lines } = await db.raw<{ rows: Record<string, unknown>[] }>(`explain ${text}`, [...values] as Knex.RawBinding[]);
  return lines.map((line) => String(line['QUERY PLAN']).replace(/'(?:[^']|'')*'/g, "'…'"));
}

/** The one boundary to what `db.ts` keeps with a pool. */
function slowWatchOf(db: Knex): SlowWatch | null {
  const watch: SlowWatch | undefined = db.userParams['slow'];
  return watch ?? null;
}

/** `"schema"."table"` of a platform table; the schema (tenant) comes with the connection, see `db.ts`. */
export function platformTable(db: Knex, name: string): Sql {
  return ident(schemaOf(db), name);
}

/** The tenant's schema that this connection works in. */
export function schemaOf(db: Knex): string {
  const schema: unknown = db.userParams['schema'];
  if (typeof schema !== 'string') throw new Error('This connection has no tenant schema: open it through db.ts');
  return schema;
}
