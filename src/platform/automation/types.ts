import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { EvalContext, ExprValue, PolicyUse, Row, TypedExpression } from '../expression/types.ts';
import type { RuleFile, RuleStep } from '../metadata/types.ts';
import type { ListResult, ReadQuery, RecordData } from '../query/types.ts';

/** The reads that rules need; the planner's Reader fits. */
export interface RuleReader {
  list(db: Knex, context: CallContext, query: ReadQuery): Promise<ListResult>;
  get(db: Knex, context: CallContext, object: string, id: string): Promise<RecordData>;
}

/** The record a rule runs for, as it is now. */
export interface RuleRecord {
  readonly object: string;
  readonly id: string;
  readonly row: Row;
}

/**
 * Work of a module that metadata cannot say; named by `action` steps. Runs inside the run's transaction. What it answers
 * may be named by the templates of later mails of the same run (a personal `link`) and is kept nowhere.
 */
export type RuleAction = ((
  tx: Knex.Transaction,
  context: CallContext,
  input: Readonly<Record<string, unknown>>,
  record: RuleRecord | null,
) => Promise<Readonly<Record<string, unknown>> | void>) & {
  /** Takes so long that no other run may have to wait for it: a run of a rule that does this has a transaction of its own. */
  readonly takesLong?: true;
};

export interface Compiled {
  readonly typed: TypedExpression;
  readonly run: (row: Row, context: EvalContext) => ExprValue;
}

/** Records of an object that a filter chooses; it may name the rule's record as `record`. */
export interface Matching {
  readonly object: string;
  readonly filter: TypedExpression | null;
}

export interface CompiledStep {
  readonly index: number;
  /** Under what it is remembered when it is done once; the first is its own. */
  readonly keys: readonly string[];
  readonly file: RuleStep;
  readonly when: Compiled | null;
  /** Values, inputs, recipient and so on, by name. */
  readonly values: ReadonlyMap<string, Compiled>;
  readonly forEach:
    | { readonly kind: 'relation'; readonly object: string; readonly via: string; readonly filter: string | null }
    | { readonly kind: 'list'; readonly expression: Compiled }
    | ({ readonly kind: 'object' } & Matching)
    | null;
  /** Fields that an update sets to a number of records. */
  readonly counts: ReadonlyMap<string, Matching>;
  readonly once: Compiled | null;
  /** Object of the record that an update or transition writes. */
  readonly target: string | null;
}

export interface CompiledRule {
  readonly id: string;
  readonly name: string;
  readonly file: RuleFile;
  /** Object of the record that the rule runs for; null for a schedule without `for`. */
  readonly object: string | null;
  readonly when: Compiled | null;
  readonly steps: readonly CompiledStep[];
  /** Hash of its text; runs are done by the text that they began with. */
  readonly definition: string;
  /** Pauses before the 2nd, 3rd ... attempt of a run, in milliseconds; null for the usual ones. */
  readonly retryMs: readonly number[] | null;
}

/** What a run did, step by step; kept with the run for good. */
export interface StepTrace {
  readonly step: number;
  readonly name?: string;
  readonly kind: RuleStep['step'];
  /** `failed`: a mail to an address that is none; the run goes on without it. */
  readonly outcome: 'done' | 'skipped' | 'failed';
  readonly reason?: string;
  readonly record?: string;
  readonly object?: string;
  readonly recipient?: string;
}

export interface RunTrace {
  /** The condition, with the values it looked at when it matched. */
  readonly when?: string;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly steps?: readonly StepTrace[];
  /** What policies decided for the condition and the steps. */
  readonly decisions?: readonly PolicyUse[];
  readonly reason?: string;
  /** Occurrences before this one that the `missed` policy left out. */
  readonly missed?: number;
}

export type RunState = 'ready' | 'done' | 'failed' | 'skipped' | 'quarantined';

export interface RuleRun {
  readonly id: string;
  readonly seq: string;
  readonly runKey: string;
  readonly ruleId: string;
  readonly rule: string;
  readonly ruleVersion: number;
  /** Hash of the rule's text that it began with; null for a run that the release before made. */
  readonly definition: string | null;
  readonly eventId: string | null;
  readonly object: string | null;
  readonly recordId: string | null;
  readonly anchor: string | null;
  readonly state: RunState;
  readonly dueAt: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly trace: RunTrace;
  readonly chain: readonly { readonly rule: string; readonly record: string }[];
  readonly depth: number;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}
