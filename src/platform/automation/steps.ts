import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { distinctUses } from '../access/policy-uses.ts';
import { AppError } from '../errors.ts';
import { bindVariables } from '../expression/bind.ts';
import { treeOf } from '../expression/tree.ts';
import type { PolicyUse, Row, TypedExpression } from '../expression/types.ts';
import { fault } from '../fault.ts';
import type { RuleStep } from '../metadata/types.ts';
import { countMatching, matchingIds } from '../query/matching.ts';
import type { WriteItem, WriteOutcome } from '../record/types.ts';
import { recordObject } from './compile.ts';
import { makeEvaluator } from './evaluate.ts';
import { sendMail } from './mail-step.ts';
import { objectOf } from './records.sql.ts';
import { pickRows, type RunData } from './run-data.ts';
import { eachKey, refresh, variablesOf, writing, type Each, type Evaluate, type Stage, type StepTools } from './stage.ts';
import type { Compiled, CompiledRule, CompiledStep, Matching, RuleRecord, RuleRun, RunTrace, StepTrace } from './types.ts';

/** Records made in one set. */
const SET = 500;

/** Does all steps of a run inside its transaction and answers what each did. Throws what a step throws. */
export async function runSteps(
  tools: StepTools,
  tx: Knex.Transaction,
  data: RunData,
  context: CallContext,
  rule: CompiledRule,
  run: RuleRun,
  record: RuleRecord | null,
  old: Row | null,
): Promise<Pick<RunTrace, 'steps' | 'decisions'>> {
  const uses: PolicyUse[] = [...(run.trace.decisions ?? [])];
  const stage: Stage = {
    tools,
    tx,
    data,
    context,
    rule,
    run,
    evaluator: makeEvaluator(tx, context, data, uses),
    uses,
    old,
    created: new Map(),
    given: {},
    trace: [],
    record,
  };
  for (const set of stepSets(rule.steps)) {
    const [step] = set;
    if (set.length > 1) await createSet(stage, step.target ?? '', set);
    else if (step.forEach?.kind === 'object' && step.file.step === 'create') await createForMatching(stage, step, step.forEach);
    else
      for (const [position, each] of (await eachOf(stage, step)).entries()) await doStep(stage, step, step.forEach === null ? null : { position, value: each });
    for (let done = 0; done < set.length; done += 1) fault('rule.after_step');
  }
  return { steps: stage.trace, ...(uses.length === 0 ? {} : { decisions: distinctUses(uses) }) };
}

type StepSet = readonly [CompiledStep, ...CompiledStep[]];

/** The steps in their order, with neighbours together that make records of one object out of fixed values: a set is one write. */
function stepSets(steps: readonly CompiledStep[]): readonly StepSet[] {
  const sets: [CompiledStep, ...CompiledStep[]][] = [];
  for (const step of steps) {
    const last = sets.at(-1);
    if (last !== undefined && isFixedCreate(step) && isFixedCreate(last[0]) && last[0].target === step.target) last.push(step);
    else sets.push([step]);
  }
  return sets;
}

/** True when no step before it can change what this one makes: its values are fixed or the id of the rule's record, and it is always done. */
function isFixedCreate({ file, when, once, forEach, values }: CompiledStep): boolean {
  return file.step === 'create' && when === null && once === null && forEach === null && [...values.values()].every(isFixed);
}

function isFixed({ typed }: Compiled): boolean {
  const node = treeOf(typed);
  return node.kind === 'literal' || (node.kind === 'field' && node.name === 'id' && node.of.kind === 'root');
}

async function createSet(stage: Stage, object: string, set: StepSet): Promise<void> {
  const { record } = stage;
  const evaluate: Evaluate = (expression) => stage.evaluator.evaluate(expression, record?.row ?? null, {});
  const items: WriteItem[] = [];
  for (const step of set) items.push({ kind: 'create', values: await valuesOf(stage, step, object, evaluate) });
  const outcomes = await stage.data.write(writing(stage), object, items);
  for (const [position, step] of set.entries()) {
    const id = idOf(outcomes[position]);
    stage.created.set(object, id);
    stage.trace.push({ step: step.index, kind: 'create', outcome: 'done', object, record: id });
  }
  await refresh(stage);
}

