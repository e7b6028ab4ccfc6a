import type { ErrorDetail } from '../errors.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import { contentHash } from '../metadata/store-form.ts';
import type { RuleFile, RuleStep } from '../metadata/types.ts';

/** Under what a step that is done once is remembered. It was done when any of the keys is known. */
export interface StepKeys {
  readonly keys: readonly string[];
}

/** What a step that is done once makes, and for what; null for other steps. Its place in the rule, its values and its condition may change. */
function contentKey(step: RuleStep): string | null {
  if (step.step !== 'create' || step.once === undefined) return null;
  return `create-${step.object}-${contentHash([step.object, step.once, step.forEach ?? null]).slice(0, 16)}`;
}

/**
 * The keys of each step of a rule: its `id`, its `name`, and its content where no other step of the rule has the same, so
 * that a name may be given later. Steps without either that look alike are counted; `checkStepKeys` refuses those.
 */
export function stepKeys(steps: readonly RuleStep[]): readonly StepKeys[] {
  const contents = steps.map(contentKey);
  return steps.map((step, index) => {
    const content = contents[index] ?? null;
    const keys = [...(step.id === undefined ? [] : [`id-${step.id}`]), ...(step.name === undefined ? [] : [`name-${step.name}`])];
    if (content === null) return { keys };
    const alike = contents.filter((other) => other === content).length;
    const before = contents.slice(0, index).filter((other) => other === content).length;
    if (alike === 1) return { keys: [...keys, content] };
    return { keys: keys.length > 0 ? keys : [before === 0 ? content : `${content}-${String(before + 1)}`] };
  });
}

/** Steps of one rule that share an id or a name, and steps that are done once and cannot be told apart. */
export function checkStepKeys(file: RuleFile): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  const seen = new Set<string>();
  const contents = file.do.map(contentKey);
  file.do.forEach((step, index) => {
    const pointer = metadataPointer('rules', file.name, `/do/${String(index)}`);
    for (const [member, value] of [
      ['id', step.id],
      ['name', step.name],
    ] as const) {
      if (value === undefined) continue;
      if (seen.has(`${member} ${value}`))
        errors.push({
          pointer,
          code: 'duplicate_step',
          detail: `Rule "${file.name}", /do/${String(index)}: another step of this rule has the ${member} "${value}".`,
        });
      seen.add(`${member} ${value}`);
    }
    const content = contents[index];
    const isFirst = contents.indexOf(content ?? null) === index;
    if (content === null || isFirst || file.do.every((other, at) => contents[at] !== content || other.id !== undefined || other.name !== undefined)) return;
    const detail = `Rule "${file.name}", /do/${String(index)}: this step and an earlier one are done once for the same and cannot be told apart.`;
    errors.push({ pointer, code: 'ambiguous_step', detail, fix: 'Give each of them a name.' });
  });
  return errors;
}
