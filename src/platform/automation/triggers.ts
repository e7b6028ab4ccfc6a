import type { RuleFile } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import type { Compiled } from './types.ts';

export interface Unfit {
  readonly pointer: string;
  readonly detail: string;
}

/** Why a condition cannot be one that becomes true, or null: nobody would be told of the moment when it does. */
export function becameTrueComplaint(model: Model, when: Compiled | null): Unfit | null {
  if (when === null) return { pointer: '/when', detail: 'Say in `when` what becomes true.' };
  const { typed } = when;
  if (typed.usesClock)
    return { pointer: '/when', detail: `"${typed.text}" depends on the clock, and no event says that a day has passed: use a date trigger.` };
  const foreign = typed.reads.find(
    ({ steps }) =>
      steps.some(({ kind }, index) => kind === 'many' || (kind === 'one' && index < steps.length - 1)) ||
      steps.some((step) => (model.objects.get(step.object)?.fields.get(step.field)?.rollup ?? null) !== null),
  );
  if (foreign === undefined) return null;
  const path = foreign.steps.map((step) => step.field).join('.');
  return {
    pointer: '/when',
    detail: `"${typed.text}" reads ${path}, which is of other records: their changes are no events of this one. Let a rule note it in a field.`,
  };
}

/** Why a rule on records that were put into the trash asks for what cannot be done any more, or null. */
export function goneComplaint(file: RuleFile): Unfit | null {
  if (!('deleted' in file.on)) return null;
  const index = file.do.findIndex(
    (step) => step.step === 'assign' || ((step.step === 'update' || step.step === 'transition') && step.record === undefined && step.forEach === undefined),
  );
  if (index < 0) return null;
  return { pointer: `/do/${String(index)}`, detail: 'The record is in the trash by then and is not written: say in `record` which other one is.' };
}
