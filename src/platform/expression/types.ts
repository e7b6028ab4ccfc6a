import type { Instant, PlainDate } from '../clock.ts';
import type { Sql } from '../sql.ts';

/** Types of expressions. Integers and decimals are one exact decimal type. */
export type ExprType =
  | { readonly kind: 'text' | 'number' | 'boolean' | 'date' | 'instant' | 'duration' | 'json' | 'null' | 'uuid' }
  | { readonly kind: 'list'; readonly of: ExprType }
  | { readonly kind: 'record'; readonly object: string }
  /** A fixed set of members, as given by `policy(...)`. */
  | { readonly kind: 'struct'; readonly members: Readonly<Record<string, ExprType>> };

/** What an expression can see of one object. */
export interface ExprObject {
  readonly name: string;
  readonly fields: ReadonlyMap<string, ExprField>;
}

export type ExprField =
  | {
      readonly kind: 'value';
      readonly name: string;
      readonly type: ExprType;
      readonly column: string;
      /** Column of the sort key; text without one cannot be ordered. */ readonly sortColumn?: string;
      /** An index holds the order of the sort keys. */ readonly ordered?: boolean;
    }
  | { readonly kind: 'formula'; readonly name: string; readonly type: ExprType; readonly tree: TypedExpression }
  /** To-one: as a value it is the uuid (null-safe); `a.b` follows it. */
  | { readonly kind: 'one'; readonly name: string; readonly object: string; readonly column: string }
  /** Polymorphic reference: a value (uuid) only. */
  | { readonly kind: 'many'; readonly name: string; readonly object: string; /** Reference field on the other object. */ readonly via: string };

/** The schema that expressions are checked against. */
export interface ExprSchema {
  object(name: string): ExprObject | undefined;
  /** Qualified table of an object, for the SQL back end. */
  table(object: string): Sql;
  /** Result members of a policy, for the checker; undefined when there is no such policy. */
  policy(name: string):
    | {
        readonly keys: Readonly<Record<string, ExprType>> | undefined;
        readonly object: string | undefined;
        readonly results: Readonly<Record<string, ExprType>>;
      }
    | undefined;
  /** True when a business calendar of that name exists. */
  hasCalendar(name: string): boolean;
  /** Names to suggest when one is misspelt. */
  readonly policyNames?: readonly string[];
  readonly calendarNames?: readonly string[];
  readonly functions: FunctionTable;
}

/** Values at run time: decimals as `number` when safe integers, else as decimal text objects of `decimal.ts`. */
export type ExprValue = unknown;
export type Row = Readonly<Record<string, unknown>>;

/** Which version and row of a policy decided; null where none was in force or no row matched. */
export interface PolicyUse {
  readonly policy: string;
  readonly version: string | null;
  readonly band: string | null;
  /** The record that it was asked about; null when it was asked with values. */
  readonly record: string | null;
}

export type NotePolicy = (use: PolicyUse) => void;

/** All that a closure needs besides the row; nothing is read from anywhere else. */
export interface EvalContext {
  readonly now: Instant;
  readonly today: PlainDate;
  /** Caller, for row rules; null elsewhere. */
  readonly user: string | null;
  readonly subject: string | null;
  /** Named variables declared to the checker (`mail`, `old`, ...). */
  readonly variables?: Readonly<Record<string, unknown>>;
  one(object: string, id: string): Row | null;
  many(object: string, via: string, id: string): readonly Row[];
  policy(name: string, input: Row, asOf: PlainDate, note?: NotePolicy): Row | null;
  /** Told of every policy that is asked. */
  readonly note?: NotePolicy;
  readonly calendars: CalendarLookup;
}