/** What a step is repeated for: one nothing when it is not repeated. */
async function eachOf(stage: Stage, step: CompiledStep): Promise<readonly unknown[]> {
  const { forEach } = step;
  if (forEach === null) return [null];
  if (forEach.kind === 'list') {
    const list = await stage.evaluator.evaluate(forEach.expression, stage.record?.row ?? null, variablesOf(stage, null));
    return Array.isArray(list) ? list : [];
  }
  const { tx, context, record, tools, data } = stage;
  if (forEach.kind === 'object') return matchingRows(stage, forEach);
  if (record === null) return [];
  const related = await data.related(forEach.object, forEach.via, record.id);
  if (forEach.filter === null || related.length === 0) return related;
  const kept = new Set<string>();
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const query = { object: forEach.object, filter: forEach.filter, equals: { [forEach.via]: record.id }, fields: ['id'], sort: ['createdAt'], limit: 500 };
    const asked = cursor === undefined ? query : { ...query, cursor };
    const page = await data.alone(() => tools.reader.list(tx, context, asked));
    for (const found of page.data) kept.add(found.id);
    cursor = page.page.next;
  }
  return related.filter((row) => kept.has(String(row['id'])));
}

/** A filter with what it says of the rule's own record put in. */
async function boundFilter(stage: Stage, matching: Matching): Promise<TypedExpression | null> {
  const { filter } = matching;
  if (filter === null) return null;
  const { expressions } = stage.context.model;
  return stage.evaluator.reading({ record: stage.record?.row ?? null }, (at) => bindVariables(filter, expressions, at));
}

/** The records that match, in sets, in the order of their ids. */
async function* matchingSets(stage: Stage, matching: Matching): AsyncGenerator<readonly Row[]> {
  const { tx, context, data } = stage;
  const filter = await boundFilter(stage, matching);
  for (let after: string | null = null; ;) {
    const page = { after, limit: SET };
    const ids: readonly string[] = await data.alone(() => matchingIds(tx, context, matching.object, filter, page));
    const last = ids.at(-1);
    if (last === undefined) return;
    const found = await data.rows(matching.object, ids);
    yield pickRows(found, ids);
    after = last;
  }
}

async function matchingRows(stage: Stage, matching: Matching): Promise<readonly Row[]> {
  const found: Row[] = [];
  for await (const set of matchingSets(stage, matching)) found.push(...set);
  return found;
}

/** Makes a record for each one that matches, in sets; those whose unique key exists are left out, so that a repetition adds only what is new. */
async function createForMatching(stage: Stage, step: CompiledStep, matching: Matching): Promise<void> {
  const { tx, tools, data } = stage;
  const object = step.target ?? '';
  let [made, known] = [0, 0];
  for await (const set of matchingSets(stage, matching)) {
    const items: WriteItem[] = [];
    for (const row of set) {
      const evaluate = (expression: Compiled): Promise<unknown> =>
        stage.evaluator.evaluate(expression, stage.record?.row ?? null, variablesOf(stage, { position: items.length, value: row }));
      if (step.when === null || (await evaluate(step.when)) === true) items.push({ kind: 'create', values: await valuesOf(stage, step, object, evaluate) });
    }
    for (const outcome of await data.alone(() => tools.engine.write(tx, writing(stage), object, items, { mode: 'each', asSystem: true }))) {
      if (outcome.ok) {
        made += 1;
        stage.created.set(object, outcome.id);
      } else if (outcome.code === 'conflict_unique') known += 1;
      else throw new AppError('rule_failed', outcome.message, { errors: outcome.errors });
    }
    await refresh(stage);
  }
  const reason = `${String(made)} made${known === 0 ? '' : `, ${String(known)} left out that exist already`}.`;
  stage.trace.push({ ...placeOf(step), outcome: made > 0 ? 'done' : 'skipped', object, reason });
}

function placeOf(step: CompiledStep): Pick<StepTrace, 'step' | 'name' | 'kind'> {
  const { name, step: kind } = step.file;
  return { step: step.index, ...(name === undefined ? {} : { name }), kind };
}

