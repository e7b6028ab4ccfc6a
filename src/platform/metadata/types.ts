import type { EffectiveAnnotation, RollupAnnotation } from './annotations.ts';
import type { MailboxFile } from './mailbox-file.ts';
import type { MatchingFile } from './matching-types.ts';
import type { RuleFile } from './rule-types.ts';
import type { Expression, Json } from './scalars.ts';
import type { FormFile, LayoutFile, ViewFile } from './screen-types.ts';

/**
 * Shapes of the metadata files, one interface a kind, as they stand on disk (see docs and `metadata/schema/*.json`).
 * Everything here is checked by ajv before it has one of these types. Expressions are text (CEL syntax).
 */
/* ------------------------------------------------------------------ objects */

export interface ReferenceAnnotation {
  /** Object name, `User`, or a list of object names (polymorphic reference: stored as object + id). */
  readonly to: string | readonly string[];
  /** Name of the to-many path on the other side. */
  readonly as?: string;
  readonly onDelete?: 'restrict' | 'clear' | 'cascade';
}

export interface FieldSchema {
  readonly title?: string;
  readonly description?: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';
  readonly format?:
    | 'uuid'
    | 'date'
    | 'date-time'
    | 'time'
    | 'duration'
    | 'email'
    | 'uri'
    | 'phone'
    | 'markdown'
    | 'decimal'
    | 'money'
    | 'percent'
    | 'address'
    | 'geo'
    | 'file'
    | 'json'
    | 'multiline';
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: { readonly type: 'string' };
  readonly 'x-id'?: string;
  readonly 'x-ref'?: ReferenceAnnotation;
  /** Name of a value set: makes the field a picklist (string) or multi-picklist (array). */
  readonly 'x-values'?: string;
  readonly 'x-formula'?: Expression;
  readonly 'x-rollup'?: RollupAnnotation;
  readonly 'x-default'?: Expression;
  readonly 'x-sequence'?: string;
  readonly 'x-sensitive'?: 'restricted' | 'confidential';
  readonly 'x-index'?: boolean;
  readonly 'x-search'?: boolean;
  readonly 'x-unique'?: boolean;
  readonly 'x-help'?: string;
  readonly 'x-label'?: string;
}

export interface CheckAnnotation {
  readonly name: string;
  readonly assert: Expression;
  readonly field?: string;
  readonly message: string;
  readonly fix?: string;
}

export interface ObjectFile {
  readonly $schema?: string;
  readonly title: string;
  readonly description?: string;
  readonly 'x-object': {
    readonly id?: string;
    readonly plural: string;
    /** Template of a record's display name: literal text and `{field}`. */
    readonly name: string;
    /** `private`: rows are seen through row rules and ownership only; `public`: by all who may read the object. */
    readonly sharing?: 'private' | 'public';
    readonly search?: readonly string[];
    readonly icon?: string;
  };
  readonly type: 'object';
  readonly properties: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly 'x-unique'?: readonly (readonly string[])[];
  readonly 'x-checks'?: readonly CheckAnnotation[];
  readonly 'x-effective'?: EffectiveAnnotation;
}

export interface ValueSetFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label?: string;
  readonly values: readonly { readonly code: string; readonly label: string; readonly active?: boolean; readonly color?: string }[];
}

export interface PathState {
  readonly name: string;
  readonly label: string;
  readonly kind: 'open' | 'won' | 'lost';
  readonly clock?: 'run' | 'pause';
}

export interface PathGuard {
  readonly name: string;
  readonly assert: Expression;
  readonly message: string;
  readonly fix?: string;
}

export interface PathTransition {
  readonly name: string;
  readonly label: string;
  readonly from: readonly string[];
  readonly to: string;
  readonly guards?: readonly PathGuard[];
  /** Fields that must be filled before, or given with, the transition. */
  readonly required?: readonly string[];
  /** Expressions setting fields of the record as the transition happens (evaluated with system rights). */
  readonly set?: Readonly<Record<string, Expression>>;
  /** Fields the caller may send with the transition. */
  readonly accepts?: readonly string[];
}

export interface PathFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly object: string;
  /** The picklist field that holds the state; it changes by transition only. */
  readonly field: string;
  readonly initial: string;
  readonly states: readonly PathState[];
  readonly transitions: readonly PathTransition[];
}

/* ------------------------------------------------------------------ rules */

export type { MatchingRecords, RuleFile, RuleStep, RuleTrigger } from './rule-types.ts';

export interface PolicyRow {
  readonly band: string;
  readonly when: Expression;
  readonly then: Readonly<Record<string, Json>>;
}

export interface PolicyVersion {
  /** First day in force; `2016-01` has month precision and means its first day. */
  readonly effective: string;
  /** Who approved it, as the file says; what counts is the approval recorded for its content (`model/approvals.ts`). */
  readonly approvedBy?: string;
  readonly approvedAt?: string;
  readonly cites?: string;
  readonly note?: string;
  readonly rows: readonly PolicyRow[];
}

export interface PolicyFloor {
  readonly policy: string;
  /** For each result that is held to the floor, which of two values is the stricter. */
  readonly results: Readonly<Record<string, 'least' | 'greatest'>>;
  /** True: metadata in which the policy is looser is refused; else it is said, and the floor holds. */
  readonly strict?: boolean;
}

export interface PolicyFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label?: string;
  readonly description?: string;
  /** Object whose fields the rows read; or `keys` with types when the policy is asked with values. */
  readonly object?: string;
  readonly keys?: Readonly<Record<string, 'text' | 'number' | 'boolean' | 'date' | 'instant'>>;
  readonly match: 'first' | 'unique';
  /** `duration`, `number`, `text`, `boolean`, `list`, each optionally with `?` when it may be null. */
  readonly results: Readonly<Record<string, string>>;
  /** Document control: its number, which document it replaces, the product it is about, who keeps it. */
  readonly document?: { readonly number?: string; readonly replaces?: string; readonly product?: string; readonly keeper?: string };
  /** The policy that this one may tighten and never loosen. */
  readonly floor?: PolicyFloor;
  readonly versions: readonly PolicyVersion[];
}

