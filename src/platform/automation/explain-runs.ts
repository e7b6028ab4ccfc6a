import { readUses, shownUses } from '../access/policy-uses.ts';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { ExprType } from '../expression/types.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import { hasBefore } from './compile.ts';
import { HIDDEN, type Sight } from './sight.ts';
import type { RuleRun, StepTrace } from './types.ts';

/**
 * Runs as the reader of an explanation may see them: that they were and how they ended, with the values and records that
 * may be read now. Words of a run (errors, reasons, keys) may quote anything that the rule read, so they are for those who
 * may read everything.
 */
export async function explainRuns(
  context: CallContext,
  sight: Sight,
  file: RuleFile,
  object: string | null,
  runs: readonly RuleRun[],
): Promise<readonly RuleRun[]> {
  if (sight.whole || object === null) return runs;
  const on = file.on;
  const variables: Readonly<Record<string, ExprType>> = hasBefore(file) ? { old: { kind: 'record', object } } : {};
  const shown: RuleRun[] = [];
  for (const run of runs) {
    const { when, values, steps, reason, missed, decisions } = run.trace;
    const own = run.recordId === null ? null : await sight.rowRights(object, run.recordId);
    const hide = (text: string | null): string | null => (text === null ? null : HIDDEN);
    shown.push({
      ...run,
      runKey: HIDDEN,
      anchor: 'date' in on && own?.readable.has(on.date.split('.')[1] ?? '') === true ? run.anchor : hide(run.anchor),
      error: hide(run.error),
      chain: [],
      trace: {
        ...(when === undefined ? {} : { when: sight.mayAsk(when, object, variables) ? when : HIDDEN }),
        ...(values === undefined ? {} : { values: shownValues(context, sight, object, own?.readable ?? new Set(), values) }),
        ...(steps === undefined ? {} : { steps: await Promise.all(steps.map((step) => shownStep(context, sight, step))) }),
        ...(decisions === undefined || run.recordId === null
          ? {}
          : { decisions: shownUses(context, readUses(decisions), object, run.recordId, own?.readable ?? new Set()) }),
        ...(reason === undefined ? {} : { reason: HIDDEN }),
        ...(missed === undefined ? {} : { missed }),
      },
    });
  }
  return shown;
}

/** Values of fields that the reader may never read are left out; others are shown where they may be read whatever record they came from. */
function shownValues(
  context: CallContext,
  sight: Sight,
  object: string,
  readable: ReadonlySet<string>,
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const fields = fieldsOfPath(context.model, object, name.split('.'));
    if (fields === null || !fields.every(([owner, field]) => rightsFor(context, owner).readable.has(field))) continue;
    shown[name] = fields.every(([owner, field], index) => (index === 0 && owner === object ? readable.has(field) : sight.isOpen(owner, field)))
      ? value
      : HIDDEN;
  }
  return shown;
}

/** Object and field of each step of a dotted path; null when the Model has no such path any more. */
function fieldsOfPath(model: Model, object: string, [head = '', ...rest]: readonly string[]): readonly (readonly [string, string])[] | null {
  const known = model.objects.get(object);
  const relation = known?.toMany.get(head);
  const field = known?.fields.get(head);
  if (relation === undefined && field === undefined) return null;
  const own = relation === undefined ? ([object, head] as const) : ([relation.object, relation.via] as const);
  const next = relation?.object ?? field?.ref?.to[0];
  if (rest.length === 0) return [own];
  const further = next === undefined ? null : fieldsOfPath(model, next, rest);
  return further === null ? null : [own, ...further];
}

async function shownStep(context: CallContext, sight: Sight, step: StepTrace): Promise<StepTrace> {
  const { object, record, reason, step: place, name, kind, outcome } = step;
  const base = { step: place, ...(name === undefined ? {} : { name }), kind, outcome, ...(reason === undefined ? {} : { reason: HIDDEN }) };
  if (object === undefined || !context.model.objects.has(object)) return object === undefined ? base : { ...base, object };
  if (!rightsFor(context, object).canRead) return base;
  const isSeen = record !== undefined && (await sight.rowRights(object, record)) !== null;
  return { ...base, object, ...(isSeen ? { record } : {}) };
}