async function doStep(stage: Stage, step: CompiledStep, each: Each | null): Promise<void> {
  const evaluate = (expression: Compiled): Promise<unknown> => stage.evaluator.evaluate(expression, stage.record?.row ?? null, variablesOf(stage, each));
  const note = (entry: Omit<StepTrace, 'step' | 'kind'>): void => {
    stage.trace.push({ ...placeOf(step), ...entry });
  };
  if (step.when !== null && (await evaluate(step.when)) !== true)
    return note({ outcome: 'skipped', reason: `Its condition is not met: ${step.when.typed.text}` });
  if (step.once !== null) {
    const part = JSON.stringify(await evaluate(step.once));
    const item = each === null ? '' : `:${eachKey(each)}`;
    const keys = step.keys.map((key) => `${stage.rule.id}:${key}:${stage.record?.id ?? ''}:${part}${item}`);
    if (!(await stage.data.markOnce(keys, stage.record?.id ?? null, stage.context.now)))
      return note({ outcome: 'skipped', reason: `It was done before for ${step.once.typed.text} = ${part}.` });
  }
  const file = step.file;
  switch (file.step) {
    case 'create': {
      const id = await createRecord(stage, step, file.object, evaluate);
      stage.created.set(file.object, id);
      return note({ outcome: 'done', object: file.object, record: id });
    }
    case 'update':
      return note(
        await writeTarget(stage, step, evaluate, async (id) => {
          const values = { ...(await valuesOf(stage, step, step.target ?? '', evaluate)), ...(await countsOf(stage, step)) };
          return { kind: 'update', id, values };
        }),
      );
    case 'transition':
      return note(await writeTarget(stage, step, evaluate, (id) => Promise.resolve({ kind: 'transition', id, transition: file.transition })));
    case 'assign':
      return note(await writeTarget(stage, step, evaluate, async (id) => ({ kind: 'update', id, values: await assignment(step, file, evaluate) })));
    case 'send-mail': {
      for (const entry of await sendMail(stage, step, file, each, evaluate)) note(entry);
      return;
    }
    case 'action': {
      const action = stage.tools.actions.get(file.action);
      if (action === undefined)
        throw new AppError(
          'metadata_invalid',
          `Rule "${stage.rule.name}" asks for the action "${file.action}", which this server does not have. Known: ${[...stage.tools.actions.keys()].join(', ') || 'none'}.`,
        );
      const input: Record<string, unknown> = {};
      for (const [name, value] of step.values) input[name] = await evaluate(value);
      Object.assign(stage.given, await stage.data.alone(() => action(stage.tx, stage.context, input, stage.record), stage.record));
      await refresh(stage);
      return note({ outcome: 'done', reason: file.action });
    }
  }
}

/** Values of a create or update in the API's form; a polymorphic reference gets the object that its expression leads to. */
async function valuesOf(stage: Stage, step: CompiledStep, target: string, evaluate: Evaluate): Promise<Readonly<Record<string, unknown>>> {
  const object = objectOf(stage.context.model, target);
  const values: Record<string, unknown> = {};
  for (const [name, expression] of step.values) {
    if (name.startsWith('@')) continue;
    const value = await evaluate(expression);
    const field = object.fields.get(name);
    if (field?.kind === 'polymorphic' && typeof value === 'string') {
      const points = recordObject(stage.context.model, expression);
      if (points === null)
        throw new AppError('metadata_invalid', `Rule "${stage.rule.name}": "${expression.typed.text}" does not say which object ${target}.${name} points at.`);
      values[name] = { object: points, id: value };
    } else values[name] = value;
  }
  return values;
}

async function countsOf(stage: Stage, step: CompiledStep): Promise<Readonly<Record<string, unknown>>> {
  const counts: Record<string, unknown> = {};
  for (const [name, matching] of step.counts) {
    const filter = await boundFilter(stage, matching);
    counts[name] = await stage.data.alone(() => countMatching(stage.tx, stage.context, matching.object, filter));
  }
  return counts;
}

async function createRecord(stage: Stage, step: CompiledStep, object: string, evaluate: Evaluate): Promise<string> {
  const item: WriteItem = { kind: 'create', values: await valuesOf(stage, step, object, evaluate) };
  return write(stage, object, item);
}

async function writeTarget(
  stage: Stage,
  step: CompiledStep,
  evaluate: Evaluate,
  make: (id: string) => Promise<WriteItem>,
): Promise<Omit<StepTrace, 'step' | 'kind'>> {
  const expression = step.values.get('@record');
  const id = expression === undefined ? stage.record?.id : await evaluate(expression);
  const object = step.target ?? '';
  if (typeof id !== 'string') return { outcome: 'skipped', reason: `There is no record to write: ${expression?.typed.text ?? 'the rule has none'} is empty.` };
  await write(stage, object, await make(id));
  return { outcome: 'done', object, record: id };
}

async function write(stage: Stage, object: string, item: WriteItem): Promise<string> {
  const [outcome] = await stage.data.write(writing(stage), object, [item]);
  const id = idOf(outcome);
  await refresh(stage);
  return id;
}

/** The record that was written. Throws what stood in the way. */
function idOf(outcome: WriteOutcome | undefined): string {
  if (outcome?.ok === true) return outcome.id;
  throw new AppError('rule_failed', outcome?.message ?? 'The write had no outcome.', { errors: outcome?.errors ?? [] });
}

async function assignment(step: CompiledStep, file: Extract<RuleStep, { step: 'assign' }>, evaluate: Evaluate): Promise<Readonly<Record<string, unknown>>> {
  if (file.queue !== undefined) return { queue: file.queue };
  const owner = step.values.get('@owner');
  return { ownerId: owner === undefined ? null : await evaluate(owner) };
}
