import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { EvalContext, PolicyUse, ReadPath, Row } from '../expression/types.ts';
import type { Model } from '../model/types.ts';
import { makePolicies } from '../policies/policies.ts';
import { makeCrew } from './crew.ts';
import { objectOf } from './records.sql.ts';
import { loadsOf, makeLoads, type RecordLoads } from './run-data.ts';
import type { Compiled } from './types.ts';

/** Most levels of references that one expression can follow. */
const MAX_ROUNDS = 12;

/**
 * Evaluates expressions of rules. Closures are synchronous, so an evaluation that meets a record that was not read yet
 * is repeated after reading it: expressions are pure and total, so the last round is the true one.
 */
export interface Evaluator {
  evaluate(expression: Compiled, row: Row | null, variables: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Runs any pure computation that reads through the context, until nothing it asks for is missing. */
  reading<T>(variables: Readonly<Record<string, unknown>>, compute: (context: EvalContext) => T): Promise<T>;
  /** Forgets what was read, after a write. */
  forget(): void;
  /** Where it gets records from. */
  readonly loads: RecordLoads;
}

/** An evaluator over one handle and call; reads other records as they are now, each by itself unless told how. What policies decide is added to `uses`. */
export function makeEvaluator(db: Knex, call: CallContext, loads: RecordLoads = loadsOf(db, call.model), uses: PolicyUse[] = []): Evaluator {
  const { model } = call;
  const policies = makePolicies(model);
  const ones = new Map<string, Row | null>();
  const manys = new Map<string, readonly Row[]>();

  async function reading<T>(variables: Readonly<Record<string, unknown>>, compute: (context: EvalContext) => T): Promise<T> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const missingOnes = new Map<string, Set<string>>();
      const missingManys = new Map<string, readonly [string, string, string]>();
      const noted: PolicyUse[] = [];
      const value = compute({
        now: call.now,
        today: call.today,
        user: null,
        subject: null,
        variables: { user: null, subject: null, ...variables },
        one: (object, id) => {
          const known = ones.get(`${object} ${id}`);
          if (known === undefined) missingOnes.set(object, (missingOnes.get(object) ?? new Set()).add(id));
          return known ?? null;
        },
        many: (object, via, id) => {
          const key = `${object} ${via} ${id}`;
          const known = manys.get(key);
          if (known === undefined) missingManys.set(key, [object, via, id]);
          return known ?? [];
        },
        policy: policies.lookup,
        note: (use) => void noted.push(use),
        calendars: model.calendarLookup,
      });
      if (missingOnes.size === 0 && missingManys.size === 0) {
        uses.push(...noted);
        return value;
      }
      for (const [object, ids] of missingOnes) {
        const found = await loads.rows(object, [...ids], true);
        for (const id of ids) ones.set(`${object} ${id}`, found.get(id) ?? null);
      }
      for (const [key, [object, via, id]] of missingManys) manys.set(key, await loads.related(object, via, id));
    }
    throw new RangeError(`An expression follows more than ${String(MAX_ROUNDS)} references.`);
  }

  return {
    loads,
    reading,
    evaluate: (expression, row, variables) => reading(variables, (context) => expression.run(row ?? {}, context)),
    forget() {
      ones.clear();
      manys.clear();
    },
  };
}

/** Does works that only read, side by side: what they need of other records is read together. Answers in their order. */
export function evaluateTogether<T>(db: Knex, call: CallContext, works: readonly ((evaluator: Evaluator) => Promise<T>)[]): Promise<readonly T[]> {
  const crew = makeCrew();
  const loads = makeLoads(crew, db, call.model);
  return crew.run(works.map((work) => (member) => work(makeEvaluator(db, call, loads(member)))));
}

/**
 * The values that an expression looked at, by dotted path, for the trace of a run and for explanations. To-many paths
 * give how many records they lead to; fields marked sensitive are named, their values are not.
 */
export function valuesRead(model: Model, expression: Compiled, row: Row, context: EvalContext): Readonly<Record<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const path of expression.typed.reads) {
    if (path.steps[0]?.object === expression.typed.object) found.set(path.steps.map((step) => step.field).join('.'), valueAt(model, path, row, context));
  }
  const names = [...found.keys()];
  // The id of a reference that is only followed says nothing.
  return Object.fromEntries([...found].filter(([name]) => !names.some((other) => other.startsWith(`${name}.`))));
}

function valueAt(model: Model, path: ReadPath, start: Row, context: EvalContext): unknown {
  let row: Row = start;
  for (const [index, step] of path.steps.entries()) {
    const object = objectOf(model, step.object);
    if (step.kind === 'many') {
      const relation = object.toMany.get(step.field);
      const id = row['id'];
      return relation === undefined || typeof id !== 'string' ? null : { records: context.many(relation.object, relation.via, id).length };
    }
    const field = object.fields.get(step.field);
    if (field === undefined) return null;
    if (field.sensitive !== null) return '(not shown)';
    if (step.kind === 'formula') return '(formula)';
    const value = row[step.field] ?? null;
    if (index === path.steps.length - 1) return value;
    const target = field.ref?.to[0];
    const next = typeof value === 'string' && target !== undefined ? context.one(target, value) : null;
    if (next === null) return null;
    row = next;
  }
  return null;
}
