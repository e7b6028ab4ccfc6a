import type { Instant } from '../clock.ts';
import { isAppError, type ErrorDetail } from '../errors.ts';
import { parseInstant } from '../expression/durations.ts';
import { compileJs } from '../expression/to-js.ts';
import { dayInZone } from '../expression/zones.ts';
import type { EvalContext, Row } from '../expression/types.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { Json } from '../metadata/scalars.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { policiesAsWritten } from '../policies/policies.ts';
import { compileRules } from './compile.ts';
import { objectOf } from './records.sql.ts';
import type { CompiledRule, CompiledStep } from './types.ts';

type RuleTest = NonNullable<RuleFile['tests']>[number];
type Given = { readonly [key: string]: Json };

const DEFAULT_AT = '2026-01-01T12:00:00.000Z';

/**
 * Runs the tests that stand in rule files: which steps would be done for the given record at the given moment. Given
 * references are nested objects, to-many paths lists of objects, `old` the record before; a list named like an object
 * holds further records that a step may be repeated for. A schedule takes up what its filter says. Reads nothing but the
 * Model, whose rules must be sound. A finding points at the expectation that failed and says what was found and why.
 */
export function runRuleTests(model: Model): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  for (const rule of compileRules(model).byId.values()) {
    for (const [index, test] of (rule.file.tests ?? []).entries()) {
      const failure = failureOf(model, rule, test);
      if (failure === null) continue;
      errors.push({
        pointer: metadataPointer('rules', rule.name, `/tests/${String(index)}${failure.place}`),
        code: 'rule_test_failed',
        detail: failure.detail,
        fix: failure.place === '/at' ? 'Write an instant such as 2026-01-01T12:00:00Z.' : 'Correct the rule, or what the test expects.',
      });
    }
  }
  return errors;
}

function failureOf(model: Model, rule: CompiledRule, test: RuleTest): { readonly place: '/at' | '/expect'; readonly detail: string } | null {
  const at = test.at ?? DEFAULT_AT;
  if (parseInstant(at) === null) return { place: '/at', detail: `"${at}" is not an instant.` };
  const expected = `Expected the steps [${test.expect.join(', ')}]`;
  try {
    const { steps, reason } = stepsFor(model, rule, test, at);
    if (steps.join(' ') === test.expect.join(' ')) return null;
    const why = reason === null ? '' : ` ${reason}`;
    return { place: '/expect', detail: `${expected}, but they were [${steps.join(', ')}].${why}` };
  } catch (error) {
    // What cannot be computed for the given record is a finding about this test like any other.
    if (!isAppError(error)) throw error;
    return { place: '/expect', detail: `${expected}, but they could not be found: ${error.message}` };
  }
}

interface TestOutcome {
  readonly steps: readonly string[];
  /** Why no step or not every step would be done; null when all would. */
  readonly reason: string | null;
}

function stepsFor(model: Model, rule: CompiledRule, test: RuleTest, at: Instant): TestOutcome {
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
  const context = (variables: Readonly<Record<string, unknown>>): EvalContext => world.context(at, { old, created: {}, ...variables });
  if (object !== null && !isChosen(model, rule, object, row, context({})))
    return { steps: [], reason: "The record does not fit the filter of the rule's schedule." };
  if (rule.when !== null && rule.when.run(row, context({})) !== true)
    return { steps: [], reason: `The rule's condition does not hold: ${rule.file.when ?? ''}` };
  if ('becameTrue' in rule.file.on && old !== null && rule.when?.run(old, context({})) === true)
    return { steps: [], reason: `The rule's condition held before, too: ${rule.file.when ?? ''}` };
  const isDone = (step: CompiledStep): boolean => {
    const repeats = step.forEach === null ? [{}] : eachOf(model, step, row, context, others).map((each) => ({ each }));
    return repeats.some((variables) => step.when === null || step.when.run(row, context(variables)) === true);
  };
  const done = rule.steps.map(isDone);
  const left = rule.steps.flatMap((step, index) => (done[index] === true ? [] : [`${String(index + 1)} (${step.file.step})`]));
  return {
    steps: rule.steps.filter((_, index) => done[index]).map((step) => step.file.step),
    reason: left.length === 0 ? null : `Not done because of their own condition, or for want of records to repeat for: ${left.join(', ')}.`,
  };
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
  const policies = policiesAsWritten(model);
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
