import type { PhysicalNames } from '../model/physical.ts';
import type { MetadataSet } from '../metadata/types.ts';

/** How a step changes the database (`architecture.md`, section 4). */
export type StepClass = 'metadata' | 'instant' | 'online' | 'backfill' | 'destructive' | 'refused';

export interface SchemaStep {
  readonly class: StepClass;
  readonly description: string;
  /** Statements in order; none for metadata and refused steps. */
  readonly sql: readonly string[];
  /** Strongest lock taken, in PostgreSQL's words. */
  readonly lock: string | null;
  /** What to do instead, for a refused step. */
  readonly fix?: string;
  /** False for statements that PostgreSQL runs only by themselves. */
  readonly isTransactional: boolean;
  /** Ids whose physical names are recorded together with the step. */
  readonly records: readonly string[];
}

export interface SchemaPlan {
  readonly steps: readonly SchemaStep[];
  readonly hash: string;
  /** The wanted set with all ids, and the names that it will have in the database. */
  readonly wanted: MetadataSet;
  readonly physical: PhysicalNames;
}

/** What really stands in the database, of the tenant's schema. */
export interface Catalogue {
  /** Table -> its columns. */
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>;
  /** Index -> whether it is valid, and its table. */
  readonly indexes: ReadonlyMap<string, { readonly table: string; readonly isValid: boolean }>;
  /** Foreign key -> whether it is validated. */
  readonly foreignKeys: ReadonlyMap<string, { readonly table: string; readonly isValid: boolean }>;
  /** Tables that hold at least one row. */
  readonly filled: ReadonlySet<string>;
}

export interface ApplyResult {
  readonly steps: readonly SchemaStep[];
  readonly hash: string;
  /** The version in force afterwards. */
  readonly version: number;
}
