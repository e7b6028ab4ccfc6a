import pg from 'pg';

declare module 'pg' {
  interface Connection {
    /** Names of the statements that the server has by now, with their texts; the driver's client adds to it. */
    readonly parsedStatements: Record<string, string | undefined>;
  }
}

/** The boundary to how the driver writes values, which its types leave out. */
const DRIVER: { readonly utils: { prepareValue(value: unknown): string | Buffer | null } } = Object(pg);

/** Makes a value of what PostgreSQL sent as text. */
type Parser = (text: string) => unknown;

/** How the driver makes a value of a text of PostgreSQL's, by the number of its type; for texts that stand inside of another value. */
export function parserOf(typeId: number): Parser {
  return pg.types.getTypeParser(typeId, 'text');
}

export type Rows = readonly (readonly unknown[])[];

/** What a statement answers: the names of its columns, and the rows by their order. */
export interface Answer {
  readonly columns: readonly string[];
  readonly rows: Rows;
}

interface Described {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** A statement with a name, which the same text has everywhere. */
export interface PreparedStatement {
  readonly name: string;
  /** Its text with `$1`. */
  readonly text: string;
}

/**
 * Each name costs its connection's process in PostgreSQL 10 to 80 kB, for its text and plan. When there are more names than this, those unused
 * for longest are given back, several together; the messages for that travel with a statement that is sent anyway.
 */
export const MOST_NAMES = 400;
const GIVEN_BACK_TOGETHER = 40;

/** The server's answer that a statement does not suit its tables any more, that it does not know it, and that it has it already. */
export const STALE_PLAN: readonly string[] = ['0A000', '26000', '42P05'];

/** A name that a connection has. */
interface Held {
  readonly text: string;
  columns: readonly string[];
  /** How its columns are read, once it has run. */
  parsers: readonly Parser[] | null;
  /** It is to be prepared once more before it runs again. */
  isStale: boolean;
}

/** The names of each connection; the one used last is at the end. */
const heldNames = new WeakMap<pg.Connection, Map<string, Held>>();

function heldBy(connection: pg.Connection): Map<string, Held> {
  const known = heldNames.get(connection);
  if (known !== undefined) return known;
  const made = new Map<string, Held>();
  heldNames.set(connection, made);
  return made;
}

function giveBack(connection: pg.Connection, name: string): void {
  connection.close({ type: 'S', name }, true);
  Reflect.deleteProperty(connection.parsedStatements, name);
}

/**
 * One run of a prepared statement, as pg's client takes it in place of a query of its own. What columns such a statement answers
 * does not change on a connection (PostgreSQL refuses to run it if it would), so it is described when it runs there first and not again: for a record
 * of 75 fields that is 3 kB and a tenth of the time of a read.
 */
export class PreparedRun {
  readonly name: string;
  readonly text: string;
  private readonly rows: unknown[][] = [];
  private readonly values: (string | Buffer | null)[];
  private held: Held;
  private columns: readonly string[] = [];
  private parsers: readonly Parser[] | null = null;
  /** Told once, with what went wrong or null. */
  readonly callback: (error: unknown, answer: Answer) => void;
  private failure: unknown = null;

  constructor(statement: PreparedStatement, values: readonly unknown[], callback: (error: unknown, answer: Answer) => void) {
    this.callback = callback;
    this.name = statement.name;
    this.text = statement.text;
    this.held = { text: statement.text, columns: [], parsers: null, isStale: false };
    this.values = values.map((value) => DRIVER.utils.prepareValue(value));
  }

  submit(connection: pg.Connection): Error | null {
    const names = heldBy(connection);
    const known = names.get(this.name);
    if (known !== undefined && known.text !== this.text) return new Error(`Two statements are named ${this.name}.`);
    connection.stream.cork();
    if (known?.isStale === true) giveBack(connection, this.name);
    else if (known !== undefined) this.held = known;
    names.delete(this.name);
    names.set(this.name, this.held);
    if (names.size > MOST_NAMES) giveBackOldest(connection, names);
    if (connection.parsedStatements[this.name] === undefined) connection.parse({ name: this.name, text: this.text, types: [] }, true);
    connection.bind({ statement: this.name, values: this.values }, true);
    ({ columns: this.columns, parsers: this.parsers } = this.held);
    if (this.parsers === null) connection.describe({ type: 'P' }, true);
    connection.execute(null, true);
    connection.sync();
    connection.stream.uncork();
    return null;
  }

  handleRowDescription({ fields }: Described): void {
    this.columns = fields.map((field) => field.name);
    this.parsers = fields.map((field) => parserOf(field.dataTypeID));
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const { parsers } = this;
    if (parsers === null) this.failure ??= new Error(`The columns of ${this.name} are not known.`);
    else {
      try {
        this.rows.push(fields.map((text, index) => (text === null ? null : parsers[index]?.(text))));
      } catch (error) {
        this.failure ??= error;
      }
    }
  }

  handleError(error: unknown): void {
    if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' && STALE_PLAN.includes(error.code))
      this.held.isStale = true;
    this.callback(this.failure ?? error, { columns: [], rows: [] });
  }

  handleReadyForQuery(): void {
    this.callback(this.failure, { columns: this.columns, rows: this.rows });
  }

  /** The client tells of the end of each command; what follows was sent with it. */
  handleCommandComplete(): void {
    this.held.columns = this.columns;
    this.held.parsers = this.parsers ?? [];
  }
}

function giveBackOldest(connection: pg.Connection, names: Map<string, Held>): void {
  for (const name of names.keys()) {
    if (names.size <= MOST_NAMES - GIVEN_BACK_TOGETHER) return;
    giveBack(connection, name);
    names.delete(name);
  }
}
