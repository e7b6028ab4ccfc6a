import type { Knex } from 'knex';
import type { Rights } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import type { PolicyUse } from '../expression/types.ts';
import type { TransitionModel } from '../model/types.ts';
import type { ObjectPlan } from './object-plan.ts';
import type { WriteItem, WriteOptions } from './types.ts';

/** A record as field name -> value, in the API's form; every stored field is present, empty ones as null. */
export type Image = Readonly<Record<string, unknown>>;
export type MutableImage = Record<string, unknown>;

/** One item on its way through the pipeline. The only mutable thing of a batch; it never leaves this folder. */
export interface Entry {
  readonly index: number;
  readonly item: WriteItem;
  readonly id: string;
  /** What the caller sent, parsed; names are fields of the object. */
  readonly sent: Map<string, unknown>;
  before: Image | null;
  after: MutableImage;
  transition: TransitionModel | null;
  /** What policies decided in its transition: guards, and what it sets. */
  readonly decisions: PolicyUse[];
  /** Names of stored fields whose value differs, system fields left out. */
  changed: readonly string[];
  /** Validation findings so far; the field's pointer is relative to the item. */
  readonly findings: ErrorDetail[];
  failure: AppError | null;
  /** Nothing to write: the record already is as asked for. */
  idle: boolean;
}

/** A batch of one object in one transaction. */
export interface Batch {
  /** The batch's transaction; null for a write that is one statement (`direct.ts`) and needs none. */
  readonly tx: Knex.Transaction | null;
  /** What the batch reads by: its transaction when it has one. */
  readonly db: Knex;
  readonly context: CallContext;
  readonly plan: ObjectPlan;
  readonly entries: readonly Entry[];
  readonly atomic: boolean;
  readonly events: NonNullable<WriteOptions['events']>;
  readonly system: boolean;
  /** The caller's rights on the object; null when the call is the system's own. */
  readonly rights: Rights | null;
  readonly actor: string;
}

/** The transaction of a batch, for what must be held until it ends. @throws AppError internal when the batch has none */
export function txOf(batch: Batch): Knex.Transaction {
  if (batch.tx === null) throw new AppError('internal', `A write of ${batch.plan.object.name} needs a transaction and has none.`);
  return batch.tx;
}

/** Entries that have not failed. */
export function alive(batch: Batch): readonly Entry[] {
  return batch.entries.filter((entry) => entry.failure === null);
}

/** Entries that have not failed and have something to write. */
export function pending(batch: Batch): readonly Entry[] {
  return batch.entries.filter((entry) => entry.failure === null && !entry.idle);
}

/** Pointers of a batch name the item's place first; a single write has the record itself as root. */
function placed(batch: Batch, entry: Entry, errors: readonly ErrorDetail[]): readonly ErrorDetail[] {
  if (batch.entries.length === 1 || !batch.atomic) return errors;
  return errors.map((error) => ({ ...error, pointer: `/${entry.index}${error.pointer}` }));
}

/** Ends an entry. In an atomic batch this ends the batch, by throwing. */
export function fail(batch: Batch, entry: Entry, error: AppError): void {
  entry.failure = error;
  if (!batch.atomic) return;
  throw batch.entries.length === 1
    ? error
    : new AppError(error.code, error.message, { errors: placed(batch, entry, error.errors), extra: error.extra, cause: error });
}

/** Adds a validation finding about one field (or the whole record with an empty name). */
export function find(entry: Entry, field: string, code: string, detail: string, more: { readonly rule?: string; readonly fix?: string } = {}): void {
  const pointer = field === '' ? '' : `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  entry.findings.push({ pointer, code, detail, ...more });
}

/** True when something was already said about the field: later stages do not speak of it again. */
export function hasFinding(entry: Entry, field: string): boolean {
  return entry.findings.some((finding) => finding.pointer === `/${field}` || finding.pointer.startsWith(`/${field}/`));
}

/** Turns findings into failures: all of them at once, over the whole batch when it is atomic. */
export function settleFindings(batch: Batch): void {
  const wrong = alive(batch).filter((entry) => entry.findings.length > 0);
  if (wrong.length === 0) return;
  if (batch.atomic) {
    const errors = wrong.flatMap((entry) => placed(batch, entry, entry.findings));
    throw new AppError('validation_failed', summary(errors), { errors });
  }
  for (const entry of wrong) entry.failure = new AppError('validation_failed', summary(entry.findings), { errors: [...entry.findings] });
}

function summary(errors: readonly ErrorDetail[]): string {
  const first = errors[0]?.detail ?? '';
  return errors.length === 1 ? first : `${errors.length} values are missing or wrong. The first: ${first}`;
}
