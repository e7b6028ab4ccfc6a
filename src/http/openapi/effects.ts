import { mayDoEverything } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { STRANDED_RUNS } from '../../platform/automation/runs.sql.ts';
import { STRANDED_MAIL } from '../../platform/mail/mail.sql.ts';
import { SETTLE_BODY } from '../api/effects.ts';
import { common, dataOf, get, INSTANT, inQuery, list, ONCE, oneOf, orNull, post, RECORD_ID, shape, TEXT, UUID, WHOLE, type Json } from './parts.ts';

const tag = 'Decisions';

const STRANDED = shape({
  id: UUID,
  rule: TEXT,
  object: orNull(TEXT),
  recordId: orNull(UUID),
  state: oneOf(...STRANDED_RUNS),
  dueAt: INSTANT,
  attempts: WHOLE,
  error: orNull(TEXT),
  createdAt: INSTANT,
  finishedAt: orNull(INSTANT),
});

const STOPPED = shape({
  id: UUID,
  object: TEXT,
  recordId: orNull(UUID),
  records: WHOLE,
  kind: TEXT,
  tries: WHOLE,
  error: TEXT,
  stoppedAt: INSTANT,
  waiting: orNull(WHOLE),
});

const ACCOUNT = shape({
  account: TEXT,
  fetchedAt: orNull(INSTANT),
  failedAt: orNull(INSTANT),
  failure: orNull(TEXT),
  failures: WHOLE,
  dueAt: INSTANT,
  unfiled: { type: 'array', items: shape({ uid: TEXT, reason: TEXT, bytes: WHOLE, attempts: WHOLE, firstAt: INSTANT, nextAt: orNull(INSTANT) }) },
});

/** Runs and mail that wait for an administrator's decision. */
export function effectPaths(context: CallContext): Json {
  if (!mayDoEverything(context)) return {};
  return {
    '/api/v1/automation/runs': get({
      id: 'listStrandedRuns',
      summary: 'Runs of rules that failed for good or were stopped, newest first',
      tag,
      parameters: [inQuery('state', 'Only those in this state.', oneOf(...STRANDED_RUNS))],
      answer: list(STRANDED),
    }),
    '/api/v1/automation/runs/{id}/replay': post({
      id: 'replayRun',
      summary: 'Do a run again that failed or was stopped',
      tag,
      parameters: [RECORD_ID, ONCE],
      status: 204,
    }),
    '/api/v1/automation/rules/{rule}/dry-run': get({
      id: 'dryRunRule',
      summary: 'What a rule would have started since a moment, with no effect',
      tag,
      parameters: [
        { name: 'rule', in: 'path', required: true, description: 'Name of the rule.', schema: TEXT },
        { ...inQuery('since', 'From when on changes are looked at.', INSTANT), required: true },
      ],
      answer: dataOf(common('DryRun')),
      errors: ['bad_request', 'not_found'],
    }),
    '/api/v1/automation/events': get({
      id: 'listStoppedEvents',
      summary: 'Changes whose rules could not be looked at, however often it was tried; later ones of their records wait',
      tag,
      answer: list(STOPPED),
    }),
    '/api/v1/automation/events/{id}/replay': post({
      id: 'replayEvent',
      summary: 'Have such a change looked at again',
      tag,
      parameters: [RECORD_ID, ONCE],
      status: 204,
    }),
    '/api/v1/automation/events/{id}/pass': post({
      id: 'passEvent',
      summary: 'Let later changes of its record go on; this one starts no rule',
      tag,
      parameters: [RECORD_ID, ONCE],
      status: 204,
    }),
    '/api/v1/mail/accounts': get({
      id: 'listMailAccounts',
      summary: 'Accounts that mail is fetched from, with their failures and the messages that could not be filed',
      tag,
      answer: list(ACCOUNT),
    }),
    '/api/v1/mail/deliveries': get({
      id: 'listStrandedMail',
      summary: 'Mail of which nobody knows whether it arrived, or that was given up, newest first',
      tag,
      parameters: [inQuery('state', 'In which state (default unknown).', oneOf(...STRANDED_MAIL))],
      answer: list(common('CapturedMail')),
    }),
    '/api/v1/mail/deliveries/{id}/settle': post({
      id: 'settleMail',
      summary: 'Say that such a mail arrived, that it did not, or have it sent again',
      tag,
      parameters: [RECORD_ID, ONCE],
      body: SETTLE_BODY.schema,
      status: 204,
    }),
  };
}
