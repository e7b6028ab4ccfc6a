import { availableParallelism, cpus, totalmem } from 'node:os';

/** One line of the result. The members up to `ratio` are the public form of `--json`. */
export interface Row {
  readonly work: string;
  /** What the limit is for this row. */
  readonly against: string;
  readonly records: number;
  readonly ours: number;
  readonly limit: number;
  readonly ratio: number;
  readonly unit: string;
  /** CPU of the server process a request (or row), in milliseconds. */
  readonly cpuMs: number;
  readonly limitCpuMs: number;
  /** Statements sent to PostgreSQL a request, BEGIN and COMMIT among them. */
  readonly statements?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly limitP50Ms?: number;
  readonly rssMb?: number;
  readonly peakMb?: number;
}

const HEAD = ['work', 'against', 'ours', 'limit', 'ratio', 'statements', 'CPU ms', 'CPU ms of the limit', 'p50 ms', 'p99 ms', 'memory MB'];

/** Prints the rows as a table that also reads as Markdown, with the machine and the settings. */
export function printTable(found: readonly Row[], settings: string): void {
  const optional = (value: number | undefined, digits: number): string => (value === undefined ? '' : value.toFixed(digits));
  const lines = found.map((row) => [
    row.work,
    row.against,
    `${row.ours.toFixed(0)} ${row.unit}`,
    row.limit.toFixed(0),
    row.ratio.toFixed(2),
    optional(row.statements, 2),
    row.cpuMs.toFixed(3),
    row.limitCpuMs.toFixed(3),
    optional(row.p50Ms, 1),
    optional(row.p99Ms, 1),
    optional(row.rssMb ?? row.peakMb, 0),
  ]);
  const widths = HEAD.map((head, index) => Math.max(head.length, ...lines.map((line) => line[index]?.length ?? 0)));
  const format = (line: readonly string[]): string => `| ${line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const [processor] = cpus();
  process.stdout.write(`${[format(HEAD), rule, ...lines.map(format)].join('\n')}\n\n`);
  process.stdout.write(`${String(Math.max(0, ...found.map(({ records }) => records)))} records; PostgreSQL: ${settings}\n`);
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  process.stdout.write(
    `Node.js ${process.versions.node}, ${process.platform} ${process.arch}, ${String(availableParallelism())} x ${processor?.model ?? '?'}, ${memory} GB\n`,
  );
}
