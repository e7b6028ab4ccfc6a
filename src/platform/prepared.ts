import pg from 'pg';

declare module 'pg' {
  interface Connection {
    /** Names of the statements that the server has by now, and of those on their way to it, with their texts. */
    readonly parsedStatements: Record<string, string | undefined>;
    readonly submittedNamedStatements: Record<string, string | undefined>;
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

interface Described {
  readonly fields: readonly { readonly dataTypeID: number }[];
}

/** A statement with a name, which the same text has everywhere. */
export interface PreparedStatement {
  readonly name: string;
  /** Its text with `$1`. */
  readonly text: string;
}

/** How the columns of each statement are read that has run on a connection. */
const described = new WeakMap<pg.Connection, Map<string, readonly Parser[]>>();

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
  private readers: Map<string, readonly Parser[]> = new Map();
  private parsers: readonly Parser[] | undefined;
  /** Told once, with what went wrong or null. */
  readonly callback: (error: unknown, rows: Rows) => void;
  private failure: unknown = null;

  constructor(statement: PreparedStatement, values: readonly unknown[], callback: (error: unknown, rows: Rows) => void) {
    this.callback = callback;
    this.name = statement.name;
    this.text = statement.text;
    this.values = values.map((value) => DRIVER.utils.prepareValue(value));
  }

  submit(connection: pg.Connection): Error | null {
    const known = connection.parsedStatements[this.name] ?? connection.submittedNamedStatements[this.name];
    if (known !== undefined && known !== this.text) return new Error(`Two statements are named ${this.name}.`);
    this.readers = described.get(connection) ?? new Map<string, readonly Parser[]>();
    described.set(connection, this.readers);
    this.parsers = known === undefined ? undefined : this.readers.get(this.name);
    connection.stream.cork();
    if (known === undefined) {
      connection.parse({ name: this.name, text: this.text, types: [] }, true);
      connection.submittedNamedStatements[this.name] = this.text;
    }
    connection.bind({ statement: this.name, values: this.values }, true);
    if (this.parsers === undefined) connection.describe({ type: 'P' }, true);
    connection.execute(null, true);
    connection.sync();
    connection.stream.uncork();
    return null;
  }

  handleRowDescription({ fields }: Described): void {
    this.parsers = fields.map((field) => parserOf(field.dataTypeID));
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const { parsers } = this;
    if (parsers === undefined) this.failure ??= new Error(`The columns of ${this.name} are not known.`);
    else {
      try {
        this.rows.push(fields.map((text, index) => (text === null ? null : parsers[index]?.(text))));
      } catch (error) {
        this.failure ??= error;
      }
    }
  }

  handleError(error: unknown): void {
    this.callback(this.failure ?? error, []);
  }

  handleReadyForQuery(): void {
    this.callback(this.failure, this.rows);
  }

  /** The client tells of the end of each command; what follows was sent with it. */
  handleCommandComplete(): void {
    this.readers.set(this.name, this.parsers ?? []);
  }
}
