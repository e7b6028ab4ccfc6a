import type { MetadataSet } from '../metadata/types.ts';
import type { Instant } from '../clock.ts';
import type { PhysicalName, PhysicalNames } from '../model/physical.ts';
import { ident } from '../sql.ts';
import type { Question } from './examine.sql.ts';
import type { IndexSpec, TableSpec } from './table-spec.ts';
import type { Affected, Catalogue, FillTask, Remembered, SchemaStep, StepFinding } from './types.ts';

/** How long hidden and left columns are kept before they may be dropped (`architecture.md`, section 4). */
export const KEPT_DAYS = 90;

/** A field whose values must be carried over to another column, or cannot be. */
export interface Retype {
  readonly object: string;
  readonly field: string;
  readonly task: FillTask;
  /** The new type in words. */
  readonly to: string;
  readonly affects: readonly Affected[];
  /** Values that do not convert. */
  readonly findings: readonly StepFinding[];
}

/** What planning starts from. */
export interface PlanInput {
  readonly schema: string;
  readonly now: Instant;
  /** The set last applied. */
  readonly recorded: MetadataSet;
  /** The wanted set, with all ids. */
  readonly wanted: MetadataSet;
  readonly remembered: Remembered;
  /** Names of the wanted set. */
  readonly physical: PhysicalNames;
  readonly live: Catalogue;
  readonly retypes: readonly Retype[];
  /** Constants that records which exist get in new required fields: field id -> SQL literal of its columns. */
  readonly fillers: ReadonlyMap<string, Filler>;
  /** What in the metadata names a field (or an object, without a field). */
  readonly mentions: (object: string, field: string | null) => readonly Affected[];
  readonly allowDestructive: boolean;
  /** A return to an earlier version: records that lack what is required again are reported, not refused. */
  readonly isReturn: boolean;
}

/** Values of the columns of a new required field for the records that exist. */
export type Filler = ReadonlyMap<string, string>;

/** What all parts of planning share. */
export interface PlanContext extends PlanInput {
  readonly specs: readonly TableSpec[];
  /** Ids of the fields of the recorded set. */
  readonly before: ReadonlySet<string>;
  /** Object ids of the recorded set -> their names. */
  readonly objectsBefore: ReadonlyMap<string, string>;
}

/** A step as it is drafted: whether it is possible may depend on the data. */
export interface DraftStep {
  readonly step: SchemaStep;
  readonly asks?: {
    readonly question: Question;
    /** The step instead when records stand in the way; null leaves the step out. */
    readonly otherwise: (count: number, finding: StepFinding) => SchemaStep | null;
  };
}

/** A step with what is usual. */
export function step(stepClass: SchemaStep['class'], description: string, sql: readonly string[], more: Partial<SchemaStep> = {}): SchemaStep {
  return {
    class: stepClass,
    description,
    sql,
    lock: null,
    rows: null,
    affects: [],
    isTransactional: true,
    time: 'before',
    table: null,
    records: [],
    ...more,
  };
}

/** A step that is not possible, with what to do instead. */
export function refused(description: string, fix: string, findings: readonly StepFinding[] = []): SchemaStep {
  return step('refused', description, [], findings.length === 0 ? { fix } : { fix, findings });
}

/** A step that changes metadata only. */
export function metadataStep(description: string, more: Partial<SchemaStep> = {}): SchemaStep {
  return step('metadata', description, [], { time: 'with', ...more });
}

/** True when the object has no table yet. */
export function isNew(spec: TableSpec, context: PlanContext): boolean {
  return !context.live.tables.has(spec.table);
}

/** True when every record is still empty there: the columns come with this plan. */
export function isFresh(columns: readonly string[], spec: TableSpec, context: PlanContext): boolean {
  const live = context.live.tables.get(spec.table);
  return columns.length > 0 && columns.some((column) => live?.has(column) !== true && !isTarget(column, spec, context));
}

/** True for a column that a change of type fills. */
export function isTarget(column: string, spec: TableSpec, context: PlanContext): boolean {
  return context.retypes.some((retype) => retype.task.objectId === spec.objectId && retype.task.target.physical === column);
}

/** About how many records an object has; 0 when none. */
export function rowsOf(table: string, context: PlanContext): number {
  return context.live.filled.get(table) ?? 0;
}

/** `create index` as PostgreSQL takes it. */
export function createIndex(index: IndexSpec, isConcurrent: boolean): string {
  return `create ${index.isUnique ? 'unique ' : ''}index ${isConcurrent ? 'concurrently ' : ''}${ident(index.name).text} ${index.ddl}`;
}

/** The recorded name of a thing that metadata has now. */
export function recordedName(id: string, context: PlanContext): PhysicalName | undefined {
  return context.remembered.names.get(id);
}

/** `1,234 records`. */
export function countWords(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}
