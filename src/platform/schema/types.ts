import type { Instant } from '../clock.ts';
import type { MetadataSet } from '../metadata/types.ts';
import type { MergeConflict } from '../metadata/merge.ts';
import type { KeptColumn, PhysicalNames, StoredAs } from '../model/physical.ts';

/** How a step changes the database (`architecture.md`, section 4). */
export type StepClass = 'metadata' | 'instant' | 'online' | 'backfill' | 'destructive' | 'refused';

/** When a step runs: before the new version is in force, in the transaction that puts it in force, or after. */
export type StepTime = 'before' | 'with' | 'after';

/** A thing in the metadata that names what a step changes. */
export interface Affected {
  /** `rule visit-planned`, `template mail/welcome`. */
  readonly what: string;
  /** `metadata/rules/visit-planned.json#/when`. */
  readonly pointer: string;
}

/** Records that stand in the way of a step. Values are left out: they may be sensitive. */
export interface StepFinding {
  readonly code: string;
  readonly detail: string;
  readonly count: number;
  /** Ids of some of the records. */
  readonly records: readonly string[];
}

/** Values that are carried over from one column of a field to another. */
export interface FillTask {
  readonly fieldId: string;
  readonly objectId: string;
  readonly table: string;
  readonly source: FillSource;
  readonly target: StoredAs;
  /** The target holds values from before that still count where the source has not changed since. */
  readonly keepsOlder: boolean;
}

export interface FillSource extends StoredAs {
  /** Name of the object that a reference points at. */
  readonly refersTo: string | null;
}

export interface SchemaStep {
  readonly class: StepClass;
  readonly description: string;
  /** Statements in order; none for steps that change metadata only or that are refused. */
  readonly sql: readonly string[];
  /** Strongest lock taken, in PostgreSQL's words. */
  readonly lock: string | null;
  /** Rows that the step looks at or writes, estimated; null when it looks at none. */
  readonly rows: number | null;
  readonly affects: readonly Affected[];
  /** What to do instead, for a refused step. */
  readonly fix?: string;
  readonly findings?: readonly StepFinding[];
  /** False for statements that PostgreSQL runs only by themselves. */
  readonly isTransactional: boolean;
  /** Each statement touches a bounded number of rows and is repeated until it finds none. */
  readonly isRepeated?: boolean;
  readonly time: StepTime;
  /** Table that it locks, for naming who blocks it. */
  readonly table: string | null;
  /** Ids whose physical names are recorded together with the step. */
  readonly records: readonly string[];
  /** Indexes that are dropped when the step fails half way. */
  readonly makes?: readonly string[];
  /** Constraint that is taken back when checking it fails. */
  readonly takesBack?: { readonly table: string; readonly constraint: string };
  readonly fill?: { readonly task: FillTask; readonly phase: 'prepare' | 'copy' | 'switch' | 'settle' | 'abandon' };
  /** Field or object ids whose keeping ends with this step. */
  readonly forgets?: readonly Forgotten[];
}

/** What is no longer remembered once its table or column is gone. */
export type Forgotten = { readonly kind: 'name'; readonly id: string } | { readonly kind: 'column'; readonly objectId: string; readonly physical: string };

export interface SchemaPlan {
  readonly steps: readonly SchemaStep[];
  readonly hash: string;
  /** The wanted set with all ids, and the names that it will have in the database. */
  readonly wanted: MetadataSet;
  readonly physical: PhysicalNames;
  /** Columns that this plan leaves behind. */
  readonly leaves: readonly KeptColumn[];
  /** Where local changes and the files changed the same thing differently: the local change stays. */
  readonly conflicts: readonly MergeConflict[];
}

export interface LiveColumn {
  /** As `format_type` writes it. */
  readonly type: string;
  readonly hasDefault: boolean;
}

export interface LiveIndex {
  readonly table: string;
  readonly isValid: boolean;
  readonly isUnique: boolean;
  /** It belongs to a constraint and goes with it. */
  readonly isOfConstraint: boolean;
}

export interface LiveConstraint {
  readonly table: string;
  readonly isValid: boolean;
  readonly kind: 'foreignKey' | 'check' | 'exclusion';
}

/** What really stands in the database, of the tenant's schema. */
export interface Catalogue {
  /** Table -> its columns. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, LiveColumn>>;
  readonly indexes: ReadonlyMap<string, LiveIndex>;
  /** Constraints by `table.name`: PostgreSQL lets two tables have one of the same name. */
  readonly constraints: ReadonlyMap<string, LiveConstraint>;
  /** Triggers of values being carried over, by `table.name`. */
  readonly triggers: ReadonlySet<string>;
  /** Tables that hold at least one row, with an estimate of how many. */
  readonly filled: ReadonlyMap<string, number>;
  /** Extensions of PostgreSQL that objects may need: what stands in the way of using them, or null when nothing does. */
  readonly extensions: ReadonlyMap<string, string | null>;
  /** Columns that a table ever had: PostgreSQL counts dropped ones for ever. */
  readonly columnsEver: ReadonlyMap<string, number>;
}

/** A fill that was begun. */
export interface FillState {
  readonly fieldId: string;
  readonly objectId: string;
  readonly source: FillSource;
  readonly target: StoredAs & { readonly keepsOlder: boolean };
  readonly state: 'filling' | 'settling';
}

/** What the database remembers of earlier changes. */
export interface Remembered {
  readonly names: PhysicalNames;
  readonly kept: readonly KeptColumn[];
  readonly fills: readonly FillState[];
}

export interface ApplyResult {
  readonly steps: readonly SchemaStep[];
  readonly hash: string;
  /** The version in force afterwards. */
  readonly version: number;
  readonly conflicts: readonly MergeConflict[];
}

/** One version of the metadata, as lists show it. */
export interface VersionEntry {
  readonly version: number;
  readonly hash: string;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly package: string | null;
  readonly note: string | null;
}
