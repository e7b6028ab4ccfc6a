import type { Instant } from '../clock.ts';

/** What one column of a file is for. */
export interface ColumnSetting {
  readonly column: string;
  /** The field it fills, or `id`; null leaves the column out. */
  readonly field: string | null;
  /** What a cell stands for: text of the cell -> value of the field, null for empty. Other cells are taken as they are. */
  readonly values?: Readonly<Record<string, string | null>>;
  /** A reference whose key no record has stays empty; otherwise its row is rejected. */
  readonly optional?: boolean;
}

/** How a file becomes records. */
export interface ImportSettings {
  /** A named map of `metadata/imports`; the columns then come from it. */
  readonly map: string | null;
  /** Null: every column is named like a field. */
  readonly columns: readonly ColumnSetting[] | null;
  /** Fields that find an existing record. Null: those of the map, else `id`, else the unique field in the file. */
  readonly key: readonly string[] | null;
  /** What happens with rows whose record exists. */
  readonly existing: 'update' | 'skip';
  /** What happens with rows that have no record yet. */
  readonly missing: 'create' | 'skip';
  /** Whether rules see what is written. */
  readonly rules: 'all' | 'none';
}

export const DEFAULT_SETTINGS: ImportSettings = { map: null, columns: null, key: null, existing: 'update', missing: 'create', rules: 'all' };

/** A row as it was read: the line it begins on and its cells, or why it could not be read. */
export interface StagedRow {
  readonly line: number;
  readonly cells: readonly unknown[];
  readonly reason: string | null;
}

/** Rows that are written in one transaction. */
export interface Block {
  readonly ordinal: number;
  readonly rows: readonly StagedRow[];
}

export type FileFormat = 'csv' | 'ndjson' | 'xlsx';

/** A check tries every row and writes nothing; a run writes. */
export type Phase = 'check' | 'run';

/** A row that cannot be imported, and why; or a record that an undo leaves as it is. */
export interface Finding {
  readonly line: number;
  readonly column: string | null;
  readonly reason: string;
  readonly cells: readonly unknown[];
  readonly recordId: string | null;
}

/** How many rows a job has dealt with, and what became of them. */
export interface JobCounts {
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly skipped: number;
  readonly rejected: number;
}

/** What an undo did: records taken back to the trash, records put back as they were, records left alone in whole or in part. */
export interface UndoCounts {
  readonly removed: number;
  readonly restored: number;
  readonly kept: number;
}

/** Who a job acts for. */
export type JobPrincipal = { readonly kind: 'user'; readonly id: string } | { readonly kind: 'system'; readonly name: string };

export type JobState =
  'uploading' | 'reading' | 'ready' | 'checking' | 'checked' | 'running' | 'done' | 'dry-run' | 'failed' | 'cancelled' | 'undoing' | 'undone';

/** A row of `import_job`. */
export interface ImportJob {
  readonly id: string;
  readonly object: string;
  readonly fileName: string;
  readonly format: FileFormat;
  readonly state: JobState;
  readonly settings: ImportSettings;
  readonly header: readonly string[];
  readonly fingerprint: string | null;
  readonly size: number;
  /** Rows in staging. */
  readonly staged: number;
  readonly isUpload: boolean;
  readonly principal: JobPrincipal;
  readonly cancelRequested: boolean;
  readonly error: string | null;
  readonly checked: JobCounts | null;
  readonly counts: JobCounts | null;
  readonly undone: UndoCounts | null;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly finishedAt: Instant | null;
}
