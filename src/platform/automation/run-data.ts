import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import type { Row } from '../expression/types.ts';
import type { MailOfCall, MailQueue, QueuedMail, QueueMail } from '../mail/types.ts';
import type { Model } from '../model/types.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from '../record/types.ts';
import type { Ask, Crew } from './crew.ts';
import { ANYTHING, makeOverlaps, type Overlaps } from './overlaps.ts';
import { loadRelatedTo, loadRows } from './records.sql.ts';
import { beforeImages, finishRuns, markOnce, type EndedRun, type OnceMark } from './runs.sql.ts';

/** Where evaluations get other records from. */
export interface RecordLoads {
  /** Records by id, those in the trash too when asked for; others may be among them. */
  rows(object: string, ids: readonly string[], withTrash?: boolean): Promise<ReadonlyMap<string, Row>>;
  /** Live records whose reference points at a record, oldest first. */
  related(object: string, via: string, id: string): Promise<readonly Row[]>;
}

/** What a run reads and writes through; several runs that go on side by side send their statements together (`crew.ts`). */
export interface RunData extends RecordLoads {
  /**
   * Writes records of one object for the run: all of them or none.
   * @throws AppError what stands in the way
   */
  write(context: CallContext, object: string, items: readonly WriteItem[]): Promise<readonly WriteOutcome[]>;
  /** Remembers under each of the keys that a step was done; false when it had been before, under any of them. */
  markOnce(keys: readonly string[], recordId: string | null, at: Instant): Promise<boolean>;
  /** The image of a record before an event; null when the event has none. */
  before(eventId: string): Promise<Readonly<Record<string, unknown>> | null>;
  /** Queues a mail, as the queue does. */
  mail(context: CallContext, mail: QueueMail): Promise<QueuedMail>;
  finish(run: EndedRun): Promise<void>;
  /** Anything else that reads or writes by the transaction, while no other run does. Must not use this object. `written`: a record that it may change. */
  alone<T>(work: () => Promise<T>, written?: { readonly object: string; readonly id: string } | null): Promise<T>;
}

/** The records of some ids that are there, in the order of the ids. */
export function pickRows(found: ReadonlyMap<string, Row>, ids: readonly string[]): readonly Row[] {
  return ids.map((id) => found.get(id)).filter((row) => row !== undefined);
}

/** Reads without a crew, each by itself. */
export function loadsOf(db: Knex, model: Model): RecordLoads {
  return {
    rows: (object, ids, withTrash) => loadRows(db, model, object, ids, withTrash),
    related: async (object, via, id) => (await loadRelatedTo(db, model, object, via, [id])).get(id) ?? [],
  };
}

/** What a member asks. */
type Of<T> = T & { readonly member: number };

interface Write {
  readonly context: CallContext;
  readonly object: string;
  readonly items: readonly WriteItem[];
}

/** What the members of a crew read records through. */
export function makeLoads(crew: Crew, db: Knex, model: Model, overlaps?: Overlaps): (member: number) => RecordLoads {
  const rows: Ask<Of<{ readonly object: string; readonly ids: readonly string[]; readonly withTrash: boolean }>, ReadonlyMap<string, Row>> = crew.gather(
    ({ object, withTrash }) => `${object} ${String(withTrash)}`,
    async (asked) => {
      const [first] = asked;
      if (overlaps !== undefined) for (const { member, object, ids } of asked) for (const id of ids) overlaps.read(member, `${object} ${id}`);
      const ids = [...new Set(asked.flatMap((one) => one.ids))];
      const found = first === undefined ? new Map<string, Row>() : await loadRows(db, model, first.object, ids, first.withTrash);
      return asked.map(() => found);
    },
  );
  const related: Ask<Of<{ readonly object: string; readonly via: string; readonly id: string }>, readonly Row[]> = crew.gather(
    ({ object, via }) => `${object} ${via}`,
    async (asked) => {
      const [first] = asked;
      for (const { member } of asked) overlaps?.read(member, ANYTHING);
      const ids = [...new Set(asked.map(({ id }) => id))];
      const found = first === undefined ? new Map<string, readonly Row[]>() : await loadRelatedTo(db, model, first.object, first.via, ids);
      return asked.map(({ id }) => found.get(id) ?? []);
    },
  );
  return (member) => ({
    rows: (object, ids, withTrash = false) => rows(member, { member, object, ids, withTrash }),
    related: (object, via, id) => related(member, { member, object, via, id }),
  });
}

