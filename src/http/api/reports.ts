import { Router } from 'express';
import type { Knex } from 'knex';
import { correctReport, frozenReports, type Correction } from '../../platform/analytics/frozen.sql.ts';
import { listReports, reportFile, runReport } from '../../platform/analytics/reports.ts';
import { mayDoEverything, mayRunAction } from '../../platform/access/rights.ts';
import { explain, explainRecord } from '../../platform/automation/explain.ts';
import { readPeriod, type Period } from '../../platform/calendar/periods.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';
import { deliveriesInState, deliveryText } from '../../platform/mail/mail.sql.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface ReportRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly sendsMail: boolean;
}

export const CORRECTION_BODY = bodySchema<{ readonly period: string; readonly reason: string }>({
  type: 'object',
  additionalProperties: false,
  required: ['period', 'reason'],
  properties: { period: { type: 'string', minLength: 1 }, reason: { type: 'string', minLength: 1, maxLength: 2000 } },
});

/** Reports, what rules did with a record, and the development mailbox. */
export function reportRoutes(deps: ReportRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/reports',
    handle(deps, ({ context }) =>
      Promise.resolve({ body: { data: listReports(context).map(({ name, label, description }) => ({ name, label, description: description ?? null })) } }),
    ),
  );
  router.get(
    '/reports/:report',
    handle(deps, async ({ request, db, context }) => {
      const name = param(request, 'report');
      const period = periodAsked(context, name, onlyParameters(request, ['period']).get('period'));
      return { body: { data: await runReport(deps.reader, db, context, name, period) } };
    }),
  );
  router.get(
    '/reports/:report/frozen',
    handle(deps, async ({ request, db, context }) => {
      const { name } = reportFile(context, param(request, 'report'));
      // A frozen report counts every row of the plan: it is for those who see them all.
      if (!mayDoEverything(context) && !mayRunAction(context, 'frozen-reports')) throw new AppError('forbidden', 'You may not read frozen reports.');
      return { body: { data: await frozenReports(db, name) } };
    }),
  );
  const correct = (db: Knex, context: CallContext, report: string, period: string, reason: string | null): Promise<Correction> => {
    const { name } = reportFile(context, report);
    return inTransaction(db, (tx) => correctReport(deps.reader, tx, context, name, period, reason));
  };
  router.get(
    '/reports/:report/correction',
    handle(deps, async ({ request, db, context }) => {
      requireWholeSight(context);
      const period = onlyParameters(request, ['period']).get('period');
      if (period === undefined) throw invalidQuery('period', 'Say which period, as in ?period=2026-11-16/2026-11-22.');
      return { body: { data: await correct(db, context, param(request, 'report'), period, null) } };
    }),
  );
  router.post(
    '/reports/:report/corrections',
    handle(deps, async ({ request, db, context }) => {
      requireWholeSight(context);
      const { period, reason } = readBody(request, CORRECTION_BODY);
      return { status: 201, body: { data: await correct(db, context, param(request, 'report'), period, reason) } };
    }),
  );
  router.get(
    '/records/:object/:id/explain',
    handle(deps, async ({ request, db, context }) => {
      const rule = onlyParameters(request, ['rule']).get('rule');
      await deps.reader.get(db, context, param(request, 'object'), param(request, 'id'), { fields: ['id'] });
      if (!mayRunAction(context, 'explain')) throw new AppError('forbidden', 'You may not look into rules.');
      const [object, id] = [param(request, 'object'), param(request, 'id')];
      return { body: { data: rule === undefined ? await explainRecord(db, context, object, id) : await explain(db, context, rule, id) } };
    }),
  );
  if (!deps.sendsMail) {
    router.get(
      '/dev/mail',
      handle(deps, async ({ db, context }) => {
        if (!mayDoEverything(context)) throw new AppError('forbidden', 'Captured mail is for administrators.');
        return { body: { data: await deliveriesInState(db, 'captured') } };
      }),
    );
    router.get(
      '/dev/mail/:id',
      handle(deps, async ({ request, db, context }) => {
        if (!mayDoEverything(context)) throw new AppError('forbidden', 'Captured mail is for administrators.');
        const id = param(request, 'id');
        const text = isUuid(id) ? await deliveryText(db, id, 'captured') : null;
        if (text === null) throw new AppError('not_found', 'There is no captured mail of this id.');
        return { body: { data: text } };
      }),
    );
  }
  return router;
}

/** A correction counts every row of the plan, as what was published did. */
function requireWholeSight(context: CallContext): void {
  if (!mayDoEverything(context)) throw new AppError('forbidden', 'Published reports are corrected by administrators.');
}

/** @throws AppError invalid_query for a period that the report does not have */
function periodAsked(context: CallContext, name: string, text: string | undefined): Period | undefined {
  if (text === undefined) return undefined;
  const { period: spec } = reportFile(context, name);
  if (spec === undefined) throw invalidQuery('period', `The report "${name}" has no periods: it is about now.`);
  const found = readPeriod(text, spec);
  if (found === null)
    throw invalidQuery('period', `"${text}" is no ${spec.unit} of this report.`, 'Write its first and last day, as in 2026-11-16/2026-11-22.');
  return found;
}
