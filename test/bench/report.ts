import { availableParallelism, cpus, totalmem } from 'node:os';
import { goalOf, isIndexed, MOST_GROWTH } from './goals.ts';

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

const HEAD = ['work', 'against', 'ours', 'limit', 'ratio', 'goal', 'met', 'statements', 'CPU ms', 'CPU ms of the limit', 'p50 ms', 'p99 ms', 'memory MB'];

/** Prints the rows as a table that also reads as Markdown, with the machine and the settings. */
export function printTable(found: readonly Row[], settings: string): void {
  const optional = (value: number | undefined, digits: number): string => (value === undefined ? '' : value.toFixed(digits));
  const lines = found.map((row) => [
    row.work,
    row.against,
    `${row.ours.toFixed(row.unit === '%' ? 2 : 0)} ${row.unit}`,
    row.limit === 0 ? '' : row.limit.toFixed(0),
    row.ratio === 0 ? '' : row.ratio.toFixed(2),
    ...judge(row),
    optional(row.statements, 2),
    row.cpuMs.toFixed(3),
    row.limitCpuMs.toFixed(3),
    optional(row.p50Ms, 1),
    optional(row.p99Ms, 1),
    optional(row.rssMb ?? row.peakMb, 0),
  ]);
  process.stdout.write(`${tableOf(HEAD, lines)}\n\n`);
  process.stdout.write(`${String(Math.max(0, ...found.map(({ records }) => records)))} records; PostgreSQL: ${settings}\n`);
  process.stdout.write(`${machine()}\n`);
}

/** The goal of a row, and a mark where it is missed. */
function judge(row: Row): readonly [string, string] {
  const goal = goalOf(row.work, row.against);
  if (goal === null) return ['', ''];
  return [goal.text, goal.isMet(row) ? 'yes' : '**no**'];
}

/** Prints how the rates of the smallest and the largest size differ: the factor by which one request takes longer. */
export function printGrowth(found: readonly Row[]): void {
  const sizes = [...new Set(found.map(({ records }) => records))].filter((size) => size > 0).sort((a, b) => a - b);
  const [first, last] = [sizes[0], sizes.at(-1)];
  const works = [...new Set(found.map(({ work, against }) => `${work}|${against}`))];
  const lines = works.flatMap((key) => {
    const of = (size: number | undefined): Row | undefined => found.find((row) => `${row.work}|${row.against}` === key && row.records === size);
    const [small, large] = [of(first), of(last)];
    if (small === undefined || large === undefined || !small.unit.endsWith('/s')) return [];
    const growth = small.ours / large.ours;
    const rates = sizes.map((size) => of(size)?.ours.toFixed(0) ?? '');
    const goal = isIndexed(small.work) ? [`<= ${String(MOST_GROWTH)}`, growth <= MOST_GROWTH ? 'yes' : '**no**'] : ['', ''];
    return [[small.work, small.against, ...rates, growth.toFixed(2), ...goal, (small.limit / large.limit).toFixed(2), large.ratio.toFixed(2)]];
  });
  const names = sizes.map((size) => size.toLocaleString('en-US'));
  const head = ['work', 'against', ...names, 'grows by', 'goal', 'met', 'the limit grows by', `ratio at ${names.at(-1) ?? ''}`];
  process.stdout.write(`${tableOf(head, lines)}\n\n${machine()}\n`);
}

/** A table that reads as Markdown and in a terminal. */
function tableOf(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((name, index) => Math.max(name.length, ...lines.map((line) => line[index]?.length ?? 0)));
  const format = (line: readonly string[]): string => `| ${line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [format(head), rule, ...lines.map(format)].join('\n');
}

function machine(): string {
  const [processor] = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const cores = `${String(availableParallelism())} x ${processor?.model ?? '?'}`;
  return `Node.js ${process.versions.node}, ${process.platform} ${process.arch}, ${cores}, ${memory} GB`;
}
