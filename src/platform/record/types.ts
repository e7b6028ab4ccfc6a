import type { Knex } from 'knex';
import type { CallContext, Cause } from '../access/types.ts';
import type { ErrorDetail } from '../errors.ts';
import type { RecordData } from '../query/types.ts';

/** One write. A batch holds writes of one object; a single record is a batch of one. */
export type WriteItem = (
  | {
      readonly kind: 'create';
      readonly values: Readonly<Record<string, unknown>>;
      readonly id?: string;
      /** Values taken over from another record by the engine itself, beneath those that the caller sends. */
      readonly carries?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'update';
      readonly id: string;
      /** Absent only for system callers (last write wins under lock). */ readonly version?: number;
      readonly values: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'transition';
      readonly id: string;
      readonly version?: number;
      readonly transition: string;
      readonly values?: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'delete'; readonly id: string; readonly version?: number }
  | { readonly kind: 'restore'; readonly id: string; readonly version?: number }
) & {
  /** Why it is written, where that is not what the call says: items of several causes may share a batch. */
  readonly cause?: Cause;
};

export interface WriteOptions {
  /** `atomic`: one failure throws AppError for the whole batch. `each`: failures are reported per item, the rest is written. */
  readonly mode?: 'atomic' | 'each';
  /** `chunk`: one event for the whole batch (imports), naming its ids. */
  readonly events?: 'each' | 'chunk' | 'none';
  /** Skip the caller's rights (rules, imports by an authorised job); validation and guards still hold. */
  readonly asSystem?: boolean;
}

export type WriteOutcome =
  | { readonly ok: true; readonly id: string; readonly version: number; readonly changed: boolean; readonly created: boolean }
  | { readonly ok: false; readonly index: number; readonly code: string; readonly message: string; readonly errors: readonly ErrorDetail[] };

/** Called inside the record's transaction with before and after images (field name -> value). */
export interface RecordHook {
  readonly object: string | '*';
  readonly afterWrite?: (tx: Knex.Transaction, context: CallContext, changes: readonly RecordChange[]) => Promise<void>;
}

export interface RecordChange {
  readonly object: string;
  readonly id: string;
  readonly kind: 'created' | 'updated' | 'deleted' | 'restored';
  readonly version: number;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly transition?: string;
}

/**
 * The single write path. Implemented by `makeRecordEngine` in `record/engine.ts`. A write by a Model that is no longer in force throws
 * AppError model_changed and writes nothing.
 */
export interface RecordEngine {
  write(tx: Knex.Transaction, context: CallContext, object: string, items: readonly WriteItem[], options?: WriteOptions): Promise<readonly WriteOutcome[]>;
  /** Opens a transaction, writes one item, and answers the record as the caller may read it. Throws AppError. */
  writeOne(
    db: Knex,
    context: CallContext,
    object: string,
    item: WriteItem,
  ): Promise<{ readonly record: RecordData | null; readonly id: string; readonly version: number }>;
}
