import type { FieldKind } from '../model/types.ts';

/** What a person typed, as it was typed: text, or several texts for check boxes. Drafts keep it untouched. */
export type Typed = string | readonly string[];
export type TypedFields = Readonly<Record<string, Typed>>;

/**
 * Everything typed into one form: fields of the record, rows of repeating groups, names of uploaded documents. A row's `id`
 * is that of its record, or a mark of the draft's own (`new-...`) while it has none. Paths: `field`, `relation/row`, `relation/row/field`.
 */
export interface DraftData {
  readonly fields: TypedFields;
  readonly repeats: Readonly<Record<string, readonly TypedFields[]>>;
  readonly documents: Readonly<Record<string, DraftDocument>>;
  /** Records whose rows were taken out, by relation: they go to the trash when the form is sent. */
  readonly removed: Readonly<Record<string, readonly string[]>>;
  /** Which view of a page typed an answer last, by path: what it sends again clashes with nothing. */
  readonly writers: Readonly<Record<string, Writer>>;
  /** What else was typed elsewhere at the same time, by path; somebody chooses. At a row's path: it was taken out elsewhere. */
  readonly others: Readonly<Record<string, readonly Typed[]>>;
}

/** One view of a page in one browser, and how many times it has sent. */
export interface Writer {
  readonly view: string;
  readonly number: number;
}

/** What a view of a page showed: digests of its answers, and so whether the reader or somebody else changed one. */
export interface Seen {
  readonly view: string;
  readonly fields: Readonly<Record<string, string>>;
  /** By relation, row and field. */
  readonly rows: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}

export interface DraftDocument {
  readonly fileId: string;
  readonly name: string;
  readonly size: number;
  readonly at: string;
}

/** What came with one page: fields and repeats that stand on it, as typed. */
export interface PageInput {
  readonly fields: TypedFields;
  /** Whole lists of rows; with `sender`, the rows that a page showed: others stay. */
  readonly repeats: Readonly<Record<string, readonly TypedFields[]>>;
  /** The draft's version that all this was made from: a stale one is refused, and lists may drop rows. */
  readonly version?: number;
  /** A page in a browser: changes are told from what it only showed. */
  readonly sender?: Sender;
}

export interface Sender {
  /** Null when the page did not say what it showed: then what it sends stands. */
  readonly seen: Seen | null;
  /** Counts what the view sent: what comes late is known by it. */
  readonly number: number;
  /** Rows taken out on the page, by relation. */
  readonly removed?: Readonly<Record<string, readonly string[]>>;
  /** Relations to which a row was added: blank rows stay. */
  readonly added?: readonly string[];
  /** The answer chosen at a path, by its digest; null keeps the one that stands. */
  readonly choice?: { readonly path: string; readonly digest: string | null };
}

export type Control = 'text' | 'textarea' | 'number' | 'date' | 'time' | 'datetime' | 'email' | 'tel' | 'url' | 'select' | 'radios' | 'checkboxes' | 'yesno';

/** One question, ready to be drawn by any renderer. */
export interface Question {
  /** Name of the input; unique in the page (`field`, or `relation.index.field`). */
  readonly name: string;
  /** The same, independent of the order of rows (`field`, or `relation/row/field`). */
  readonly path: string;
  readonly field: string;
  readonly label: string;
  readonly help: string | null;
  readonly kind: FieldKind;
  readonly control: Control;
  readonly required: boolean;
  readonly options: readonly { readonly value: string; readonly label: string }[];
  readonly value: Typed;
  readonly display: string;
  readonly maxLength: number | null;
  /** What was typed elsewhere at the same time; somebody chooses. */
  readonly others: readonly { readonly value: Typed; readonly display: string }[];
}

export interface RepeatRow {
  readonly index: number;
  /** The id of the row's record, or the draft's own mark of a row that has none yet. */
  readonly id: string;
  /** It was taken out elsewhere while it was changed here. */
  readonly contested: boolean;
  readonly questions: readonly Question[];
}

export type FormPart =
  | { readonly kind: 'fields'; readonly title: string | null; readonly help: string | null; readonly questions: readonly Question[] }
  | {
      readonly kind: 'repeat';
      readonly title: string | null;
      readonly help: string | null;
      readonly relation: string;
      readonly label: string;
      readonly min: number;
      readonly max: number;
      readonly rows: readonly RepeatRow[];
    }
  | {
      readonly kind: 'document';
      readonly title: string | null;
      readonly help: string | null;
      readonly type: string;
      readonly label: string;
      readonly required: boolean;
      readonly accept: readonly string[];
      readonly given: DraftDocument | null;
    };

export interface FormPageView {
  readonly name: string;
  readonly title: string;
  readonly number: number;
  readonly parts: readonly FormPart[];
}

/** A complaint about one input: `name` is the input's, `page` where it stands. */
export interface FormError {
  readonly page: string;
  readonly name: string;
  readonly label: string;
  readonly message: string;
}

export type PageStatus = 'not-started' | 'in-progress' | 'done';

export interface Submission {
  /** Known before the draft is begun: it follows from the form, the record and the submission before. */
  readonly id: string;
  /** False while nothing was saved: what is shown is made from the record, and nothing is stored. */
  readonly begun: boolean;
  readonly form: string;
  readonly object: string;
  readonly recordId: string;
  readonly state: 'draft' | 'submitted';
  /** Rises with every change, on from one submission of the same form and record to the next. */
  readonly version: number;
  readonly data: DraftData;
  readonly visited: readonly string[];
  readonly lastPage: string | null;
  /** Null while nothing was saved. */
  readonly updatedAt: string | null;
  readonly submittedAt: string | null;
}
