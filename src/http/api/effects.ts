import { Router } from 'express';
import { mayDoEverything } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import type { Automation } from '../../platform/automation/automation.ts';
import { dryRun } from '../../platform/automation/explain.ts';
import { STRANDED_RUNS, strandedRuns } from '../../platform/automation/runs.sql.ts';
import type { RuleRun } from '../../platform/automation/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { parseInstant } from '../../platform/expression/durations.ts';
import { isUuid } from '../../platform/ids.ts';
import { decideEvent, stoppedEvents } from '../../platform/jobs/stopped-events.sql.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import { accountStates } from '../../platform/mail/fetch.sql.ts';
import { deliveriesInState, STRANDED_MAIL, type Settlement } from '../../platform/mail/mail.sql.ts';
import type { SettleMail } from '../../platform/mail/settle.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import { actorOf } from '../../platform/record/actor.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type Call, type CallDeps } from '../call.ts';
import { onlyParameters } from './read-query.ts';

export interface EffectRouteDeps extends CallDeps {
  readonly automation: Automation;
  readonly worker: Worker;
  readonly settleMail: SettleMail;
}

export const SETTLE_BODY = bodySchema<{ readonly as: Settlement }>({
  type: 'object',
  additionalProperties: false,
  required: ['as'],
  properties: { as: { enum: ['sent', 'failed', 'queued'] } },
});

/** Runs that failed or were stopped, events that cannot be handled, and mail of which nobody knows whether it arrived: for administrators, who decide. */
export function effectRoutes(deps: EffectRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/automation/runs',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      const state = chosen(onlyParameters(request, ['state']).get('state'), STRANDED_RUNS);
      return { body: { data: (await strandedRuns(db, state === null ? STRANDED_RUNS : [state])).map(shownRun) } };
    }),
  );
  router.post(
    '/automation/runs/:id/replay',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      await deps.automation.replayRun(db, param(request, 'id'));
      deps.worker.poke();
      return { status: 204 };
    }),
  );
  router.get(
    '/automation/rules/:rule/dry-run',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      const since = onlyParameters(request, ['since']).get('since');
      if (since === undefined || parseInstant(since) === null) throw invalidQuery('since', 'Say from when, as in since=2027-01-01T00:00:00Z.');
      return { body: { data: await dryRun(db, context, param(request, 'rule'), new Date(since).toISOString()) } };
    }),
  );
  router.get(
    '/automation/events',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      onlyParameters(request, []);
      return { body: { data: await stoppedEvents(db) } };
    }),
  );
  for (const [verb, decision] of [
    ['replay', 'replayed'],
    ['pass', 'passed'],
  ] as const) {
    router.post(
      `/automation/events/:id/${verb}`,
      handle(deps, async (call) => {
        requireAdministrator(call.context);
        await decide(call, decision);
        deps.worker.poke();
        return { status: 204 };
      }),
    );
  }
  router.get(
    '/mail/accounts',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      onlyParameters(request, []);
      return { body: { data: await accountStates(db) } };
    }),
  );
  router.get(
    '/mail/deliveries',
    handle(deps, async ({ request, db, context }) => {
      requireAdministrator(context);
      const state = chosen(onlyParameters(request, ['state']).get('state'), STRANDED_MAIL);
      return { body: { data: await deliveriesInState(db, state ?? 'unknown') } };
    }),
  );
  router.post(
    '/mail/deliveries/:id/settle',
    handle(deps, async (call) => {
      requireAdministrator(call.context);
      await settle(deps.settleMail, call, readBody(call.request, SETTLE_BODY).as);
      deps.worker.poke();
      return { status: 204 };
    }),
  );
  return router;
}

async function decide({ request, db, context }: Call, decision: 'replayed' | 'passed'): Promise<void> {
  const id = param(request, 'id');
  const found = isUuid(id) && (await inTransaction(db, (tx) => decideEvent(tx, id, decision, actorOf(context.principal), context.now)));
  if (!found) throw new AppError('not_found', 'There is no event with this id that waits for such a decision.');
}

async function settle(settleMail: SettleMail, { request, db, context }: Call, as: Settlement): Promise<void> {
  const id = param(request, 'id');
  if (!isUuid(id) || !(await settleMail(db, id, as, actorOf(context.principal))))
    throw new AppError('not_found', 'There is no mail with this id that waits for such a decision.');
}

/** A run as lists show it: without what it looked at, which may be more than the record's own rights show. */
export function shownRun({ id, rule, object, recordId, state, dueAt, attempts, error, createdAt, finishedAt }: RuleRun) {
  return { id, rule, object, recordId, state, dueAt, attempts, error, createdAt, finishedAt };
}

function chosen<T extends string>(wanted: string | undefined, known: readonly T[]): T | null {
  if (wanted === undefined) return null;
  const found = known.find((entry) => entry === wanted);
  if (found === undefined) throw invalidQuery('state', `There is no state "${wanted}" here.`, `Known: ${known.join(', ')}.`);
  return found;
}

function requireAdministrator(context: CallContext): void {
  if (!mayDoEverything(context)) throw new AppError('forbidden', 'Runs that failed and mail that may not have arrived are for administrators.');
}
