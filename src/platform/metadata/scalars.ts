/** Texts and values that metadata files are made of. Expressions are text (CEL syntax). */
export type Expression = string;
/** ISO 8601 duration, or business time `P2BD`. */
export type DurationText = string;
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
