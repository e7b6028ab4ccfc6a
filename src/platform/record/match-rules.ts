import { createHash } from 'node:crypto';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext } from '../expression/types.ts';
import type { MatchingRule } from '../metadata/matching-types.ts';
import { contentHash } from '../metadata/store-form.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { sortKey } from '../expression/sort-key.ts';
import type { Image } from './batch.ts';
import { rowOf } from './images.ts';
import { likeness } from './likeness.ts';
import type { Evaluate } from './object-plan.ts';

/** A duplicate rule, ready to be asked. */
export interface MatchRule {
  /** Stands for the rule as long as its keys stay the same. */
  readonly id: string;
  readonly rule: MatchingRule;
  readonly keys: readonly Evaluate[];
  /** Fields of the record that it looks at. */
  readonly fields: ReadonlySet<string>;
}

const compiled = new WeakMap<Model, Map<string, readonly MatchRule[]>>();

/** The duplicate rules of an object; compiled once a Model. */
export function matchRules(model: Model, object: ObjectModel): readonly MatchRule[] {
  const known = compiled.get(model) ?? new Map<string, readonly MatchRule[]>();
  compiled.set(model, known);
  const found = known.get(object.name);
  if (found !== undefined) return found;
  const made = [...model.matching.values()]
    .filter((file) => file.object === object.name)
    .flatMap((file) => file.rules.map((rule) => compileRule(model, object, file.id ?? file.name, rule)));
  known.set(object.name, made);
  return made;
}

function compileRule(model: Model, object: ObjectModel, file: string, rule: MatchingRule): MatchRule {
  const expressions = rule.keys.map((text) => model.expression(text, object.name));
  const own = expressions.flatMap((expression) => expression.reads.flatMap((read) => read.steps[0]?.field ?? []));
  return {
    id: contentHash([file, rule.name, rule.keys]).slice(0, 24),
    rule,
    keys: expressions.map((expression) => compileJs(expression, model.expressions)),
    fields: new Set([...own, ...(rule.compare ?? []).map(({ field }) => field)]),
  };
}

/** The key of a record under a rule, or null when it lacks a part. Only its hash is kept. */
export function matchKey({ id, keys }: MatchRule, object: ObjectModel, image: Image, context: EvalContext): string | null {
  const row = rowOf(object, image);
  const parts: string[] = [];
  for (const evaluate of keys) {
    const value = evaluate(row, context);
    const text = typeof value === 'string' ? sortKey(value).replaceAll(/[^\p{L}\p{N}]+/gu, '') : '';
    if (text === '') return null;
    parts.push(text);
  }
  return createHash('sha256')
    .update(JSON.stringify([id, ...parts]))
    .digest('base64url');
}

/** How alike two records with the same key are, or null when they are not alike enough. What one of them lacks is not held against them. */
export function scoreOf({ rule }: MatchRule, left: Image, right: Image): number | null {
  if (rule.compare === undefined) return 1;
  let sum = 0;
  let weights = 0;
  for (const { field, as, weight = 1 } of rule.compare) {
    const [first, second] = [left[field], right[field]];
    if (typeof first !== 'string' || typeof second !== 'string') continue;
    sum += weight * likeness(as, first, second);
    weights += weight;
  }
  const score = weights === 0 ? 1 : sum / weights;
  return score >= (rule.threshold ?? 1) ? Math.round(score * 1000) / 1000 : null;
}
