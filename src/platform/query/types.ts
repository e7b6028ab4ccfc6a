/** A read as the planner takes it; made from HTTP parameters, JSON bodies, rules or forms, always checked against the Model. */
export interface ReadQuery {
  readonly object: string;
  /** CEL text. */
  readonly filter?: string;
  /** Simple equalities by field name (`?status=active`), joined by and. */
  readonly equals?: Readonly<Record<string, string | number | boolean | null>>;
  /** Field names; default: all the caller may read. */
  readonly fields?: readonly string[];
  /** To-one references or to-many paths, with dots for those behind them. */
  readonly expand?: readonly string[];
  /** `-updatedAt,name` split: field names with an optional leading minus. */
  readonly sort?: readonly string[];
  readonly search?: string;
  readonly limit?: number;
  readonly cursor?: string;
  readonly count?: 'none' | 'capped' | 'estimate' | 'exact';
  /** Look at the trash instead of live records (needs delete permission). */
  readonly trash?: boolean;
  /** Only facts in force on this day, in the list, in what is expanded and in what filters and formulas look at. */
  readonly effectiveOn?: string;
}

export type RecordData = Readonly<Record<string, unknown>> & { readonly id: string; readonly version: number };

export interface ListResult {
  readonly data: readonly RecordData[];
  readonly page: { readonly next: string | null };
  readonly meta: {
    readonly count?: number;
    readonly countIsCapped?: boolean;
    /** The planner's guess, given for `count=estimate` above the cap. */ readonly countIsEstimate?: boolean;
  };
}

export interface AggregateQuery {
  readonly object: string;
  readonly filter?: string;
  readonly search?: string;
  readonly groupBy?: readonly string[];
  readonly measures: readonly {
    readonly as: string;
    readonly op: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'medianDays';
    readonly field?: string;
    /** For `medianDays`: the day or instant that the time runs from; it runs until `field`. */
    readonly since?: string;
  }[];
  readonly limit?: number;
  /** Only facts in force on this day. */
  readonly effectiveOn?: string;
}

export interface SearchHit {
  readonly object: string;
  readonly id: string;
  readonly name: string;
  readonly matched: string;
}
