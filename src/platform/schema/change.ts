import { fillCalendarDays } from '../calendar/calendar-days.sql.ts';
import { AppError } from '../errors.ts';
import type { Fault } from '../fault.ts';
import { canonicalJson, contentHash, toStored } from '../metadata/store-form.ts';
import type { PhysicalName, PhysicalNames } from '../model/physical.ts';
import { calendarsOf } from '../model/calendars.ts';
import type { Model } from '../model/types.ts';
import { announce, waitUntilReady } from './announced.sql.ts';
import { runStatements, shortLocks, type Applying } from './applying.ts';
import { recordSteps, refusedPlan, runSteps, withLockRetry } from './apply.ts';
import { approachSwitch, finishFill } from './fill.ts';
import { settleFill } from './fill-state.sql.ts';
import { withLease } from './lease.sql.ts';
import { writeKept, writePhysicalNames } from './names.sql.ts';
import { planWish, type Planned, type Planner, type PlanOptions, type Wish } from './planner.ts';
import { metadataStep } from './step.ts';
import type { ApplyResult, SchemaPlan } from './types.ts';
import { writeVersion } from './versions.sql.ts';

export interface ApplyOptions extends PlanOptions {
  /** Apply only if the plan is still the one with this hash. */
  readonly hash?: string;
}

export interface Applier extends Planner {
  readonly faults: Fault;
  /** Called when the next version is announced, with its Model, under the id of the announcement. */
  readonly onAnnounced: (id: string, model: Model) => Promise<void>;
  /** Called once the new version is in force, before what comes after it. */
  readonly onVersion: () => Promise<void>;
}

/**
 * Plans a wish under the lease and carries it out. A run that was killed is gone on with by applying again. Writes.
 * @throws AppError metadata_invalid, schema_refused, conflict_state (another plan than `hash`; a lock or lease not had)
 */
export function applyWish(applier: Applier, wish: Wish, by: string, options: ApplyOptions): Promise<ApplyResult> {
  const { db, clock, faults } = applier;
  return withLease(db, 'metadata', async (lease) => {
    const planned = await planWish(applier, wish, options);
    const { plan, recorded } = planned;
    const refused = refusedPlan(plan);
    if (refused !== null) throw refused;
    if (options.hash !== undefined && options.hash !== plan.hash)
      throw new AppError(
        'conflict_state',
        `The plan is another one by now (${plan.hash.slice(0, 12)}): something changed since it was made. Look at it again.`,
      );
    const result = { steps: plan.steps, hash: plan.hash, conflicts: plan.conflicts };
    if (plan.steps.length === 0) return { ...result, version: recorded.version };
    const applying: Applying = { db, clock, lease, faults, planned };
    const version = isOther(planned) ? recorded.version + 1 : recorded.version;
    // Processes compile it while the steps run that come before it.
    const announcement = version === recorded.version ? null : await announceNext(applier, planned, version);
    await runSteps(applying, 'before');
    if (announcement !== null) await waitUntilReady(db, announcement);
    await lease.renew(db);
    faults('schema.before_version');
    const described = metadataStep(`Put version ${String(version)} in force`);
    await withLockRetry(db, described, async () => {
      await approachSwitch(applying);
      await putInForce(applying, version, announcement, by, noteOf(wish));
    });
    faults('schema.after_version');
    await applier.onVersion();
    await runSteps(applying, 'after');
    return { ...result, version };
  });
}

async function announceNext({ db, onAnnounced }: Applier, { plan, model }: Planned, version: number): Promise<string> {
  const id = await announce(db, { version, set: plan.wanted, names: plan.physical });
  await onAnnounced(id, model);
  return id;
}

function noteOf(wish: Wish): string | null {
  return wish.kind === 'return' ? `back to version ${String(wish.version)}` : wish.kind === 'change' ? 'local change' : null;
}

/** True when something that a version keeps is no longer as recorded. */
function isOther({ plan, recorded, files, package: laid }: Planned): boolean {
  const text = (set: Parameters<typeof toStored>[0]): string => canonicalJson(toStored(set));
  if (JSON.stringify(toStored(plan.wanted)) !== JSON.stringify(toStored(recorded.set)) || text(files) !== text(recorded.files)) return true;
  const packageText = (entry: typeof laid): string => (entry === null ? '' : `${entry.name} ${entry.removed.join()} ${text(entry.set)}`);
  return packageText(laid) !== packageText(recorded.package) || namesText(plan.physical) !== namesText(recorded.names);
}

function namesText(names: PhysicalNames | null): string {
  return names === null ? '' : canonicalJson([...names.values()].sort((left, right) => (left.id < right.id ? -1 : 1)));
}

/** One short transaction: the last changed values, what goes with the old version, the names, and the version itself. */
async function putInForce(applying: Applying, version: number, announcement: string | null, by: string, note: string | null): Promise<void> {
  const { db, clock, planned } = applying;
  const { plan, recorded, remembered } = planned;
  const steps = plan.steps.filter((step) => step.time === 'with');
  await db.transaction(async (tx) => {
    await shortLocks(tx);
    // Some 17,000 rows a calendar: they are written before anybody has to wait for a lock of this transaction.
    if (announcement !== null && (recorded.version === 0 || contentHash([...recorded.set.calendars]) !== contentHash([...plan.wanted.calendars])))
      await fillCalendarDays(tx, calendarsOf(plan.wanted, []));
    for (const step of steps) {
      if (step.fill?.phase !== 'switch') continue;
      await finishFill(tx, applying, step.fill.task);
      await settleFill(tx, step.fill.task.fieldId);
    }
    for (const step of steps) await runStatements(tx, step);
    const hidden = [...remembered.names.values()].flatMap((name): readonly PhysicalName[] =>
      name.hiddenAt === null && !plan.physical.has(name.id) ? [{ ...name, hiddenAt: clock.now() }] : [],
    );
    await writePhysicalNames(tx, [...plan.physical.values(), ...hidden]);
    const takenUp = remembered.kept.filter((column) => isInUse(plan, column)).map((column) => `${column.fieldId} ${column.physical}`);
    await writeKept(tx, plan.leaves, takenUp);
    await recordSteps(tx, applying);
    if (announcement === null) return;
    await writeVersion(tx, clock, {
      version,
      set: plan.wanted,
      files: planned.files,
      package: planned.package,
      names: plan.physical,
      by,
      planHash: plan.hash,
      note,
      announcement,
    });
  });
}

function isInUse({ physical }: SchemaPlan, column: { readonly fieldId: string; readonly physical: string }): boolean {
  const name = physical.get(column.fieldId);
  return name !== undefined && name.shape !== null && name.physical === column.physical;
}
