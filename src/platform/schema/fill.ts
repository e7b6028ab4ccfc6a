import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { tableOfObject } from '../model/side-tables.ts';
import { fieldById } from './field-by-id.ts';
import { runStatements, shortLocks, type Applying } from './applying.ts';
import { beginFill, dirtyCount, endFill, fillCursor, lockWriters, moveCursor, takeDirty } from './fill-state.sql.ts';
import { copyBatch, copyRecords, makeFill, stuckRecords, type Fill, type IfStuck } from './fill.sql.ts';
import { waitForProcesses } from './processes.sql.ts';
import { currentVersion } from './versions.sql.ts';
import type { FillTask, SchemaStep } from './types.ts';

const FEWEST = 100;
/** `quality.md`, 4: at most 5,000 rows or 200 ms a batch; others wait for no row longer than that. */
const MOST = 5_000;
const BATCH_MS = 100;
/** With so few changed records left the last of them are carried over while writers wait. */
const FEW_LEFT = 200;

type Phase = NonNullable<SchemaStep['fill']>['phase'];

/** Carries out one step of a change of type; `note` records the step in the transaction that ends it. Writes. */
export async function carryOut(
  applying: Applying,
  step: SchemaStep,
  { task, phase }: { readonly task: FillTask; readonly phase: Phase },
  note: (tx: Knex.Transaction) => Promise<void>,
): Promise<void> {
  const { db, clock } = applying;
  switch (phase) {
    case 'prepare':
      return db.transaction(async (tx) => {
        await shortLocks(tx);
        await runStatements(tx, step);
        await beginFill(tx, task, clock.now());
        await note(tx);
      });
    case 'copy': {
      const fill = fillOf(applying, task);
      await copyAll(applying, fill);
      await catchUp(applying, fill, 'clear');
      refuseStuck(await stuckRecords(db, fill));
      return db.transaction(note);
    }
    case 'settle': {
      const fill = fillOf(applying, task);
      const version = await currentVersion(db);
      await waitForProcesses(db, version, () => applying.lease.renew(db));
      await catchUp(applying, fill, 'leave');
      return db.transaction(async (tx) => {
        await shortLocks(tx);
        await runStatements(tx, step);
        await copyDirty(tx, fill, MOST, 'leave');
        await endFill(tx, task.fieldId);
        await note(tx);
      });
    }
    case 'abandon':
      return db.transaction(async (tx) => {
        await shortLocks(tx);
        await runStatements(tx, step);
        await endFill(tx, task.fieldId);
        await note(tx);
      });
    case 'switch':
      throw new AppError('internal', 'A switch belongs to the transaction that puts the version in force.');
  }
}

/**
 * What changed since the copying, while indexes were built and processes got ready, is carried over while everybody works, so that little is left for
 * the moment in which writers wait. Writes. @throws AppError schema_refused
 */
export async function approachSwitch(applying: Applying): Promise<void> {
  for (const { fill } of applying.planned.plan.steps) if (fill?.phase === 'switch') await catchUp(applying, fillOf(applying, fill.task), 'refuse');
}

/** What still changed is carried over while writers of the table wait: from here on nothing is missing. Writes. */
export async function finishFill(tx: Knex.Transaction, applying: Applying, task: FillTask): Promise<void> {
  const fill = fillOf(applying, task);
  // A writer holds the object's own table from before it looks which version is in force; its side tables come to be held later.
  const own = tableOfObject(task.table);
  if (own !== task.table) await lockWriters(tx, own);
  await lockWriters(tx, task.table);
  let taken = MOST;
  while (taken > 0) {
    const outcome = await copyDirty(tx, fill, MOST, 'clear');
    refuseStuck(outcome.stuck);
    taken = outcome.taken;
  }
}

function fillOf({ planned }: Applying, task: FillTask): Fill {
  const target = fieldById(planned.model, task.fieldId) ?? fieldById(planned.before(), task.fieldId);
  if (target === null) throw new AppError('internal', `The field ${task.fieldId} is in neither Model.`);
  return makeFill(task, target, fieldById(planned.before(), task.fieldId), planned.model.calendarLookup.planZone);
}

/** Copies in the order of ids; each batch with its cursor is one transaction, so a killed copy goes on where it stood. */
async function copyAll({ db, lease, faults }: Applying, fill: Fill): Promise<void> {
  const { fieldId } = fill.task;
  let { cursor } = await fillCursor(db, fieldId);
  let size = FEWEST;
  for (;;) {
    const start = performance.now();
    const from: string | null = cursor;
    const limit: number = size;
    const { lastId, looked } = await db.transaction(async (tx) => {
      await shortLocks(tx);
      const outcome = await copyBatch(tx, fill, from, limit);
      if (outcome.lastId !== null) await moveCursor(tx, fieldId, outcome.lastId, outcome.looked);
      return outcome;
    });
    faults('schema.fill_batch');
    if (lastId === null || looked < limit) return;
    cursor = lastId;
    const took = performance.now() - start;
    size = Math.min(MOST, Math.max(FEWEST, Math.round(size * Math.min(2, BATCH_MS / Math.max(1, took)))));
    await lease.renew(db);
  }
}

/** Carries over what changed meanwhile, until little is left. */
async function catchUp({ db, lease }: Applying, fill: Fill, ifStuck: IfStuck | 'refuse'): Promise<void> {
  while ((await dirtyCount(db, fill.task.fieldId)) > FEW_LEFT) {
    await db.transaction(async (tx) => {
      await shortLocks(tx);
      const { stuck } = await copyDirty(tx, fill, FEW_LEFT * 2, ifStuck === 'refuse' ? 'clear' : ifStuck);
      if (ifStuck === 'refuse') refuseStuck(stuck);
    });
    await lease.renew(db);
  }
}

async function copyDirty(
  tx: Knex.Transaction,
  fill: Fill,
  limit: number,
  ifStuck: IfStuck,
): Promise<{ readonly taken: number; readonly stuck: readonly string[] }> {
  const ids = await takeDirty(tx, fill.task.fieldId, limit);
  const { stuck } = ids.length === 0 ? { stuck: [] } : await copyRecords(tx, fill, ids, ifStuck);
  return { taken: ids.length, stuck };
}

/** Values that came in while the copy ran and do not convert end the change before it is in force. @throws AppError schema_refused */
function refuseStuck(stuck: readonly string[]): void {
  if (stuck.length === 0) return;
  throw new AppError('schema_refused', `Values came in that do not convert, in records ${stuck.join(', ')}. Correct them and apply again.`, {
    errors: stuck.map((id) => ({ pointer: '', code: 'does_not_convert', detail: `The value of record ${id} does not convert.` })),
  });
}
