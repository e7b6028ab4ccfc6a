import type { ErrorDetail } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import { dayInZone } from '../expression/zones.ts';
import type { EvalContext, Row } from '../expression/types.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { Json } from '../metadata/scalars.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { makePolicies } from '../policies/policies.ts';
import { compileRules } from './compile.ts';
import { objectOf } from './records.sql.ts';
import type { CompiledRule, CompiledStep } from './types.ts';

type RuleTest = NonNullable<RuleFile['tests']>[number];
type Given = { readonly [key: string]: Json };

const DEFAULT_AT = '2026-01-01T12:00:00.000Z';

/**
 * Runs the tests that stand in rule files: which steps would be done for the given record at the given moment. Given
 * references are nested objects, to-many paths lists of objects, `old` the record before; a list named like an object
 * holds further records that a step may be repeated for. A schedule takes up what its filter says. Reads nothing but the Model.
 */
export function runRuleTests(model: Model): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  for (const rule of compileRules(model).byId.values()) {
    (rule.file.tests ?? []).forEach((test, index) => {
      const steps = stepsFor(model, rule, test);
      if (steps.join(' ') === test.expect.join(' ')) return;
      errors.push({
        pointer: metadataPointer('rules', rule.name, `/tests/${String(index)}`),
        code: 'rule_test_failed',
        detail: `Expected the steps [${test.expect.join(', ')}], but they were [${steps.join(', ')}].`,
        fix: 'Correct the rule, or what the test expects.',
      });
    });
  }
  return errors;
}

function stepsFor(model: Model, rule: CompiledRule, test: RuleTest): readonly string[] {
  const world = makeWorld(model);
  const { old: givenOld, ...given } = test.given;
  const object = rule.object === null ? null : objectOf(model, rule.object);
  const isOther = ([name]: readonly [string, Json]): boolean => model.objects.has(name);
  const row = object === null ? {} : world.add(object, Object.fromEntries(Object.entries(given).filter((entry) => !isOther(entry))));
  const others = new Map(
    Object.entries(given)
      .filter(isOther)
      .map(([name, list]) => [name, givenList(list).map((item) => world.add(objectOf(model, name), item))]),
  );
  const old = object !== null && isGiven(givenOld) ? world.add(object, givenOld) : null;
  const context = (variables: Readonly<Record<string, unknown>>): EvalContext => world.context(test.at ?? DEFAULT_AT, { old, created: {}, ...variables });
  if (object !== null && !isChosen(model, rule, object, row, context({}))) return [];
  if (rule.when !== null && rule.when.run(row, context({})) !== true) return [];
  return rule.steps.flatMap((step) => {
    const repeats = step.forEach === null ? [{}] : eachOf(model, step, row, context, others).map((each) => ({ each }));
    const done = repeats.some((variables) => step.when === null || step.when.run(row, context(variables)) === true);
    return done ? [step.file.step] : [];
  });
}

/** Whether a schedule would take the record up: it fits the filter of what the rule is run for. */
function isChosen(model: Model, { file }: CompiledRule, object: ObjectModel, row: Row, context: EvalContext): boolean {
  const filter = 'schedule' in file.on ? file.on.for?.filter : undefined;
  return filter === undefined || compileJs(model.expression(filter, object.name), model.expressions)(row, context) === true;
}

type ContextOf = (variables: Readonly<Record<string, unknown>>) => EvalContext;

function eachOf(model: Model, step: CompiledStep, row: Row, contextOf: ContextOf, others: ReadonlyMap<string, readonly Row[]>): readonly unknown[] {
  if (step.forEach === null) return [];
  const context = contextOf({});
  if (step.forEach.kind === 'relation') return context.many(step.forEach.object, step.forEach.via, String(row['id']));
  if (step.forEach.kind === 'object') {
    const chooses = step.forEach.filter === null ? null : compileJs(step.forEach.filter, model.expressions);
    return (others.get(step.forEach.object) ?? []).filter((other) => chooses === null || chooses(other, contextOf({ record: row })) === true);
  }
  const list = step.forEach.expression.run(row, context);
  return Array.isArray(list) ? list : [];
}

interface World {
  add(object: ObjectModel, given: Given): Row;
  context(at: string, variables: Readonly<Record<string, unknown>>): EvalContext;
}

/** Records that exist only for one test. */
function makeWorld(model: Model): World {
  const records = new Map<string, Row>();
  const related = new Map<string, Row[]>();
  const policies = makePolicies(model);
  const add = (object: ObjectModel, given: Given): Row => {
    const id = typeof given['id'] === 'string' ? given['id'] : `00000000-0000-7000-8000-${String(records.size + 1).padStart(12, '0')}`;
    const row: Record<string, unknown> = { id };
    records.set(`${object.name} ${id}`, row);
    for (const [name, value] of Object.entries(given)) {
      const target = object.fields.get(name)?.ref?.to[0];
      const relation = object.toMany.get(name);
      if (target !== undefined && isGiven(value)) row[name] = add(objectOf(model, target), value)['id'];
      else if (relation !== undefined && Array.isArray(value)) {
        const items: readonly Json[] = value;
        related.set(
          `${relation.object} ${relation.via} ${id}`,
          items.filter(isGiven).map((item) => add(objectOf(model, relation.object), { ...item, [relation.via]: id })),
        );
      } else row[name] = value;
    }
    return row;
  };
  return {
    add,
    context: (at, variables) => ({
      now: new Date(at).toISOString(),
      today: dayInZone(at, model.calendarLookup.planZone) ?? at.slice(0, 10),
      user: null,
      subject: null,
      variables: { user: null, subject: null, ...variables },
      one: (object, id) => records.get(`${object} ${id}`) ?? null,
      many: (object, via, id) => related.get(`${object} ${via} ${id}`) ?? [],
      policy: policies.lookup,
      calendars: model.calendarLookup,
    }),
  };
}

function givenList(value: Json): readonly Given[] {
  const items: readonly Json[] = Array.isArray(value) ? value : [];
  return items.filter(isGiven);
}

function isGiven(value: Json | undefined): value is Given {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
