import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { rightsFor } from '../access/rights.ts';
import { AppError } from '../errors.ts';
import { sortKey } from '../expression/sort-key.ts';
import type { ReportFile } from '../metadata/types.ts';
import { readNames } from '../query/names.ts';
import type { Reader } from '../query/reader.ts';

export interface ReportRow {
  readonly label: string;
  readonly object: string;
  /** Opens exactly the rows that make the count. */
  readonly filter: string;
  readonly count: number;
  /** Median calendar days between the stage's two moments; null where the report names none or no record has both. */
  readonly medianDays: number | null;
}

/** The stages of a report for one value of a field; `counts` stand in the order of the rows. */
export interface ReportGroup {
  readonly value: unknown;
  /** The value as a reader names it: a label, or the name of a record. */
  readonly name: string;
  readonly counts: readonly number[];
  /** Whether the target was met; null where the report sets none. */
  readonly met: boolean | null;
}

export interface Breakdown {
  readonly field: string;
  readonly label: string;
  readonly groups: readonly ReportGroup[];
}

export interface Report {
  readonly name: string;
  readonly label: string;
  readonly description: string | null;
  readonly rows: readonly ReportRow[];
  readonly breakdowns: readonly Breakdown[];
}

function mayRead(context: CallContext, object: string): boolean {
  return context.model.objects.has(object) && rightsFor(context, object).canRead;
}

/** Reports of which the caller may read at least one stage. */
export function listReports(context: CallContext): readonly ReportFile[] {
  return [...context.model.reports.values()].filter((report) => (report.stages ?? []).some((stage) => mayRead(context, stage.object)));
}

/**
 * Computes a report over what the caller may read; stages of other objects are left out.
 * @throws AppError not_found for a report that does not exist or of which nothing may be read
 */
export async function runReport(reader: Reader, db: Knex, context: CallContext, name: string): Promise<Report> {
  const file = listReports(context).find((report) => report.name === name);
  if (file === undefined) throw new AppError('not_found', `There is no report "${name}", or you may not see it.`);
  const rows: ReportRow[] = [];
  for (const stage of (file.stages ?? []).filter((entry) => mayRead(context, entry.object))) {
    const { object, filter, since, until } = stage;
    const median = since === undefined || until === undefined ? [] : [{ as: 'median', op: 'medianDays' as const, field: until, since }];
    const answer = await reader.aggregate(db, context, { object, filter, measures: [{ as: 'count', op: 'count' }, ...median] });
    const [row] = answer.data;
    const days = row?.['median'];
    rows.push({ label: stage.label, object, filter, count: Number(row?.['count'] ?? 0), medianDays: typeof days === 'string' ? Number(days) : null });
  }
  const breakdowns: Breakdown[] = [];
  for (const field of file.breakdown?.by ?? []) {
    const readable = rows.every((row) => rightsFor(context, row.object).readable.has(field));
    if (readable) breakdowns.push(await breakDown(reader, db, context, file, rows, field));
  }
  return { name: file.name, label: file.label, description: file.description ?? null, rows, breakdowns };
}

/** Splits each count by a field. */
async function breakDown(reader: Reader, db: Knex, context: CallContext, file: ReportFile, rows: readonly ReportRow[], field: string): Promise<Breakdown> {
  const counts = new Map<unknown, number[]>();
  for (const [index, { object, filter }] of rows.entries()) {
    const answer = await reader.aggregate(db, context, { object, filter, groupBy: [field], measures: [{ as: 'count', op: 'count' }] });
    for (const group of answer.data) {
      const known = counts.get(group[field]) ?? rows.map(() => 0);
      known[index] = Number(group['count']);
      counts.set(group[field], known);
    }
  }
  const model = context.model.objects.get(rows[0]?.object ?? '')?.fields.get(field);
  const values = [...counts.keys()];
  const ids = values.filter((value) => typeof value === 'string');
  const target = model?.ref?.to.length === 1 ? model.ref.to[0] : undefined;
  const names = target === undefined ? new Map<string, string>() : await readNames(db, context, target, ids);
  const labels = new Map((model?.values?.values ?? []).map((entry) => [entry.code, entry.label]));
  const nameOf = (value: unknown): string => (typeof value === 'string' ? (names.get(value) ?? labels.get(value) ?? value) : 'none');
  const at = (label: string | undefined): number => rows.findIndex((row) => row.label === label);
  const [goal, reached] = [at(file.breakdown?.target?.stage), at(file.breakdown?.target?.reachedBy)];
  const groups = [...counts].map(([value, list]) => ({
    value,
    name: nameOf(value),
    counts: list,
    met: goal === -1 || reached === -1 ? null : (list[reached] ?? 0) >= (list[goal] ?? 0),
  }));
  groups.sort((left, right) => (sortKey(left.name) < sortKey(right.name) ? -1 : 1));
  return { field, label: model?.label ?? field, groups };
}
