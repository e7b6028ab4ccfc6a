import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { mayDoEverything, rightsFor, ROW_RULE_VARIABLES } from '../access/rights.ts';
import { secureSchema } from '../access/secure.sql.ts';
import { inPeriod, lastPeriod, type Period } from '../calendar/periods.ts';
import { AppError, isAppError } from '../errors.ts';
import { checkExpression } from '../expression/check.ts';
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
  /** The days that it is about; null where it is about now. */
  readonly period: Period | null;
  readonly rows: readonly ReportRow[];
  readonly breakdowns: readonly Breakdown[];
  /** Labels of the stages that are left out, or shown without their days (`label: days`), for they ask for fields that the caller may not read. */
  readonly withheld: readonly string[];
}

type Stage = NonNullable<ReportFile['stages']>[number];

function mayRead(context: CallContext, object: string): boolean {
  return context.model.objects.has(object) && rightsFor(context, object).canRead;
}

/** Reports of which the caller may read at least one stage. */
export function listReports(context: CallContext): readonly ReportFile[] {
  return [...context.model.reports.values()].filter((report) => (report.stages ?? []).some((stage) => mayRead(context, stage.object)));
}

/**
 * A report's file.
 * @throws AppError not_found when there is none or the caller may read nothing of it
 */
export function reportFile(context: CallContext, name: string): ReportFile {
  const file = listReports(context).find((report) => report.name === name);
  if (file === undefined) throw new AppError('not_found', `There is no report "${name}", or you may not see it.`);
  return file;
}

/** Whether the caller may read everything that a condition of the metadata asks for. To them a hidden field does not exist. */
function mayAsk(context: CallContext, object: string, filter: string): boolean {
  if (mayDoEverything(context)) return true;
  const own = context.model.objects.get(object)?.fields;
  const variables = Object.fromEntries(Object.entries(ROW_RULE_VARIABLES).filter(([name]) => own?.has(name) !== true));
  try {
    checkExpression(filter, secureSchema(context), { object, variables });
    return true;
  } catch (error) {
    if (!isAppError(error, 'invalid_expression')) throw error;
    return false;
  }
}

/** How long a stage takes, as a measure; null where the report does not ask, `withheld` where the caller may not read the moments. */
function medianOf(context: CallContext, { object, since, until }: Stage): { readonly since: string; readonly field: string } | 'withheld' | null {
  if (since === undefined || until === undefined) return null;
  const { readable } = rightsFor(context, object);
  return readable.has(since) && readable.has(until) ? { since, field: until } : 'withheld';
}

/**
 * Computes a report over what the caller may read; stages of other objects are left out, and those that ask for fields
 * which the caller may not read are left out and named. One with a period is about the last one that is over unless told.
 * @throws AppError not_found for a report that does not exist or of which nothing may be read
 */
export async function runReport(reader: Reader, db: Knex, context: CallContext, name: string, wanted?: Period): Promise<Report> {
  const file = reportFile(context, name);
  const period = file.period === undefined ? null : (wanted ?? lastPeriod(context.today, file.period));
  const rows: ReportRow[] = [];
  const withheld: string[] = [];
  for (const stage of (file.stages ?? []).filter((entry) => mayRead(context, entry.object))) {
    const { label, object } = stage;
    const filter = period === null ? stage.filter : inPeriod(stage.filter, period);
    if (!mayAsk(context, object, filter)) {
      withheld.push(label);
      continue;
    }
    const median = medianOf(context, stage);
    if (median === 'withheld') withheld.push(`${label}: days`);
    const measures = median === null || median === 'withheld' ? [] : [{ as: 'median', op: 'medianDays' as const, ...median }];
    const answer = await reader.aggregate(db, context, { object, filter, measures: [{ as: 'count', op: 'count' }, ...measures] });
    const [row] = answer.data;
    const days = row?.['median'];
    rows.push({ label, object, filter, count: Number(row?.['count'] ?? 0), medianDays: typeof days === 'string' ? Number(days) : null });
  }
  const breakdowns: Breakdown[] = [];
  for (const field of file.breakdown?.by ?? []) {
    const readable = rows.every((row) => rightsFor(context, row.object).readable.has(field));
    if (readable && rows.length > 0) breakdowns.push(await breakDown(reader, db, context, file, rows, field));
  }
  return { name: file.name, label: file.label, description: file.description ?? null, period, rows, breakdowns, withheld };
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
