import type { Expression } from './scalars.ts';

/** How alike two values are said to be. */
export type Likeness = 'exact' | 'digits' | 'name' | 'text';

export interface MatchingRule {
  readonly name: string;
  readonly label: string;
  /** Texts that both records must have alike before they are compared; a record that lacks one of them is not looked at by this rule. */
  readonly keys: readonly Expression[];
  /** Fields that are then compared; without them records with the same keys are the same. */
  readonly compare?: readonly { readonly field: string; readonly as: Likeness; readonly weight?: number }[];
  /** How alike they must be, from 0 to 1. */
  readonly threshold?: number;
  /** `refuse`: the second record is not written. `report`: it is, and the pair is listed. */
  readonly action: 'refuse' | 'report';
}

/** Duplicate rules of one object. */
export interface MatchingFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label: string;
  readonly object: string;
  readonly rules: readonly MatchingRule[];
}
