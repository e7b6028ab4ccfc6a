import type { FieldKind } from '../model/types.ts';

/** What a person typed, as it was typed: text, or several texts for check boxes. Drafts keep it untouched. */
export type Typed = string | readonly string[];
export type TypedFields = Readonly<Record<string, Typed>>;

/** Everything typed into one form: fields of the record, rows of repeating groups, names of uploaded documents. */
export interface DraftData {
  readonly fields: TypedFields;
  readonly repeats: Readonly<Record<string, readonly TypedFields[]>>;
  readonly documents: Readonly<Record<string, DraftDocument>>;
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
  readonly repeats: Readonly<Record<string, readonly TypedFields[]>>;
}

export type Control = 'text' | 'textarea' | 'number' | 'date' | 'time' | 'datetime' | 'email' | 'tel' | 'url' | 'select' | 'radios' | 'checkboxes' | 'yesno';

/** One question, ready to be drawn by any renderer. */
export interface Question {
  /** Name of the input; unique in the page (`field`, or `relation.index.field`). */
  readonly name: string;
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
}

export interface RepeatRow {
  readonly index: number;
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
  readonly id: string;
  readonly form: string;
  readonly object: string;
  readonly recordId: string;
  readonly state: 'draft' | 'submitted';
  readonly version: number;
  readonly data: DraftData;
  readonly visited: readonly string[];
  readonly lastPage: string | null;
  readonly updatedAt: string;
  readonly submittedAt: string | null;
}