/** What the members of a crew read and write through. */
export function makeRunData(
  crew: Crew,
  tx: Knex.Transaction,
  model: Model,
  { engine, mail: queue }: { readonly engine: RecordEngine; readonly mail: MailQueue },
): (member: number) => RunData {
  const overlaps = makeOverlaps();
  const loads = makeLoads(crew, tx, model, overlaps);
  // One principal and one kind of write a call: what differs from run to run is why.
  const write: Ask<Of<Write>, readonly WriteOutcome[]> = crew.gather(
    ({ context, object, items }) => `${JSON.stringify(context.principal)} ${object} ${items[0]?.kind ?? ''}`,
    (asked) => writeTogether(tx, engine, asked, overlaps),
  );
  const once: Ask<OnceMark, boolean> = crew.gather(
    () => '',
    (asked) => markOnce(tx, asked),
  );
  const before: Ask<string, Readonly<Record<string, unknown>> | null> = crew.gather(
    () => '',
    async (ids) => {
      const found = await beforeImages(tx, ids);
      return ids.map((id) => found.get(id) ?? null);
    },
  );
  const mail: Ask<Of<MailOfCall>, QueuedMail> = crew.gather(
    () => '',
    async (asked) => {
      const answers = await queue.queueAll(tx, asked);
      // The record that a mail is about may have been told that it is not sent.
      for (const [at, { member, mail: one }] of asked.entries())
        if ((answers[at]?.failure !== undefined || answers[at]?.suppressed === true) && one.about !== null)
          overlaps.write(member, [`${one.about.object} ${one.about.id}`]);
      return answers;
    },
  );
  const finish: Ask<EndedRun, void> = crew.gather(
    () => '',
    async (runs) => {
      await finishRuns(tx, runs);
      return runs.map(() => undefined);
    },
  );
  return (member) => ({
    ...loads(member),
    write: (context, object, items) => write(member, { member, context, object, items }),
    markOnce: (keys, recordId, at) => once(member, { keys, recordId, at }),
    before: (eventId) => before(member, eventId),
    mail: (context, asked) => mail(member, { member, context, mail: asked }),
    finish: (run) => finish(member, run),
    alone: (work, written) =>
      crew.alone(member, () => {
        overlaps.read(member, ANYTHING);
        if (written !== undefined && written !== null) overlaps.write(member, [`${written.object} ${written.id}`]);
        return work();
      }),
  });
}

/** One write for all; two for those of the same record, which follow each other. */
async function writeTogether(
  tx: Knex.Transaction,
  engine: RecordEngine,
  asked: readonly Of<Write>[],
  overlaps: Overlaps,
): Promise<readonly (readonly WriteOutcome[])[]> {
  const outcomes: (readonly WriteOutcome[])[] = [];
  for (const { member, object, items } of asked)
    overlaps.write(
      member,
      idsOf(items).map((id) => `${object} ${id}`),
    );
  for (let at = 0; at < asked.length;) {
    const set = untilRepeated(asked.slice(at));
    const [first] = set;
    if (first === undefined) break;
    const items = set.length === 1 ? first.items : set.flatMap(({ context, items: own }) => own.map((item): WriteItem => ({ ...item, cause: context.cause })));
    const answered = await engine.write(tx, first.context, first.object, items, { mode: 'atomic', asSystem: true });
    let next = 0;
    for (const { items: own } of set) {
      outcomes.push(answered.slice(next, next + own.length));
      next += own.length;
    }
    at += set.length;
  }
  return outcomes;
}

/** The records that are changed. */
function idsOf(items: readonly WriteItem[]): readonly string[] {
  return items.flatMap((item) => (item.kind === 'create' ? [] : [item.id]));
}

/** The writes up to the first that writes a record once more. */
function untilRepeated<T extends Write>(asked: readonly T[]): readonly T[] {
  const seen = new Set<string>();
  const repeated = asked.findIndex(({ items }) => {
    const ids = idsOf(items);
    const isRepeated = ids.some((id) => seen.has(id));
    for (const id of ids) seen.add(id);
    return isRepeated;
  });
  return repeated < 1 ? asked.slice(0, repeated === 0 ? 1 : asked.length) : asked.slice(0, repeated);
}
