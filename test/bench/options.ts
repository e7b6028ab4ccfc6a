import { parseArgs } from 'node:util';

export interface Options {
  readonly records: number;
  /** Seconds of one measurement of a reading work. */
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
  /** Run at 10,000, 100,000 and 1,000,000 records one after the other, and say how the works grow. */
  readonly growth: boolean;
  /** Only works whose name holds this text. */
  readonly only: string | null;
  /** Directory for a CPU profile of the product's server. */
  readonly profile: string | null;
  /** Keep the database on TEST_DATABASE_URL, or take the one that was kept. */
  readonly keep: boolean;
  /** Name of the database, so that several runs can use one PostgreSQL. */
  readonly database: string;
}

export const HELP = `Measures the web API against a hand-written server on the same PostgreSQL.

  npm run bench -- [options]

  --records N      providers in the database (default 100000); visits are 30 % of them
  --seconds N      length of one measurement (default 5); longer where fewer than 30 answers come
  --rounds N       rounds, of which the median counts (default 3)
  --growth         run at 10000, 100000 and 1000000 records and print how the works grow
  --only TEXT      only works whose name holds TEXT
  --profile DIR    write a CPU profile of the product's server to DIR (stand-alone use: with --only)
  --keep           with TEST_DATABASE_URL: keep the database for the next run with --keep
  --database NAME  name of the database there (default credenza_bench)
  --json           print rows of {work, records, ours, limit, ratio} as JSON

TEST_DATABASE_URL names a PostgreSQL to use; without it a server is started for this run.
`;

function databaseName(text: string): string {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(text)) throw new RangeError('--database is a name of small letters, digits and _.');
  return text;
}

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new RangeError(`--${name} is a whole number above 0.`);
  return Number(text);
}

/** Reads the command line; null asks for help. @throws for options that do not exist or are no numbers */
export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      records: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      growth: { type: 'boolean', default: false },
      only: { type: 'string' },
      profile: { type: 'string' },
      keep: { type: 'boolean', default: false },
      database: { type: 'string', default: 'credenza_bench' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  if (values.growth && values.keep) throw new RangeError('--growth makes a database for each size: it goes without --keep.');
  return {
    records: count('records', values.records),
    seconds: count('seconds', values.seconds),
    rounds: count('rounds', values.rounds),
    json: values.json,
    growth: values.growth,
    only: values.only ?? null,
    profile: values.profile ?? null,
    keep: values.keep,
    database: databaseName(values.database),
  };
}