/** A holiday of every year: the same day of a month, so many days from Easter Sunday, or as a recurrence says; from and through which year. */
export interface YearlyHoliday {
  readonly name: string;
  readonly on: string | { readonly easter: number };
  readonly from?: number;
  readonly through?: number;
}

export interface CalendarFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label?: string;
  readonly zone: string;
  /** ISO weekdays (1 = Monday) that are worked. */
  readonly weekdays: readonly number[];
  readonly hours?: { readonly start: string; readonly end: string };
  /** What comes at this time of a business day or later counts as come on the next one (`businessDayOf`). */
  readonly cutOff?: string;
  /** Calendars whose holidays, closed and half days are taken over. */
  readonly includes?: readonly string[];
  /** Business days with hours of their own; what is left out is as on other days. */
  readonly halfDays?: readonly { readonly date: string; readonly name: string; readonly start?: string; readonly end?: string }[];
  /** `csv`: on disk the path of a file with `date,name` below the metadata folder; in a loaded set its text. */
  readonly holidays: readonly ('us-federal' | { readonly csv: string } | YearlyHoliday)[];
  readonly closed?: readonly { readonly date: string; readonly name: string }[];
  readonly open?: readonly { readonly date: string; readonly name: string }[];
}

export type { MailboxFile } from './mailbox-file.ts';

/* ------------------------------------------------------------------ permissions, imports, templates */

export type RowAccess = boolean | { readonly where: Expression };

export interface ObjectPermission {
  /** `user` (the caller's id) and `subject` (the portal identity's record id) may be used in `where`. */
  readonly read?: RowAccess;
  readonly create?: boolean;
  readonly update?: RowAccess;
  readonly delete?: RowAccess;
  readonly export?: boolean;
  /** Allow-list of readable fields; absent = all that are not `x-sensitive: restricted`; `*` in it = those as well as the names that follow. */
  readonly fields?: readonly string[];
  /** Allow-list of writable fields; absent = the readable ones. */
  readonly writes?: readonly string[];
  /** Transitions allowed by name, or `*`. */
  readonly transitions?: readonly string[];
}

export interface PermissionFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  readonly audience: 'staff' | 'portal' | 'guest';
  /** `*` = may do everything, with every object and setting. */
  readonly all?: true;
  readonly objects?: Readonly<Record<string, ObjectPermission>>;
  readonly actions?: readonly string[];
}

export interface ImportMapFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  /** Objects this map can fill, each with the field that finds an existing record. */
  readonly targets: Readonly<
    Record<
      string,
      {
        readonly key: readonly string[];
        /** Field -> expression over `row` (a function `col('Header')` gives the trimmed text or null). */
        readonly fields: Readonly<Record<string, Expression>>;
        /** Rows that are left out, with a reason each. */
        readonly reject?: readonly { readonly when: Expression; readonly column: string; readonly reason: string }[];
        /** Fields written on create only. */
        readonly createOnly?: readonly string[];
        /** References that are left empty when no record has the key in the file; others reject the row. */
        readonly optionalReferences?: readonly string[];
      }
    >
  >;
  /** Columns that must be in the header. */
  readonly requires: readonly string[];
  readonly delimiter?: ',' | '\t' | ';';
}

export interface ReportPeriod {
  readonly unit: 'week' | 'month' | 'quarter' | 'year';
  /** The month, 1 to 12, with which a year begins; January unless told. */
  readonly yearStartsIn?: number;
}

export interface ReportFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  readonly description?: string;
  /** What a report is about; its filters name the days as `period.from` and `period.through`. Without one it is about now. */
  readonly period?: ReportPeriod;
  /** Rows of counts: each with the object and the filter that opens its rows. */
  readonly stages?: readonly {
    readonly label: string;
    readonly object: string;
    readonly filter: Expression;
    readonly since?: string;
    readonly until?: string;
  }[];
  /** Fields of the stages' object by which each count is also split, and which stage must reach which. */
  readonly breakdown?: { readonly by: readonly string[]; readonly target?: { readonly stage: string; readonly reachedBy: string } };
}

/** Everything read from the metadata folder (and packages laid over it), by kind and name. */
export interface MetadataSet {
  readonly objects: ReadonlyMap<string, ObjectFile>;
  readonly valueSets: ReadonlyMap<string, ValueSetFile>;
  readonly paths: ReadonlyMap<string, PathFile>;
  readonly forms: ReadonlyMap<string, FormFile>;
  readonly views: ReadonlyMap<string, ViewFile>;
  readonly layouts: ReadonlyMap<string, LayoutFile>;
  readonly rules: ReadonlyMap<string, RuleFile>;
  readonly policies: ReadonlyMap<string, PolicyFile>;
  readonly calendars: ReadonlyMap<string, CalendarFile>;
  readonly permissions: ReadonlyMap<string, PermissionFile>;
  readonly mailboxes: ReadonlyMap<string, MailboxFile>;
  readonly imports: ReadonlyMap<string, ImportMapFile>;
  readonly reports: ReadonlyMap<string, ReportFile>;
  readonly matching: ReadonlyMap<string, MatchingFile>;
  /** Handlebars text by path below `templates/` (a package may bring its own). */
  readonly templates: ReadonlyMap<string, string>;
}

export type MetadataKind = Exclude<keyof MetadataSet, 'templates'>;
