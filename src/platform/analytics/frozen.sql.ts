import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { Report } from './reports.ts';

export interface FrozenReport {
  readonly id: string;
  readonly report: string;
  readonly period: string;
  readonly sha256: string;
  readonly frozenAt: string;
  readonly body: unknown;
}

/** Keeps a report as it is now; a period that is frozen already stays as it was published. Answers whether this call froze it. */
export async function freezeReport(
  tx: Knex.Transaction,
  frozen: { readonly id: string; readonly report: Report; readonly period: string; readonly at: string },
): Promise<boolean> {
  const body = JSON.stringify(frozen.report);
  const hash = createHash('sha256').update(body).digest('hex');
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'frozen_report')} (id, report, period, body, sha256, frozen_at)
        values (${frozen.id}::uuid, ${frozen.report.name}, ${frozen.period}, ${body}::jsonb, ${hash}, ${frozen.at}::timestamptz)
        on conflict (report, period) do nothing`,
  );
  return inserted > 0;
}

/** What was published, the newest period first. */
export async function frozenReports(db: Knex, report: string): Promise<readonly FrozenReport[]> {
  const found = await rows(db, sql`select * from ${platformTable(db, 'frozen_report')} where report = ${report} order by period desc`);
  return found.map((row) => ({
    id: String(row['id']),
    report: String(row['report']),
    period: String(row['period']),
    sha256: String(row['sha256']),
    frozenAt: toRfc3339(String(row['frozen_at'])),
    body: row['body'],
  }));
}
