import type { Expression } from './scalars.ts';

/** A value that the engine keeps up to date from the records of a to-many path. */
export interface RollupAnnotation {
  /** Name of the to-many path. */
  readonly relation: string;
  readonly op: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'last';
  /** Of one related record: a field, or an expression of its own stored fields; none for `count`. */
  readonly value?: Expression;
  /** Which related records count; of their own stored fields. */
  readonly filter?: Expression;
  /** For `last`: the field of the related records that says which is the last; their creation by default. */
  readonly orderBy?: string;
  /** Written as deltas that a worker folds, for parents that many write at once. */
  readonly hot?: boolean;
  /** Shown to all who may read the record, whether or not they may read the related records. */
  readonly declassified?: boolean;
}

/** Records of the object are facts in force from one day through another; facts of the same key never overlap. */
export interface EffectiveAnnotation {
  /** Field with the first day in force. */
  readonly from: string;
  /** Field with the last day in force; empty while there is no end. */
  readonly through: string;
  /** Fields that say what the fact is about. */
  readonly key: readonly string[];
}
