import type { Knex } from 'knex';
import { mayDoEverything } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import { isUuid, type RandomBytes } from '../ids.ts';
import type { Outgoing } from '../outgoing.ts';
import { actorOf } from '../record/actor.ts';
import { openFields } from './body.ts';
import { secretText } from './signature.ts';
import { WEBHOOK_KINDS, type WebhookEndpoint, type WebhookKind } from './types.ts';
import { askAgain, auditEndpoint, deleteEndpoint, endpointById, insertEndpoint, replaceSecret, replayFrom, setEndpointActive } from './webhooks.sql.ts';

const SECRET_BYTES = 32;
/** How long the former secret signs beside the new one. */
const FORMER_MS = 24 * 60 * 60_000;

export interface NewEndpoint {
  readonly name: string;
  readonly url: string;
  readonly objects: readonly string[];
  /** All of them when left out. */
  readonly kinds?: readonly WebhookKind[];
  readonly permissionSets: readonly string[];
}

/** What administrators do with webhooks; each opens its own transaction and stands in the audit. */
export interface Webhooks {
  /** @throws AppError validation_failed with all findings */
  add(db: Knex, context: CallContext, wish: NewEndpoint): Promise<{ readonly endpoint: WebhookEndpoint; readonly secret: string }>;
  /** Gives another secret; the one before signs beside it for a day. @throws AppError not_found */
  rotate(db: Knex, context: CallContext, id: string): Promise<string>;
  /** @throws AppError not_found */
  setActive(db: Knex, context: CallContext, id: string, active: boolean): Promise<void>;
  /** Removes an endpoint with its deliveries. @throws AppError not_found */
  remove(db: Knex, context: CallContext, id: string): Promise<void>;
  /** Sends all events from a place on again, with the identifiers they had; answers how many. @throws AppError not_found */
  replay(db: Knex, context: CallContext, id: string, from: number): Promise<number>;
  /** Sends one delivery again that ended. @throws AppError not_found */
  again(db: Knex, context: CallContext, id: string, delivery: string): Promise<void>;
}

/** The endpoint of one id. @throws AppError not_found */
export async function readEndpoint(db: Knex, id: string): Promise<WebhookEndpoint> {
  const found = isUuid(id) ? await endpointById(db, id) : null;
  if (found === null) throw unknown();
  return found;
}

export function makeWebhooks(options: { readonly clock: Clock; readonly random: RandomBytes; readonly outgoing: Pick<Outgoing, 'complaint'> }): Webhooks {
  const { clock, random, outgoing } = options;
  const change = <T>(db: Knex, context: CallContext, action: string, id: string, work: (tx: Knex.Transaction) => Promise<T>): Promise<T> =>
    inTransaction(db, async (tx) => {
      const done = await work(tx);
      await auditEndpoint(tx, { at: context.now, actor: actorOf(context.principal), action, id });
      return done;
    });
  const demand = (found: boolean): void => {
    if (!found) throw unknown();
  };

  return {
    async add(db, context, wish) {
      const errors = findings(context, wish, outgoing);
      if (errors.length > 0) throw new AppError('validation_failed', errors.map(({ detail }) => detail).join(' '), { errors });
      const id = context.newId();
      const secret = random(SECRET_BYTES);
      const given = { id, name: wish.name, url: wish.url, objects: wish.objects, kinds: wish.kinds ?? WEBHOOK_KINDS, permissionSets: wish.permissionSets };
      const endpoint = await change(db, context, 'webhook-added', id, async (tx) => {
        await insertEndpoint(tx, given, secret, context.now, actorOf(context.principal));
        return readEndpoint(tx, id);
      });
      return { endpoint, secret: secretText(secret) };
    },
    async rotate(db, context, id) {
      await readEndpoint(db, id);
      const secret = random(SECRET_BYTES);
      const until = new Date(clock.nowMs() + FORMER_MS).toISOString();
      await change(db, context, 'webhook-secret-replaced', id, async (tx) => demand(await replaceSecret(tx, id, secret, until)));
      return secretText(secret);
    },
    async setActive(db, context, id, active) {
      await readEndpoint(db, id);
      await change(db, context, active ? 'webhook-activated' : 'webhook-deactivated', id, async (tx) => demand(await setEndpointActive(tx, id, active, null)));
    },
    async remove(db, context, id) {
      await readEndpoint(db, id);
      await change(db, context, 'webhook-removed', id, async (tx) => demand(await deleteEndpoint(tx, id)));
    },
    async replay(db, context, id, from) {
      await readEndpoint(db, id);
      return change(db, context, 'webhook-replayed', id, (tx) => replayFrom(tx, id, from, context.now));
    },
    async again(db, context, id, delivery) {
      await readEndpoint(db, id);
      if (!isUuid(delivery)) throw unknown();
      await change(db, context, 'webhook-replayed', id, async (tx) => demand(await askAgain(tx, id, delivery, context.now)));
    },
  };
}

function findings(context: CallContext, wish: NewEndpoint, outgoing: Pick<Outgoing, 'complaint'>): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  const complaint = outgoing.complaint(wish.url);
  if (complaint !== null) errors.push({ pointer: '/url', code: 'wrong_value', detail: complaint });
  const sets = context.model.permissions;
  wish.permissionSets.forEach((name, index) => {
    if (name === 'administrator' || sets.get(name)?.audience === 'staff') return;
    errors.push({ pointer: `/permissionSets/${String(index)}`, code: 'unknown', detail: `There is no permission set "${name}" of staff.` });
  });
  if (errors.some(({ pointer }) => pointer !== '/url')) return errors;
  const reader = endpointContext(context, '', wish.permissionSets);
  wish.objects.forEach((name, index) => {
    const pointer = `/objects/${String(index)}`;
    if (!context.model.objects.has(name)) errors.push({ pointer, code: 'unknown', detail: `There is no object "${name}".` });
    else if (openFields(reader, name) === null)
      errors.push({ pointer, code: 'wrong_value', detail: `The permission sets do not show every row of ${name}, so that no event of it could be sent.` });
  });
  return errors;
}

/** The call of an endpoint: what is sent to it is what its permission sets show. */
export function endpointContext(context: CallContext, endpoint: string, permissionSets: readonly string[]): CallContext {
  return { ...context, principal: { kind: 'user', userId: endpoint, permissionSets, email: '', name: 'webhook' } };
}

/** @throws AppError forbidden for everybody but administrators */
export function requireWebhookAdministrator(context: CallContext): void {
  if (!mayDoEverything(context)) throw new AppError('forbidden', 'Webhooks are for administrators.');
}

function unknown(): AppError {
  return new AppError('not_found', 'There is no such webhook or delivery.');
}
