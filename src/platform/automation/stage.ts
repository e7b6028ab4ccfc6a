import type { Knex } from 'knex';
import { distinctUses } from '../access/policy-uses.ts';
import type { CallContext } from '../access/types.ts';
import type { PolicyUse, Row } from '../expression/types.ts';
import type { MailQueue } from '../mail/types.ts';
import type { RecordEngine } from '../record/types.ts';
import type { Evaluator } from './evaluate.ts';
import type { MailValues } from './mail-data.ts';
import type { RunData } from './run-data.ts';
import type { Compiled, CompiledRule, RuleAction, RuleReader, RuleRecord, RuleRun, StepTrace } from './types.ts';

export interface StepTools {
  readonly engine: RecordEngine;
  readonly reader: RuleReader;
  readonly mail: MailQueue;
  readonly actions: ReadonlyMap<string, RuleAction>;
  readonly mailValues: MailValues;
}

/** A run under way, as its steps see it. */
export interface Stage {
  readonly tools: StepTools;
  readonly tx: Knex.Transaction;
  readonly data: RunData;
  readonly context: CallContext;
  readonly rule: CompiledRule;
  readonly run: RuleRun;
  readonly evaluator: Evaluator;
  /** What policies decided so far, the condition of the rule among it. */
  readonly uses: readonly PolicyUse[];
  readonly old: Row | null;
  readonly created: Map<string, string>;
  /** What actions gave for the templates of later mails. */
  readonly given: Record<string, unknown>;
  readonly trace: StepTrace[];
  record: RuleRecord | null;
}

export type Evaluate = (expression: Compiled) => Promise<unknown>;

/** What a repeated step is done for. */
export interface Each {
  readonly position: number;
  readonly value: unknown;
}

/** What expressions of a step may name besides the record. */
export function variablesOf(stage: Stage, each: Each | null): Readonly<Record<string, unknown>> {
  const variables: Record<string, unknown> = { old: stage.old, created: Object.fromEntries(stage.created) };
  if (each !== null) variables['each'] = each.value;
  return variables;
}

/** The call by which the run writes: its cause names the decisions of policies so far. */
export function writing({ context, uses }: Stage): CallContext {
  return uses.length === 0 ? context : { ...context, cause: { ...context.cause, decisions: distinctUses(uses) } };
}

/** After a write, later steps see the record as it is now. */
export async function refresh(stage: Stage): Promise<void> {
  stage.evaluator.forget();
  const { record } = stage;
  if (record === null) return;
  const row = (await stage.data.rows(record.object, [record.id])).get(record.id);
  if (row !== undefined) stage.record = { ...record, row };
}

/** What tells the repetitions of a step apart. */
export function eachKey(each: Each): string {
  const value = each.value;
  if (typeof value === 'object' && value !== null && 'id' in value) return String(value.id);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : String(each.position);
}
