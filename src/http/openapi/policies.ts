import { mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { POLICY_ACTION } from '../../platform/policies/approve.ts';
import { POLICY_BODIES } from '../api/policies.ts';
import { dataOf, get, inPath, inQuery, INSTANT, list, listOf, MAP, ONCE, oneOf, orNull, post, shape, TEXT, UUID, WHOLE, type Json } from './parts.ts';

const tag = 'Policies';

const HEAD = {
  name: TEXT,
  label: orNull(TEXT),
  number: orNull(TEXT),
  product: orNull(TEXT),
  keeper: orNull(TEXT),
  replaces: orNull(TEXT),
  version: orNull(TEXT),
  effectiveFrom: orNull(TEXT),
  approvedBy: orNull(TEXT),
  approvedAt: orNull(TEXT),
  retiredOn: orNull(TEXT),
  reviewedAt: orNull(TEXT),
  waiting: listOf(TEXT),
};
const VERSION = shape({
  version: TEXT,
  effectiveFrom: TEXT,
  effectiveThrough: orNull(TEXT),
  hash: TEXT,
  approvedBy: orNull(TEXT),
  approvedAt: orNull(TEXT),
  reference: orNull(TEXT),
  cites: orNull(TEXT),
  note: orNull(TEXT),
  bands: listOf(TEXT),
  withheld: orNull(TEXT),
  rows: listOf(shape({ band: TEXT, when: TEXT, then: MAP })),
});
const APPROVAL = shape({
  kind: oneOf('package', 'kept', 'approved', 'retired'),
  version: orNull(TEXT),
  hash: orNull(TEXT),
  retiredOn: orNull(TEXT),
  actor: TEXT,
  approver: TEXT,
  reference: TEXT,
  at: INSTANT,
});
const RECORD = {
  ...HEAD,
  description: orNull(TEXT),
  object: orNull(TEXT),
  keys: orNull(MAP),
  match: oneOf('first', 'unique'),
  results: MAP,
  versions: listOf(VERSION),
  approvals: listOf(APPROVAL),
  reviews: listOf(shape({ actor: TEXT, reviewer: TEXT, note: TEXT, at: INSTANT })),
};
const FLOOR = shape({ policy: TEXT, version: TEXT, band: TEXT, results: listOf(TEXT) });
const DECISION = shape({ policy: TEXT, version: TEXT, effectiveFrom: TEXT, band: TEXT, results: MAP, cites: orNull(TEXT), floor: orNull(FLOOR) });
const SIDE = orNull(shape({ band: TEXT, results: MAP }));
const WHAT_IF = shape({
  policy: TEXT,
  object: TEXT,
  from: TEXT,
  to: TEXT,
  records: WHOLE,
  changed: WHOLE,
  groups: listOf(shape({ from: orNull(TEXT), to: orNull(TEXT), results: listOf(TEXT), records: WHOLE })),
  examples: listOf(shape({ id: UUID, from: SIDE, to: SIDE })),
});
const NAME = inPath('name');

/** Policies with their record, for all accounts; approving, reviewing and retiring, for those who may. */
export function policyPaths(context: CallContext): Json {
  const inForce = dataOf(shape({ version: { ...WHOLE, description: 'The version of the metadata that has it.' } }));
  const signing = {
    '/api/v1/policies/{name}/what-if': post({
      id: 'tryPolicy',
      summary: 'What another version would decide for the records as they are today',
      tag,
      parameters: [NAME, ONCE],
      body: POLICY_BODIES.whatIf.schema,
      answer: dataOf(WHAT_IF),
      errors: ['forbidden', 'not_found', 'invalid_query'],
    }),
    '/api/v1/policies/{name}/approve': post({
      id: 'approvePolicy',
      summary: 'Approve the content of a version that you did not change yourself',
      tag,
      parameters: [NAME],
      body: POLICY_BODIES.approve.schema,
      answer: inForce,
      errors: ['forbidden', 'not_found', 'conflict_state', 'validation_failed'],
    }),
    '/api/v1/policies/{name}/retire': post({
      id: 'retirePolicy',
      summary: 'Take a policy out of force from a day on, or take that back',
      tag,
      parameters: [NAME],
      body: POLICY_BODIES.retire.schema,
      answer: inForce,
      errors: ['forbidden', 'not_found', 'conflict_state', 'validation_failed'],
    }),
    '/api/v1/policies/{name}/reviews': post({
      id: 'reviewPolicy',
      summary: 'Note a review of a policy, also one that changes nothing',
      tag,
      parameters: [NAME, ONCE],
      body: POLICY_BODIES.review.schema,
      status: 204,
      errors: ['forbidden', 'not_found', 'validation_failed'],
    }),
  };
  return {
    '/api/v1/policies': get({
      id: 'listPolicies',
      summary: 'Policies with number, version in force, approval, review and what waits',
      tag,
      parameters: [inQuery('retired', 'Also retired ones.', { type: 'boolean' })],
      answer: list(shape(HEAD)),
    }),
    '/api/v1/policies/{name}': get({
      id: 'getPolicy',
      summary: 'A policy with all its versions, approvals and reviews',
      tag,
      parameters: [NAME],
      answer: dataOf(shape(RECORD)),
      errors: ['not_found'],
    }),
    '/api/v1/policies/{name}/decide': post({
      id: 'decideByPolicy',
      summary: 'What the version in force on a day says of given values',
      tag,
      parameters: [NAME],
      body: POLICY_BODIES.decide.schema,
      answer: dataOf(orNull(DECISION)),
      errors: ['not_found', 'rule_failed'],
    }),
    ...(mayRunAction(context, POLICY_ACTION) ? signing : {}),
  };
}