/** Business calendars as expressions need them (implemented in `platform/calendar`). */
export interface CalendarLookup {
  addBusinessDays(date: PlainDate, days: number, calendar: string): PlainDate | null;
  /** Business days from `a` (exclusive) to `b` (inclusive); negative when b < a. */
  businessDaysBetween(a: PlainDate, b: PlainDate, calendar: string): number | null;
  isBusinessDay(date: PlainDate, calendar: string): boolean | null;
  /** A day moved by a duration; business days (`P2BD`) are counted in the calendar. */
  addDuration(date: PlainDate, duration: string, calendar: string): PlainDate | null;
  /** Milliseconds of working time from `a` to `b`; negative when `b` is earlier. */
  workingMs(a: Instant, b: Instant, calendar: string): number | null;
  /** The first instant by which `ms` (not negative) of working time after `instant` have passed. */
  addWorkingMs(instant: Instant, ms: number, calendar: string): Instant | null;
  /** The business day that an instant counts to, with regard to the calendar's cut-off. */
  businessDayOf(instant: Instant, calendar: string): PlainDate | null;
  /** The next of the days that come again as the words say, after a day; null when the words say none. */
  nextRepeated(words: string, after: PlainDate, calendar: string): PlainDate | null;
  /** Local day of an instant in the calendar's zone. */
  dayOf(instant: Instant, calendar: string): PlainDate | null;
  /** First instant of a local day / last millisecond of the working day, in the calendar's zone. */
  startOfDay(date: PlainDate, calendar: string): Instant | null;
  endOfBusinessDay(date: PlainDate, calendar: string): Instant | null;
  at(date: PlainDate, time: string, calendar: string): Instant | null;
  readonly planZone: string;
  /** Calendar of the plan: the one that is meant where none is named. */
  readonly planCalendar: string;
}

/** A call that the reference shows, with what it gives; both back ends are held to it. */
export interface FunctionExample {
  readonly text: string;
  /** Decimals that are no safe integers as text. */
  readonly result: unknown;
  /** The columns of the row, for functions of import maps. */
  readonly row?: Readonly<Record<string, string>>;
}

/**
 * One function of the language. Functions are strict: with any null argument the result is null and `evaluate` is not
 * called; `toSql` must give null then too. Number arguments arrive as `Decimal`; results may be number, text or Decimal.
 * Overloads stand in the table as `name`, `name#2`, `name#3` ... The reference (docs/expressions.md) is made from the table.
 */
export interface FunctionEntry {
  readonly name: string;
  /** Section of the reference. */
  readonly group: string;
  readonly parameters: readonly ExprType['kind'][];
  /** How many of the last parameters may be left out. */
  readonly optional?: number;
  /** Kinds that the elements of list parameters may have (text when absent); all lists of a call hold one kind. */
  readonly elements?: readonly ExprType['kind'][];
  /** The result has the type of the list given, or of its elements, rather than `result`. */
  readonly gives?: 'list' | 'element';
  readonly result: ExprType;
  readonly description: string;
  readonly examples: readonly [FunctionExample, ...FunctionExample[]];
  /** When the result is null though no argument is. */
  readonly nulls?: string;
  /** What is refused when the expression is checked, besides arguments of a wrong kind. */
  readonly refuses?: string;
  /** Index of the parameter that names a business calendar: it must be a literal that exists. */
  readonly calendar?: number;
  /** Depends on its arguments and the context's clock and zone alone: calls with constants may be computed once. */
  readonly pure?: true;
  /** What is wrong with the literal arguments (undefined = not a literal), or null. */
  readonly checkLiterals?: (literals: readonly (ExprValue | undefined)[]) => string | null;
  readonly evaluate: (args: readonly ExprValue[], context: EvalContext) => ExprValue;
  /** Absent = cannot run in SQL: using it where SQL is needed is a metadata error. */
  readonly toSql?: (args: readonly Sql[], context: SqlContext) => Sql;
}

export type FunctionTable = ReadonlyMap<string, FunctionEntry>;

export interface SqlContext {
  readonly now: Instant;
  readonly today: PlainDate;
  readonly user: string | null;
  readonly subject: string | null;
  readonly planZone: string;
  /** Table of business-day ordinals (calendar, day, ordinal, is_open). */
  readonly calendarTable: Sql;
}

/** Result of checking: a typed tree (ours), its type, and what it reads. Plain data, safe to freeze. */
export interface TypedExpression {
  readonly text: string;
  readonly object: string | undefined;
  readonly type: ExprType;
  readonly tree: ExprNode;
  /** Dotted paths read, from the root object (`status`, `provider.status`, `licenses[].state`): for access checks and preloading. */
  readonly reads: readonly ReadPath[];
  /** False when some function has no SQL form; `sqlObstacle` names it. */
  readonly sqlObstacle: string | null;
  readonly usesClock: boolean;
}

export interface ReadPath {
  /** Steps through references; the last step is the field. */
  readonly steps: readonly { readonly object: string; readonly field: string; readonly kind: 'value' | 'one' | 'many' | 'formula' }[];
}

/** Our own small tree; see `tree.ts` for the node kinds. */
export interface ExprNode {
  readonly kind: string;
  readonly type: ExprType;
  readonly start: number;
  readonly end: number;
}
