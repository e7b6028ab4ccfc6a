import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { lastPeriod, nextPeriod, periodName, readPeriod, type Period } from '../calendar/periods.ts';
import { toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { walkRecords } from '../query/walk.ts';
import type { Reader } from '../query/reader.ts';
import { actorOf } from '../record/actor.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import { reportFile, runReport, type Report } from './reports.ts';

/** Id and version of each record that a stage counted. */
type StageFacts = readonly (readonly [string, number])[];

/** What a correction changes in one stage: records that are counted now and were not, that are not any more, and that were changed since. */
export interface StageDifference {
  readonly label: string;
  readonly before: number;
  readonly after: number;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
}

export interface FrozenReport {
  readonly id: string;
  readonly report: string;
  readonly period: string;
  /** 1 as it was published; each correction is the next. */
  readonly version: number;
  readonly sha256: string;
  readonly frozenAt: string;
  /** Why it was corrected, by whom, and what that changed; null as it was published. */
  readonly reason: string | null;
  readonly correctedBy: string | null;
  readonly difference: readonly StageDifference[] | null;
  readonly body: unknown;
}

/** Times that a report is counted anew when somebody writes what it counts meanwhile. */
const MOST_TRIES = 3;
/** Most periods that are made up for after a standstill. */
const MOST_PERIODS = 60;

/** A report and the records that it counted, of one moment. */
async function counted(
  reader: Reader,
  db: Knex,
  context: CallContext,
  name: string,
  period: Period | null,
): Promise<{ readonly report: Report; readonly facts: readonly StageFacts[] }> {
  for (let tries = 1; ; tries += 1) {
    const report = await runReport(reader, db, context, name, period ?? undefined);
    const facts: StageFacts[] = [];
    for (const { object, filter } of report.rows) {
      const stage: (readonly [string, number])[] = [];
      for await (const page of walkRecords(db, context, { object, filter, fields: ['id', 'version'] }))
        stage.push(...page.map(({ id, version }): readonly [string, number] => [id, version]));
      facts.push(stage);
    }
    if (report.rows.every(({ count }, index) => count === facts[index]?.length)) return { report, facts };
    if (tries === MOST_TRIES)
      throw new AppError('external_unavailable', `What the report "${name}" counts is being written. Try again.`, { retryAfterSeconds: 5 });
  }
}

/**
 * Publishes a report as it is now: of one with a period each one that is over since the last that was published (after a standstill
 * several), of another under the day. What was published stays as it is. Writes.
 * @returns names of the periods that this call published
 */
export async function freezeReport(reader: Reader, tx: Knex.Transaction, context: CallContext, name: string, named?: string): Promise<readonly string[]> {
  const { period: spec } = reportFile(context, name);
  if (spec === undefined) return (await freeze(reader, tx, context, name, null, named ?? context.today)) ? [named ?? context.today] : [];
  const [newest] = await rows(tx, sql`select max(period) as period from ${platformTable(tx, 'frozen_report')} where report = ${name}`);
  const last = lastPeriod(context.today, spec);
  const published = typeof newest?.['period'] === 'string' ? readPeriod(newest['period'], spec) : null;
  const due: Period[] = [];
  for (let period = published === null ? last : nextPeriod(published, spec); period.through <= last.through; period = nextPeriod(period, spec))
    due.push(period);
  const made: string[] = [];
  for (const period of due.slice(-MOST_PERIODS)) if (await freeze(reader, tx, context, name, period, periodName(period))) made.push(periodName(period));
  return made;
}

async function freeze(reader: Reader, tx: Knex.Transaction, context: CallContext, name: string, period: Period | null, key: string): Promise<boolean> {
  const { report, facts } = await counted(reader, tx, context, name, period);
  const body = JSON.stringify(report);
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'frozen_report')} (id, report, period, body, facts, sha256, frozen_at)
        values (${context.newId()}::uuid, ${name}, ${key}, ${body}::jsonb, ${JSON.stringify(facts)}::jsonb, ${sha256(body)}, ${context.now}::timestamptz)
        on conflict (report, period) do nothing`,
  );
  return inserted > 0;
}

/** What is published, the newest period first and of each the newest version first. */
export async function frozenReports(db: Knex, report: string): Promise<readonly FrozenReport[]> {
  const found = await rows(
    db,
    sql`select id, period, 1 as version, sha256, frozen_at as at, null::text as reason, null::text as corrected_by, null::jsonb as difference, body
        from ${platformTable(db, 'frozen_report')} where report = ${report}
        union all select id, period, version, sha256, corrected_at, reason, corrected_by, difference, body
        from ${platformTable(db, 'report_correction')} where report = ${report} order by period desc, version desc`,
  );
  return found.map((row) => readFrozen(report, row));
}

/** The boundary where a row of what is published becomes typed. */
function readFrozen(report: string, row: Record<string, unknown>): FrozenReport {
  return {
    id: String(row['id']),
    report,
    period: String(row['period']),
    version: Number(row['version']),
    sha256: String(row['sha256']),
    frozenAt: toRfc3339(String(row['at'])),
    reason: row['reason'] as string | null,
    correctedBy: row['corrected_by'] as string | null,
    difference: row['difference'] as readonly StageDifference[] | null,
    body: row['body'],
  };
}

export interface Correction {
  readonly period: string;
  readonly version: number;
  readonly difference: readonly StageDifference[];
}

/**
 * Publishes what a period that is published counts today as its next version, with what that changes; with `reason` null it only says
 * what it would change. Earlier versions stay as they are. Writes.
 * @throws AppError not_found when the period is not published or its report has no periods, conflict_state when nothing changed since
 */
export async function correctReport(
  reader: Reader,
  tx: Knex.Transaction,
  context: CallContext,
  name: string,
  key: string,
  reason: string | null,
): Promise<Correction> {
  const { period: spec } = reportFile(context, name);
  const period = spec === undefined ? null : readPeriod(key, spec);
  const published = platformTable(tx, 'frozen_report');
  // One correction of a period at a time.
  const [first] = await rows(tx, sql`select facts, body from ${published} where report = ${name} and period = ${key} for update`);
  if (period === null || first === undefined)
    throw new AppError('not_found', `Of the report "${name}" the period "${key}" is not published. Its periods: GET /api/v1/reports/${name}/frozen.`);
  const corrections = platformTable(tx, 'report_correction');
  const [latest] = await rows(
    tx,
    sql`select facts, body, version from ${corrections} where report = ${name} and period = ${key} order by version desc limit 1`,
  );
  const before = latest ?? first;
  const version = Number(latest?.['version'] ?? 1) + 1;
  const { report, facts } = await counted(reader, tx, context, name, period);
  const difference = differenceOf(before['body'] as Report, before['facts'] as readonly StageFacts[] | null, report, facts);
  const isSame = difference.every(({ added, removed, changed, before: was, after }) => added + removed + changed === 0 && was === after);
  if (isSame) throw new AppError('conflict_state', `Nothing that the report "${name}" counts for ${key} has changed since version ${String(version - 1)}.`);
  if (reason === null) return { period: key, version, difference };
  const body = JSON.stringify(report);
  await run(
    tx,
    sql`insert into ${corrections} (id, report, period, version, body, facts, difference, sha256, reason, corrected_by, corrected_at)
        values (${context.newId()}::uuid, ${name}, ${key}, ${version}::int, ${body}::jsonb, ${JSON.stringify(facts)}::jsonb, ${JSON.stringify(difference)}::jsonb,
          ${sha256(body)}, ${reason}, ${actorOf(context.principal)}, ${context.now}::timestamptz)`,
  );
  return { period: key, version, difference };
}

/** Stage by stage, by their labels; records are compared where it was kept which were counted, as it is since corrections are made. */
function differenceOf(was: Report, wasFacts: readonly StageFacts[] | null, is: Report, isFacts: readonly StageFacts[]): readonly StageDifference[] {
  const labels = [...new Set([...was.rows, ...is.rows].map(({ label }) => label))];
  return labels.map((label) => {
    const [old, now] = [was, is].map(({ rows: stages }) => stages.findIndex((stage) => stage.label === label));
    const earlier = wasFacts === null ? null : new Map(wasFacts[old ?? -1] ?? []);
    const later = new Map(isFacts[now ?? -1] ?? []);
    const known = earlier ?? later;
    return {
      label,
      before: was.rows[old ?? -1]?.count ?? 0,
      after: is.rows[now ?? -1]?.count ?? 0,
      added: [...later.keys()].filter((id) => !known.has(id)).length,
      removed: [...known.keys()].filter((id) => !later.has(id)).length,
      changed: [...known].filter(([id, version]) => later.has(id) && later.get(id) !== version).length,
    };
  });
}

const sha256 = (body: string): string => createHash('sha256').update(body).digest('hex');
