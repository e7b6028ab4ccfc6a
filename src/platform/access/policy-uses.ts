import type { PolicyUse } from '../expression/types.ts';
import type { Model } from '../model/types.ts';
import { mayDoEverything } from './rights.ts';
import type { CallContext } from './types.ts';

/** Each use once, in their order. */
export function distinctUses(uses: readonly PolicyUse[]): readonly PolicyUse[] {
  const seen = new Map(uses.map((use) => [JSON.stringify([use.policy, use.version, use.band, use.record]), use]));
  return [...seen.values()];
}

/** Boundary: the uses that a cause or trace was stored with. */
export function readUses(stored: unknown): readonly PolicyUse[] {
  return Array.isArray(stored) ? stored.filter(isUse) : [];
}

function isUse(value: unknown): value is PolicyUse {
  return typeof value === 'object' && value !== null && 'policy' in value && typeof value.policy === 'string' && 'version' in value && 'band' in value;
}

/**
 * The uses that a caller may be told of: which row decided tells of what the policy read. That is about the record itself, of which these
 * fields may be read; a use about another record or about values is for those who may do everything.
 */
export function shownUses(
  context: CallContext,
  uses: readonly PolicyUse[],
  object: string,
  record: string,
  readable: ReadonlySet<string>,
): readonly PolicyUse[] {
  if (uses.length === 0 || mayDoEverything(context)) return uses;
  return uses.filter((use) => use.record === record && fieldsRead(context.model, use.policy, object)?.every((field) => readable.has(field)) === true);
}

/** The fields that any version of a policy of this object reads; null when it is none, or is there no more. */
function fieldsRead(model: Model, name: string, object: string): readonly string[] | null {
  const file = model.policies.get(name);
  if (file?.object !== object) return null;
  return file.versions.flatMap((version) =>
    version.rows.flatMap((row) => model.expression(row.when, object).reads.flatMap((read) => read.steps.map((step) => step.field))),
  );
}
