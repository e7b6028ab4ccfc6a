import type { Expression } from './scalars.ts';

/** Shapes of what people see: forms, views and layouts (see `types.ts`). */

/* ------------------------------------------------------------------ forms */

export interface FormField {
  readonly field: string;
  readonly label?: string;
  readonly help?: string;
  readonly visibleWhen?: Expression;
  readonly requiredWhen?: Expression;
  readonly optional?: boolean;
}

export interface FormSection {
  readonly title?: string;
  readonly help?: string;
  readonly visibleWhen?: Expression;
  /** Fields of the form's object, or of a repeat's object. */
  readonly fields?: readonly FormField[];
  /** A repeating group: rows of a related object (to-many path `as` of the form's object). */
  readonly repeat?: { readonly relation: string; readonly label: string; readonly min?: number; readonly max?: number; readonly fields: readonly FormField[] };
  /** A document asked for: kept as a record of `object` that references the form's record. */
  readonly document?: {
    readonly type: string;
    readonly label: string;
    readonly help?: string;
    readonly required?: boolean;
    readonly accept?: readonly string[];
  };
}

export interface FormPage {
  readonly name: string;
  readonly title: string;
  readonly visibleWhen?: Expression;
  readonly sections: readonly FormSection[];
}

export interface FormFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly title: string;
  readonly object: string;
  /** Transition performed when the form is submitted. */
  readonly submit?: string;
  readonly editableWhen?: Expression;
  /** Where document sections store: object name and its fields for the reference, the type, the file and the file name. */
  readonly documents?: { readonly object: string; readonly reference: string; readonly type: string; readonly file: string };
  readonly attestation?: { readonly text: string; readonly nameField: string; readonly atField: string };
  /** Makes the form a signing page: a document of the record is read, then signed by typed name and consent. */
  readonly signing?: FormSigning;
  readonly pages: readonly FormPage[];
  readonly confirmation?: { readonly title: string; readonly body: string; readonly number?: string };
  /** Status page after submission: fields of the record that are shown beside its path. */
  readonly status?: {
    readonly fields: readonly string[];
    readonly body?: string;
    /** Text field that asks the reader for something; stands above the form while it is open. */
    readonly notice?: string;
  };
}

export interface FormSigning {
  /** Fields of the form's object: the file to read, its SHA-256, and its version number. */
  readonly document: string;
  readonly hash: string;
  readonly version: string;
  readonly consent: string;
  /** Record kept as evidence; `values` are expressions over the form's record and `signer` (name, title, consent, at, address, userAgent, party: portal or staff). */
  readonly evidence: { readonly object: string; readonly reference: string; readonly values: Readonly<Record<string, Expression>> };
  /** Transition of the form's record performed by signing, by party. */
  readonly transitions: { readonly portal?: string; readonly staff?: string };
}

/* ------------------------------------------------------------------ views, layouts */

export interface ViewFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  readonly object: string;
  readonly filter?: Expression;
  readonly columns: readonly string[];
  readonly sort?: string;
}

export interface LayoutFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly object: string;
  readonly highlights: readonly string[];
  readonly sections: readonly { readonly title: string; readonly fields: readonly string[]; readonly visibleWhen?: Expression }[];
  /** To-many paths shown as related lists, with their columns. */
  readonly related: readonly { readonly relation: string; readonly title?: string; readonly columns: readonly string[]; readonly sort?: string }[];
}
