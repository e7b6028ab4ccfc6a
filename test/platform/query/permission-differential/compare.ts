import type { Knex } from 'knex';
import { drawFrom, type Draw } from '../../../http/secrecy/calls.ts';
import type { CallContext } from '../../../../src/platform/access/types.ts';
import { fieldType } from '../../../../src/platform/model/field-types.ts';
import { compileModel } from '../../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../../src/platform/model/physical.ts';
import type { Model } from '../../../../src/platform/model/types.ts';
import { ident, run, sql } from '../../../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA } from '../../../support/database.ts';
import { createTables, insert, user } from '../support.ts';
import { answerOf, hitOf, mayFind } from './answers.ts';
import { ask, type Said } from './ask.ts';
import { PlainSight } from './naive.ts';
import type { PlainWorld, Rename } from './plain.ts';
import { randomQuestion, refusalOf, type Question } from './questions.ts';
import { one } from './random-terms.ts';
import { randomWorld, USERS } from './random-world.ts';

export interface Tally {
  readonly cases: number;
  readonly worlds: number;
  readonly refused: number;
  readonly rows: number;
  readonly kinds: Readonly<Record<string, number>>;
  /** What differed, worded for whoever looks into it; no more than `most` of them. */
  readonly wrong: readonly string[];
}

export interface Run {
  readonly cases: number;
  readonly seed: number;
  /** Stop after so many differences. */
  readonly most: number;
}

const CASES_A_WORLD = 250;
const PEOPLE = 12;

interface Counted {
  refused: number;
  rows: number;
  readonly kinds: Record<string, number>;
}

/** Asks the product and the naive evaluator the same random questions. */
export async function compareAll({ cases, seed, most }: Run): Promise<Tally> {
  const database = await makeTestDatabase({ poolSize: 2 });
  const counted: Counted = { refused: 0, rows: 0, kinds: {} };
  const wrong: string[] = [];
  let [asked, worlds] = [0, 0];
  try {
    while (asked < cases && wrong.length < most) {
      const draw = drawFrom(seed + worlds);
      worlds += 1;
      const { world, model, drop } = await makeWorld(database.db, draw, worlds);
      const people = Array.from({ length: PEOPLE }, () => somebody(draw, world, model));
      for (let number = 0; number < CASES_A_WORLD && asked < cases && wrong.length < most; number += 1) {
        const { ctx, sight, sets } = one(draw, people);
        const question = randomQuestion(draw, sight);
        asked += 1;
        const difference = await differenceOf(database.db, ctx, sight, question, counted);
        if (difference !== null)
          wrong.push(
            `world ${String(seed + worlds - 1)}, question ${String(number)} by ${sight.user} with ${sets.join()}: ${JSON.stringify(question)}\n  ${difference}`,
          );
      }
      await drop();
    }
  } finally {
    await database.drop();
  }
  return { cases: asked, worlds, ...counted, wrong };
}

function somebody(draw: Draw, world: PlainWorld, model: Model): { readonly ctx: CallContext; readonly sight: PlainSight; readonly sets: readonly string[] } {
  const sets = [...world.sets.keys()].filter(() => draw(5) < 2);
  const id = one(draw, USERS);
  return { ctx: user(model, sets, id), sight: new PlainSight(world, id, sets), sets };
}

async function makeWorld(
  db: Knex,
  draw: Draw,
  version: number,
): Promise<{ readonly world: PlainWorld; readonly model: Model; readonly drop: () => Promise<void> }> {
  const { world, metadata } = randomWorld(draw);
  const model = compileModel({ set: metadata, physical: planPhysicalNames(metadata, new Map()), version, schema: TEST_SCHEMA, extensions: {} });
  await createTables(db, model);
  for (const [object, rows] of world.rows) {
    const fields = [...(model.objects.get(object)?.fields.values() ?? [])].filter((field) => fieldType(field).column !== null && field.formula === null);
    for (const row of rows) {
      const values = fields.flatMap((field) =>
        field.name in row.values ? [[field.name, bindable(row.values[field.name] ?? null, field.valueKind)] as const] : [],
      );
      await insert(db, model, object, { ...Object.fromEntries(values), id: row.id, deletedAt: row.isTrashed ? '2026-02-01T00:00:00Z' : null });
    }
  }
  const tables = [...model.objects.values()].filter((object) => !object.builtin).map((object) => object.table);
  const drop = async (): Promise<void> => {
    for (const table of tables) await run(db, sql`drop table ${ident(TEST_SCHEMA, table)}`);
    await run(db, sql`delete from ${ident(TEST_SCHEMA, 'search_entry')}`);
  };
  return { world, model, drop };
}

