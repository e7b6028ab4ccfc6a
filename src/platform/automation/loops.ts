import { treeOf, type Expr } from '../expression/tree.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { compileRules } from './compile.ts';
import type { CompiledRule, CompiledStep } from './types.ts';

/** Rules that may start each other without end, by what their steps write and their triggers watch. */
export interface Loop {
  /** The step that leads back to the first rule, as in findings of the check. */
  readonly pointer: string;
  readonly code: 'rules_may_loop';
  readonly detail: string;
  readonly fix: string;
}

/** What a step does to records of an object. */
interface Effect {
  readonly object: string;
  readonly kind: 'created' | 'updated';
  readonly fields: ReadonlySet<string>;
  /** What it is known to leave in some fields. */
  readonly values: ReadonlyMap<string, unknown>;
  /** States that it leads from and into; from null when it may come from any. */
  readonly from: readonly string[] | null;
  readonly to: string | null;
}

interface Edge {
  readonly rule: CompiledRule;
  readonly step: CompiledStep;
  readonly next: CompiledRule;
}

/**
 * The ways in which rules may start each other in a circle, one for each set of rules that hang together so. A way is left out where
 * what is written contradicts the condition of the rule that it would start. Steps that perform actions are not seen into. A loop costs
 * no more than eight runs before it is stopped, and a rule runs once for a record in a chain. Reads only the Model.
 */
export function findLoops(model: Model): readonly Loop[] {
  const rules = [...compileRules(model).byId.values()];
  const edges = new Map(rules.map((rule) => [rule, edgesOf(model, rule, rules)]));
  const found: Loop[] = [];
  const told = new Set<CompiledRule>();
  for (const rule of rules) {
    if (told.has(rule)) continue;
    const way = shortestWay(edges, rule);
    const last = way.at(-1);
    if (last === undefined) continue;
    for (const edge of way) told.add(edge.rule);
    found.push({
      pointer: metadataPointer('rules', last.rule.name, `/do/${String(last.step.index)}`),
      code: 'rules_may_loop',
      detail: `Rules may start each other in a circle: ${way.map((edge) => `${edge.rule.name} (step ${String(edge.step.index + 1)}, ${edge.step.file.step})`).join(' -> ')} -> ${rule.name}.`,
      fix: 'If that is meant, leave it: a chain of rules ends after eight. Else give one of them a condition that no longer holds after it ran.',
    });
  }
  return found;
}

/** The shortest way from a rule back to itself; nothing when there is none. */
function shortestWay(edges: ReadonlyMap<CompiledRule, readonly Edge[]>, start: CompiledRule): readonly Edge[] {
  const reached = new Set<CompiledRule>();
  let ways: readonly (readonly Edge[])[] = (edges.get(start) ?? []).map((edge) => [edge]);
  while (ways.length > 0) {
    const longer: (readonly Edge[])[] = [];
    for (const way of ways) {
      const at = way.at(-1)?.next;
      if (at === start) return way;
      if (at === undefined || reached.has(at)) continue;
      reached.add(at);
      for (const edge of edges.get(at) ?? []) longer.push([...way, edge]);
    }
    ways = longer;
  }
  return [];
}

function edgesOf(model: Model, rule: CompiledRule, rules: readonly CompiledRule[]): readonly Edge[] {
  return rule.steps.flatMap((step) => {
    const effect = effectOf(model, rule, step);
    return effect === null ? [] : rules.filter((next) => mayStart(model, effect, next)).map((next): Edge => ({ rule, step, next }));
  });
}

