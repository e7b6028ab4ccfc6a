import type { CalendarLookup, ExprSchema, FunctionTable, TypedExpression } from '../expression/types.ts';
import type { Sql } from '../sql.ts';
import type { PolicyApprovals } from './approvals.ts';
import type { MatchingFile } from '../metadata/matching-types.ts';
import type { FormFile, LayoutFile, ViewFile } from '../metadata/screen-types.ts';
import type { RollupAnnotation } from '../metadata/annotations.ts';
import type {
  CheckAnnotation,
  ImportMapFile,
  MailboxFile,
  MetadataSet,
  PathState,
  PermissionFile,
  ReportFile,
  RuleFile,
  ValueSetFile,
  ReferenceAnnotation,
  CalendarFile,
  PolicyFile,
} from '../metadata/types.ts';

export type FieldKind =
  | 'text'
  | 'longText'
  | 'richText'
  | 'email'
  | 'phone'
  | 'url'
  | 'integer'
  | 'decimal'
  | 'money'
  | 'percent'
  | 'boolean'
  | 'date'
  | 'instant'
  | 'time'
  | 'duration'
  | 'picklist'
  | 'multiPicklist'
  | 'reference'
  | 'polymorphic'
  | 'address'
  | 'geo'
  | 'file'
  | 'sequence'
  | 'formula'
  | 'rollup'
  | 'json'
  | 'textList';

export interface FieldModel {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly kind: FieldKind;
  /** Kind of the values: the declared one of a formula or roll-up, text for a sequence, else `kind`. */
  readonly valueKind: FieldKind;
  /** Physical column; null for formulas that are computed when read. A polymorphic reference has a second one, see `objectColumn`. */
  readonly column: string | null;
  /** Column with the name of the object that a polymorphic reference points at (its value is `{object, id}`). */
  readonly objectColumn: string | null;
  /** Companion column with the sort key, for sortable text. */
  readonly sortColumn: string | null;
  readonly system: boolean;
  /** Written by the engine only (system columns, formulas, roll-ups, sequences, path state). */
  readonly readOnly: boolean;
  readonly required: boolean;
  readonly unique: boolean;
  readonly indexed: boolean;
  /** An index holds the order of lists by this field. */
  readonly ordered: boolean;
  readonly searchable: boolean;
  readonly sensitive: 'restricted' | 'confidential' | null;
  readonly values: ValueSetFile | null;
  readonly ref: { readonly to: readonly string[]; readonly as: string | null; readonly onDelete: NonNullable<ReferenceAnnotation['onDelete']> } | null;
  readonly formula: TypedExpression | null;
  readonly rollup: RollupModel | null;
  readonly defaultValue: TypedExpression | null;
  readonly sequence: string | null;
  readonly minLength: number | null;
  readonly maxLength: number | null;
  readonly minimum: number | null;
  readonly maximum: number | null;
}

/** A value kept up to date from the records of a to-many path. */
export interface RollupModel {
  readonly relation: string;
  /** The object of the related records, and the reference on it that points here. */
  readonly object: string;
  readonly via: string;
  readonly op: RollupAnnotation['op'];
  readonly value: TypedExpression | null;
  readonly filter: TypedExpression | null;
  readonly orderBy: string;
  /** Table of the deltas that wait to be folded; null when related records are counted anew at each write. */
  readonly deltas: Sql | null;
  readonly declassified: boolean;
}

export interface ToManyModel {
  readonly name: string;
  readonly object: string;
  /** The reference field on the other object. */
  readonly via: string;
}

export interface CheckModel extends CheckAnnotation {
  readonly expression: TypedExpression;
}

export interface TransitionModel {
  readonly name: string;
  readonly label: string;
  readonly from: readonly string[];
  readonly to: string;
  readonly guards: readonly { readonly name: string; readonly expression: TypedExpression; readonly message: string; readonly fix: string | null }[];
  readonly required: readonly string[];
  readonly set: ReadonlyMap<string, TypedExpression>;
  readonly accepts: readonly string[];
}

export interface PathModel {
  readonly id: string;
  readonly name: string;
  readonly object: string;
  readonly field: string;
  readonly initial: string;
  readonly states: readonly PathState[];
  readonly transitions: ReadonlyMap<string, TransitionModel>;
}

/** How the records of an object are facts in force from one day through another, both days included. */
export interface EffectiveModel {
  readonly from: FieldModel;
  /** Empty while there is no end. */
  readonly through: FieldModel;
  /** What a fact is about: facts of the same key never overlap. Empty parts are equal too. */
  readonly key: readonly FieldModel[];
}

export interface ObjectModel {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly plural: string;
  readonly description: string | null;
  readonly icon: string | null;
  /** `User`: backed by a platform table, read-only through the record engine. */
  readonly builtin: boolean;
  readonly sharing: 'private' | 'public';
  /** Physical table name (unqualified). */
  readonly table: string;
  readonly fields: ReadonlyMap<string, FieldModel>;
  readonly toMany: ReadonlyMap<string, ToManyModel>;
  /** Parts of the display name: text and field names alternate by kind. */
  readonly nameParts: readonly ({ readonly text: string } | { readonly field: string })[];
  readonly checks: readonly CheckModel[];
  readonly unique: readonly (readonly string[])[];
  readonly effective: EffectiveModel | null;
  readonly path: PathModel | null;
  readonly search: readonly string[];
  /**
   * Compiled ajv over the stored shape (nulls dropped beforehand). Returns details with pointers such as `/npi`;
   * empty when all is well. Messages come from our catalogue, never from the validator.
   */
  readonly validate: (
    values: Readonly<Record<string, unknown>>,
  ) => readonly { readonly pointer: string; readonly code: string; readonly detail: string; readonly fix?: string }[];
}

/** Compiled metadata: deeply frozen, replaced whole on change. */
export interface Model {
  readonly version: number;
  readonly hash: string;
  readonly schema: string;
  readonly objects: ReadonlyMap<string, ObjectModel>;
  readonly forms: ReadonlyMap<string, FormFile>;
  readonly views: ReadonlyMap<string, ViewFile>;
  readonly layouts: ReadonlyMap<string, LayoutFile>;
  readonly rules: ReadonlyMap<string, RuleFile>;
  readonly policies: ReadonlyMap<string, PolicyFile>;
  /** Which content of policies was approved; null where none was ever recorded. */
  readonly approvals: PolicyApprovals | null;
  readonly calendars: ReadonlyMap<string, CalendarFile>;
  readonly permissions: ReadonlyMap<string, PermissionFile>;
  readonly mailboxes: ReadonlyMap<string, MailboxFile>;
  readonly imports: ReadonlyMap<string, ImportMapFile>;
  readonly reports: ReadonlyMap<string, ReportFile>;
  readonly matching: ReadonlyMap<string, MatchingFile>;
  readonly valueSets: ReadonlyMap<string, ValueSetFile>;
  readonly templates: ReadonlyMap<string, string>;
  readonly source: MetadataSet;
  readonly expressions: ExprSchema;
  readonly functions: FunctionTable;
  readonly calendarLookup: CalendarLookup;
  /** Checks (and caches) an expression against an object; `variables` are extra names. Throws invalid_expression. */
  expression(text: string, object: string | null, variables?: Readonly<Record<string, import('../expression/types.ts').ExprType>>): TypedExpression;
}

/** Name of the system fields every object has. */
export const SYSTEM_FIELDS = ['id', 'version', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'ownerId', 'deletedAt'] as const;
