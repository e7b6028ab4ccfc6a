import type { Knex } from 'knex';
import type { CallContext, Cause, Principal } from '../../platform/access/types.ts';
import type { Clock } from '../../platform/clock.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { addDuration } from '../../platform/expression/durations.ts';
import type { UserAccount } from '../../platform/identity/identity.sql.ts';
import { addUser } from '../../platform/identity/users.ts';
import type { RandomBytes } from '../../platform/ids.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import type { Model } from '../../platform/model/types.ts';
import { policyLookup } from '../../platform/policies/policies.ts';
import type { Reader } from '../../platform/query/reader.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { RecordEngine } from '../../platform/record/types.ts';
import { syntheticProviders } from './providers.ts';
import { makeSimulatedStaff, withStaff } from './staff.ts';

/** What of the wired product a simulated network needs. */
export interface NetworkHost {
  readonly db: Knex;
  readonly clock: Clock;
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly worker: Pick<Worker, 'drain'>;
  contextFor(principal: Principal, cause: Cause): Promise<CallContext>;
}

const CAUSE: Cause = { kind: 'command', name: 'simulate' };
const BATCH = 250;

/** Adds invented active providers and a relations team that visits every provider as planned; for simulations only. */
export async function peopleNetwork(host: NetworkHost, random: RandomBytes, providers: number): Promise<Pick<Worker, 'drain'>> {
  const system = await host.contextFor({ kind: 'system', name: 'simulate' }, CAUSE);
  const somebody = { email: 'simulated.relations@plan.example', name: 'Rosa Relations', permissionSets: ['relations'] };
  const known = new Set(system.model.permissions.keys());
  const { user } = await inTransaction(host.db, (tx) => addUser(tx, { clock: host.clock, random }, somebody, known, 'simulate'));
  const made = [...syntheticProviders({ count: providers, random, activatedOn: system.today, relationsManager: user.id })];
  for (let at = 0; at < made.length; at += BATCH) {
    const items = made.slice(at, at + BATCH).map((values) => ({ kind: 'create' as const, values }));
    await inTransaction(host.db, (tx) => host.engine.write(tx, system, 'Provider', items, { asSystem: true }));
  }
  const context = (): Promise<CallContext> => host.contextFor(principalOf(user), CAUSE);
  return withStaff(host.worker, makeSimulatedStaff({ engine: host.engine, reader: host.reader, random, context }), host.db);
}

function principalOf(user: UserAccount): Principal {
  return { kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name };
}

export interface VisitFindings {
  /** Providers whose policy asks for visits and who had their orientation. */
  readonly scheduled: number;
  readonly counted: number;
  /** Spans between counted visits that were longer than the policy's interval. */
  readonly gaps: readonly { readonly npi: string; readonly from: string; readonly dueOn: string; readonly heldOn: string | null }[];
}

/**
 * Compares the counted visits of every active provider with the policy: from the orientation on, the next counted visit
 * must lie within the interval, and none may be overdue on the last day.
 */
export async function checkVisits(db: Knex, context: CallContext, reader: Reader): Promise<VisitFindings> {
  const held = new Map<string, string[]>();
  for await (const visit of all(db, context, reader, 'Visit', "counted == true && purpose != 'orientation' && heldOn != null", ['provider', 'heldOn'])) {
    const provider = String(visit['provider']);
    held.set(provider, [...(held.get(provider) ?? []), String(visit['heldOn'])]);
  }
  const gaps: VisitFindings['gaps'][number][] = [];
  let scheduled = 0;
  let counted = 0;
  for await (const provider of all(db, context, reader, 'Provider', "status == 'active' && orientationOn != null", [])) {
    const days = (held.get(provider.id) ?? []).sort();
    let from = String(provider['orientationOn']);
    const interval = intervalOn(context.model, provider, from);
    if (interval === null) continue;
    scheduled += 1;
    counted += days.length;
    for (const heldOn of [...days, null]) {
      const dueOn = addDuration(from, interval);
      if (dueOn === null) throw new AppError('internal', `There is no day ${interval} after ${from}.`);
      if (heldOn === null ? dueOn < context.today : heldOn > dueOn) gaps.push({ npi: String(provider['npi']), from, dueOn, heldOn });
      from = heldOn ?? from;
    }
  }
  return { scheduled, counted, gaps };
}

function intervalOn(model: Model, provider: RecordData, day: string): string | null {
  const interval = policyLookup(model, 'visit-cadence', provider, day)?.['interval'];
  return typeof interval === 'string' ? interval : null;
}

async function* all(db: Knex, context: CallContext, reader: Reader, object: string, filter: string, fields: readonly string[]): AsyncGenerator<RecordData> {
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const query = { object, filter, limit: 500, ...(fields.length === 0 ? {} : { fields }) };
    const page = await reader.list(db, context, cursor === undefined ? query : { ...query, cursor });
    yield* page.data;
    cursor = page.page.next;
  }
}