function effectOf(model: Model, rule: CompiledRule, step: CompiledStep): Effect | null {
  const { file } = step;
  const object = step.target === null ? undefined : model.objects.get(step.target);
  if (object === undefined) return null;
  const written = [...step.values.keys()].filter((name) => !name.startsWith('@'));
  const values = new Map<string, unknown>();
  for (const [name, { typed }] of step.values) {
    const tree = treeOf(typed);
    if (tree.kind === 'literal' && !name.startsWith('@')) values.set(name, tree.value);
  }
  const base = { object: object.name, values, from: null, to: null };
  switch (file.step) {
    case 'create': {
      const initial = object.path?.initial ?? null;
      if (object.path !== null && initial !== null && !values.has(object.path.field)) values.set(object.path.field, initial);
      return { ...base, kind: 'created', fields: new Set(written), to: initial };
    }
    case 'update':
      return { ...base, kind: 'updated', fields: new Set([...written.filter((name) => !keepsValue(step, rule, name)), ...step.counts.keys()]) };
    case 'assign':
      return { ...base, kind: 'updated', fields: new Set([file.queue === undefined ? 'ownerId' : 'queue']) };
    case 'transition': {
      const transition = object.path?.transitions.get(file.transition);
      if (object.path === null || transition === undefined) return null;
      values.set(object.path.field, transition.to);
      const fields = new Set([object.path.field, ...Object.keys(transition.set ?? {})]);
      return { ...base, kind: 'updated', fields, from: transition.from, to: transition.to };
    }
    default:
      return null;
  }
}

/** Whether an update of the rule's own record writes what the field has anyway. */
function keepsValue(step: CompiledStep, rule: CompiledRule, name: string): boolean {
  const tree = step.values.get(name)?.typed;
  if (tree === undefined || step.values.has('@record') || step.target !== rule.object) return false;
  const node = treeOf(tree);
  return node.kind === 'field' && node.of.kind === 'root' && node.name === name;
}

function mayStart(model: Model, effect: Effect, rule: CompiledRule): boolean {
  const { on } = rule.file;
  if (rule.object !== effect.object || contradicts(rule, effect)) return false;
  if ('created' in on) return effect.kind === 'created';
  if ('updated' in on)
    return effect.kind === 'updated' && (on.fields === undefined ? effect.fields.size > 0 : on.fields.some((name) => effect.fields.has(name)));
  if ('entered' in on) return effect.to === on.state;
  if ('left' in on) return effect.from?.includes(on.state) === true && effect.to !== on.state;
  if ('becameTrue' in on)
    return (
      effect.kind === 'created' || rule.when?.typed.reads.some(({ steps }) => effect.fields.has(steps[0]?.field ?? '')) === true || readsFormula(model, rule)
    );
  return false;
}

function readsFormula(model: Model, rule: CompiledRule): boolean {
  const object: ObjectModel | undefined = model.objects.get(rule.object ?? '');
  return rule.when?.typed.reads.some(({ steps }) => steps.length === 1 && (object?.fields.get(steps[0]?.field ?? '')?.formula ?? null) !== null) === true;
}

/** Whether the condition of a rule asks of a field what the effect has just made otherwise. */
function contradicts(rule: CompiledRule, { values }: Effect): boolean {
  return rule.when !== null && andItems(treeOf(rule.when.typed)).some((item) => isFalseBy(item, values));
}

function isFalseBy(node: Expr, values: ReadonlyMap<string, unknown>): boolean {
  if (node.kind === 'equal') {
    const [field, literal] = node.left.kind === 'literal' ? [node.right, node.left] : [node.left, node.right];
    if (field.kind !== 'field' || field.of.kind !== 'root' || literal.kind !== 'literal' || !values.has(field.name)) return false;
    const same = String(values.get(field.name)) === String(literal.value);
    return node.negated ? same : !same;
  }
  if (node.kind === 'isNull') {
    const { operand } = node;
    if (operand.kind !== 'field' || operand.of.kind !== 'root' || !values.has(operand.name)) return false;
    return node.negated === (values.get(operand.name) === null);
  }
  return false;
}

/** The parts that `&&` joins. */
export function andItems(node: Expr): readonly Expr[] {
  return node.kind === 'logic' && node.operator === 'and' ? node.items.flatMap(andItems) : [node];
}
