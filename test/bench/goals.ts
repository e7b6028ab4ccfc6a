/** What `quality.md`, section 5, asks of a work: a share of the limit, or a bound of the figure itself. */
export interface Goal {
  readonly text: string;
  readonly isMet: (row: Judged) => boolean;
}

/** The figures of a row that goals are about. */
interface Judged {
  readonly ours: number;
  readonly ratio: number;
}

const ratio = (least: number): Goal => ({ text: `>= ${String(least)}`, isMet: (row) => row.ratio >= least });
const share = (most: number): Goal => ({ text: `<= ${String(most)} of it`, isMet: (row) => row.ratio > 0 && 1 / row.ratio <= most });
const figure = (text: string, most: number): Goal => ({ text, isMet: (row) => row.ours <= most });

const ROUTE = 'bare route';
const LOGGED = 'route with history and event';

/** By work and what it is compared with. */
const GOALS: ReadonlyMap<string, Goal> = new Map([
  [`read by id|${ROUTE}`, ratio(0.7)],
  [`list|${ROUTE}`, ratio(0.7)],
  [`list with a reference expanded|${ROUTE}`, ratio(0.75)],
  ['page 1,000|its own first page', share(1.2)],
  [`count with a filter|${ROUTE}`, ratio(0.8)],
  [`contains on an indexed field|${ROUTE}`, ratio(0.9)],
  [`aggregate in groups|${ROUTE}`, ratio(0.9)],
  [`search of a rare term|${ROUTE}`, ratio(0.7)],
  ['search of a rare term, p50|goal', figure('<= 30 ms', 30)],
  // The goal is one for 95 of 100.
  ['search of a rare term, p99|goal', figure('<= 150 ms', 150)],
  [`list of the 1 % that is seen|${ROUTE}`, ratio(0.5)],
  [`create|${ROUTE}`, ratio(0.45)],
  [`create|${LOGGED}`, ratio(0.7)],
  [`update of one field|${ROUTE}`, ratio(0.45)],
  [`update of one field|${LOGGED}`, ratio(0.7)],
  ['import of CSV|COPY', ratio(0.3)],
  ['export as CSV|COPY TO', ratio(0.5)],
  ['memory under the list load|goal', figure('<= 250 MB', 250)],
  ['memory of an import|goal', figure('<= 300 MB', 300)],
  ['CPU when idle|goal', figure('0.0 %', 0.05)],
]);

/** The goal of a row; null where none is set. */
export function goalOf(work: string, against: string): Goal | null {
  return GOALS.get(`${work}|${against}`) ?? null;
}

/** From 10,000 to 1,000,000 records the time of a work that an index serves may grow by this factor. */
export const MOST_GROWTH = 1.5;

/** Works whose cost is that of the rows they touch, and so grows with the table: counts, groups and whole scans. */
const UNBOUNDED: ReadonlySet<string> = new Set(['count with a filter', 'aggregate in groups', 'contains on an indexed field', 'count in the 1 % that is seen']);

/** Whether the goal for growth is about this work. */
export const isIndexed = (work: string): boolean => !UNBOUNDED.has(work);
