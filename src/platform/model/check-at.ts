import type { ExprType, TypedExpression } from '../expression/types.ts';

/** `user` (the caller) and `subject` (the portal identity's record), which defaults, path expressions and row rules may name. */
export const CALLER_VARIABLES: Readonly<Record<string, ExprType>> = { user: { kind: 'uuid' }, subject: { kind: 'uuid' } };

/** Checks an expression of the metadata; on failure the finding is noted and null answered. */
export type CheckAt = (
  text: string,
  object: string | null,
  pointer: string,
  wanted?: ExprType | null,
  variables?: Readonly<Record<string, ExprType>>,
) => TypedExpression | null;
