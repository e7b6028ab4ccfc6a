import { createHash } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Knex } from 'knex';
import type { CallContext, Principal } from '../platform/access/types.ts';
import type { Clock } from '../platform/clock.ts';
import { inTransaction } from '../platform/db.ts';
import { AppError, isAppError } from '../platform/errors.ts';
import { dayInZone } from '../platform/expression/zones.ts';
import type { NewId } from '../platform/ids.ts';
import type { Model } from '../platform/model/types.ts';
import { actorOf } from '../platform/record/actor.ts';
import { modelChanged, onModelInForce } from '../platform/schema/processes.sql.ts';
import { callerOf, principalOf } from './caller.ts';
import { keepAnswer, takeKey, type KeptAnswer } from './idempotency.sql.ts';
import { requestIdOf } from './request-id.ts';

export interface CallDeps {
  readonly db: Knex;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly currentModel: () => Promise<Model>;
  /** The Model in force, asking the database now. */
  readonly latestModel: () => Promise<Model>;
}

/** One call by somebody who signed in. `db` is a transaction when the caller asked for idempotency. */
export interface Call {
  readonly request: Request;
  readonly db: Knex;
  readonly context: CallContext;
}

/** What a handler answers; it is written in one place. No body = 204. */
export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  /** In the place of `body`: text that is not JSON. */
  readonly text?: { readonly type: string; readonly text: string };
  readonly version?: number;
  readonly location?: string;
  /** The body holds a secret that is shown once: it is not kept for a repeated request. */
  readonly isSecret?: boolean;
}

/** The context of a call at this moment; reads the current Model. */
export async function makeContext(deps: CallDeps, principal: Principal, requestId: string, reason?: string): Promise<CallContext> {
  const model = await deps.currentModel();
  const now = deps.clock.now();
  const today = dayInZone(now, model.calendarLookup.planZone);
  if (today === null) throw new AppError('metadata_invalid', `The plan's zone ${model.calendarLookup.planZone} is not known.`);
  return { principal, model, now, today, cause: { kind: 'request', requestId }, newId: deps.newId, ...(reason === undefined ? {} : { reason }) };
}

/** Turns a function from call to answer into a route handler, for callers who signed in. */
export function handle(deps: CallDeps, work: (call: Call) => Promise<Answer>): RequestHandler {
  return async (request, response) => {
    const principal = principalOf(callerOf(request));
    const key = request.method === 'POST' ? request.get('idempotency-key') : undefined;
    const answer = await onModelInForce(async () => {
      const context = await makeContext(deps, principal, requestIdOf(request), request.get('change-reason'));
      try {
        return key === undefined ? keep(await work({ request, db: deps.db, context })) : await once(deps.db, request, context, key, work);
      } catch (error) {
        throw isReplaced(request, error) && (await deps.latestModel()).version > context.model.version ? modelChanged() : error;
      }
    });
    write(response, answer);
  };
}

/**
 * True for a refusal that a later version of the metadata may lift: what another process put in force a moment ago (a field, a code)
 * must not be unknown here. Reads follow within a second; a body that is not JSON was read and cannot be read again.
 */
function isReplaced(request: Request, error: unknown): boolean {
  return isAppError(error) && error.code !== 'internal' && request.method !== 'GET' && request.is('json') !== false;
}

/** Runs the work in one transaction with the key's row, or repeats the answer given before. */
async function once(db: Knex, request: Request, context: CallContext, key: string, work: (call: Call) => Promise<Answer>): Promise<KeptAnswer> {
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) throw new AppError('bad_request', 'An Idempotency-Key has 1 to 255 visible ASCII characters.');
  const actor = actorOf(context.principal);
  return inTransaction(db, async (tx) => {
    const before = await takeKey(tx, actor, key, hashOf(request), context.now);
    if (before !== null) return { ...before, headers: { ...before.headers, 'Idempotent-Replayed': 'true' } };
    const answer = await work({ request, db: tx, context });
    const kept = keep(answer);
    await keepAnswer(tx, actor, key, answer.isSecret === true ? null : kept);
    return kept;
  });
}

/** Headers that change what a request does. */
const MEANINGFUL = ['if-match', 'change-reason'] as const;

/** What makes two requests the same one: method, address with its query, the headers that matter, and the body. */
function hashOf(request: Request): string {
  const sent: unknown = request.body;
  return createHash('sha256')
    .update(JSON.stringify([request.method, request.originalUrl, ...MEANINGFUL.map((name) => request.get(name) ?? null)]))
    .update(Buffer.isBuffer(sent) ? sent : JSON.stringify(sent ?? null))
    .digest('hex');
}

function keep(answer: Answer): KeptAnswer {
  const headers = {
    ...(answer.version === undefined ? {} : { ETag: etagOf(answer.version) }),
    ...(answer.location === undefined ? {} : { Location: answer.location }),
    ...(answer.text === undefined ? {} : { 'Content-Type': `${answer.text.type}; charset=utf-8` }),
  };
  if (answer.text !== undefined) return { status: answer.status ?? 200, headers, body: answer.text.text };
  return { status: answer.status ?? (answer.body === undefined ? 204 : 200), headers, body: answer.body === undefined ? '' : JSON.stringify(answer.body) };
}

/** Below this size a body goes out as one text with its head; above, encoding it once to bytes is cheaper. */
const SHORT_BODY = 8_192;

/** Writes the answer without express's `send`, which looks at every answer anew. */
function write(response: Response, answer: KeptAnswer): void {
  const headers = { ...answer.headers, 'Cache-Control': 'no-store' };
  if (answer.body === '') {
    response.writeHead(answer.status, headers).end();
    return;
  }
  const body = answer.body.length > SHORT_BODY ? Buffer.from(answer.body) : answer.body;
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  response.writeHead(answer.status, { 'Content-Type': 'application/json; charset=utf-8', ...headers, 'Content-Length': length }).end(body);
}

/** The strong ETag of a version. */
export function etagOf(version: number): string {
  return `"v${String(version)}"`;
}

/** The version that If-Match names. @throws AppError precondition_required without it, bad_request when it is no ETag of ours */
export function ifMatch(request: Request): number {
  const header = request.get('if-match');
  if (header === undefined) throw new AppError('precondition_required', 'Send If-Match with the ETag of the record as you read it, such as "v3".');
  const match = /^"v(\d{1,9})"$/.exec(header.trim());
  if (match?.[1] === undefined) throw new AppError('bad_request', 'If-Match holds one strong ETag as this API gave it, such as "v3".');
  return Number(match[1]);
}

/** A path parameter. */
export function param(request: Request, name: string): string {
  const value = request.params[name];
  return typeof value === 'string' ? value : '';
}