const bindable = (value: unknown, kind: string): unknown => (kind === 'decimal' && value !== null ? String(value) : value);

/** Null when product and evaluator agree. */
async function differenceOf(db: Knex, ctx: CallContext, sight: PlainSight, question: Question, counted: Counted): Promise<string | null> {
  counted.kinds[question.kind] = (counted.kinds[question.kind] ?? 0) + 1;
  const said = await ask(db, ctx, question, (name) => name);
  const refusal = refusalOf(question, sight);
  if (refusal === null) {
    if (!('answer' in said)) return `refused: ${said.text}`;
    const [expected, given] = [canonical(answerOf(question, sight)), canonical(said.answer)];
    counted.rows += rowsIn(said.answer);
    if (expected === given || isAlike(question, sight, expected, said.answer)) return null;
    return `expected ${expected.slice(0, 3_000)}\n  given    ${given.slice(0, 3_000)}`;
  }
  counted.refused += 1;
  const { code, hidden } = refusal;
  if ('answer' in said) return `not refused (${hidden ?? code}): ${canonical(said.answer).slice(0, 1_000)}`;
  if (said.code !== code) return `refused with ${said.code} and not ${code}: ${said.text}`;
  if (hidden === null) return null;
  const unknown = unknownFor(hidden);
  const other = await ask(db, ctx, question, renaming(hidden, unknown));
  const [told, same] = [worded(said, hidden), worded(other, unknown)];
  return told === same ? null : `a hidden name and an unknown one answer differently:\n  ${told}\n  ${same}`;
}

const renaming =
  (from: string, to: string): Rename =>
  (name) =>
    name === from ? to : name;

/** Something that no name is like, of the same length. */
function unknownFor(name: string): string {
  return name.includes('-') ? '00000000-0000-7000-8999-000000000000' : 'zqxvyzqxvyzq'.slice(0, name.length);
}

function worded(said: Said, name: string): string {
  if ('answer' in said) return canonical(said.answer);
  // Errors show a stretch of a long filter, which may begin or end within the name.
  const text = said.text
    .replaceAll(name, '*')
    .replace(/\.\.\.([a-z]+)/g, (all, tail: string) => (name.endsWith(tail) ? '...*' : all))
    .replace(/([a-z]+)\.\.\./g, (all, head: string) => (name.startsWith(head) ? '*...' : all));
  return `${said.code} ${text}`;
}

/** Where nothing holds the words, search offers what is spelt alike: which that is, the evaluator leaves open, but nobody may see more by it. */
function isAlike(question: Question, sight: PlainSight, expected: string, given: unknown): boolean {
  if (question.kind !== 'search' || expected !== '[]' || question.text.length < 4 || !Array.isArray(given)) return false;
  const objects = question.objects ?? [...sight.world.objects.keys()];
  const rows = objects.flatMap((object) => sight.live(object)).filter((row) => mayFind(sight, row));
  const allowed = new Set(rows.map((row) => canonical(hitOf(sight, row, question.text))));
  return given.every((hit) => allowed.has(canonical(hit)));
}

function rowsIn(answer: unknown): number {
  if (Array.isArray(answer)) return answer.length;
  return typeof answer === 'object' && answer !== null && 'data' in answer && Array.isArray(answer.data) ? answer.data.length : 1;
}

/** As JSON with the members of each object by name. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}
