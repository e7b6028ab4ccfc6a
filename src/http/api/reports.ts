import { Router } from 'express';
import { frozenReports } from '../../platform/analytics/frozen.sql.ts';
import { listReports, runReport } from '../../platform/analytics/reports.ts';
import { mayDoEverything, mayRunAction } from '../../platform/access/rights.ts';
import { explain, explainRecord } from '../../platform/automation/explain.ts';
import { AppError } from '../../platform/errors.ts';
import { isUuid } from '../../platform/ids.ts';
import { deliveriesInState, deliveryText } from '../../platform/mail/mail.sql.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { handle, param, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface ReportRouteDeps extends CallDeps {
  readonly reader: Reader;
  readonly sendsMail: boolean;
}

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
    handle(deps, async ({ request, db, context }) => ({ body: { data: await runReport(deps.reader, db, context, param(request, 'report')) } })),
  );
  router.get(
    '/reports/:report/frozen',
    handle(deps, async ({ request, db, context }) => {
      const { name } = await runReport(deps.reader, db, context, param(request, 'report'));
      // A frozen report counts every row of the plan: it is for those who see them all.
      if (!mayDoEverything(context) && !mayRunAction(context, 'frozen-reports')) throw new AppError('forbidden', 'You may not read frozen reports.');
      return { body: { data: await frozenReports(db, name) } };
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
