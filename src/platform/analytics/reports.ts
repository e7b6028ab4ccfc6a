import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { rightsFor } from '../access/rights.ts';
import { AppError } from '../errors.ts';
import type { ReportFile } from '../metadata/types.ts';
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

export interface Report {
  readonly name: string;
  readonly label: string;
  readonly description: string | null;
  readonly rows: readonly ReportRow[];
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
  return { name: file.name, label: file.label, description: file.description ?? null, rows };
}
