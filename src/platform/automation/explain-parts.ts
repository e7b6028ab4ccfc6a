import type { Knex } from 'knex';
import { distinctUses } from '../access/policy-uses.ts';
import type { CallContext } from '../access/types.ts';
import { compileJs } from '../expression/to-js.ts';
import { childrenOf, isRecordExpr, treeOf, type Expr } from '../expression/tree.ts';
import type { ExprType, PolicyUse, Row } from '../expression/types.ts';
import type { Model } from '../model/types.ts';
import { hasBefore } from './compile.ts';
import { valuesRead, type Evaluator } from './evaluate.ts';
import { andItems } from './loops.ts';
import type { MayName } from './match.ts';
import { objectOf } from './records.sql.ts';
import { fieldsNamed, HIDDEN, noting, type Sight } from './sight.ts';
import type { Compiled, CompiledRule } from './types.ts';

/** A part of a condition, with what it came to. What its reader may not see is `hidden`, and its outcome null. */
export interface OperandResult {
  readonly text: string;
  readonly holds: boolean | null;
  readonly values: Readonly<Record<string, unknown>>;
  /** What policies that it asks decided. */
  readonly decisions?: readonly PolicyUse[];
  /** What it is made of: the parts that `||`, `&&` and `!` join; the sides of a comparison that are computed, with their values. */
  readonly parts?: readonly PartResult[];
  /** What `exists` and `all` found for each record that they looked at: the first twenty that the reader may see. */
  readonly records?: readonly RecordResult[];
}

export interface RecordResult {
  readonly object: string;
  readonly id: string;
  readonly holds: boolean | null;
}

export interface PartResult extends OperandResult {
  /** What a side of a comparison came to. */
  readonly value?: unknown;
}

/** What an explanation is made from. */
export interface Scene {
  readonly db: Knex;
  readonly context: CallContext;
  readonly sight: Sight;
  readonly evaluator: Evaluator;
  readonly rule: CompiledRule;
  readonly recordId: string;
  /** What the reader may read of the record. */
  readonly mayName: MayName;
}

/** What a part is evaluated for: the record, what it was before, and what the expressions around it name. */
interface Place {
  readonly row: Row;
  readonly old: Row | null;
  readonly types: Readonly<Record<string, ExprType>>;
  readonly values: Readonly<Record<string, Row>>;
}

const RECORDS_SHOWN = 20;
/** A part of a part ... goes this deep. */
const DEEPEST = 6;

/** What a rule's condition may name besides its record. */
export function variablesOf(rule: CompiledRule): Readonly<Record<string, ExprType>> {
  return hasBefore(rule.file) && rule.object !== null ? { old: { kind: 'record', object: rule.object } } : {};
}

/** The parts of a rule's condition that are joined by `&&`, each evaluated by itself and taken apart further. */
export async function operandsOf(scene: Scene, row: Row, old: Row | null): Promise<readonly OperandResult[]> {
  const { when } = scene.rule;
  if (when === null) return [];
  const place: Place = { row, old, types: variablesOf(scene.rule), values: {} };
  const results: OperandResult[] = [];
  for (const node of andItems(treeOf(when.typed))) results.push(await resultOf(scene, place, sliceOf(when.typed.text, node), 0));
  return results;
}

async function resultOf(scene: Scene, place: Place, text: string, depth: number): Promise<PartResult> {
  const { context, sight, rule } = scene;
  if (!sight.mayAsk(text, rule.object, place.types)) return { text: HIDDEN, holds: null, values: {} };
  const typed = context.model.expression(text, rule.object, place.types);
  const part = { typed, run: compileJs(typed, context.model.expressions) };
  const seen = await look(scene, part, place);
  if (depth >= DEEPEST) return seen;
  const parts = await partsOf(scene, place, treeOf(typed), text, depth + 1);
  const records = await recordsOf(scene, place, treeOf(typed), text);
  return { ...seen, ...(parts.length === 0 ? {} : { parts }), ...(records === null ? {} : { records }) };
}

/** One part that names nothing hidden, without what it met in rows that the reader may not see. */
async function look({ context, sight, evaluator, rule, recordId }: Scene, part: Compiled, place: Place): Promise<PartResult> {
  const isBoolean = part.typed.type.kind === 'boolean';
  const seen = await evaluator.reading({ old: place.old, ...place.values }, (evaluation) => {
    const touched = new Map<string, Set<string>>(rule.object === null ? [] : [[rule.object, new Set([recordId])]]);
    for (const [name, row] of Object.entries(place.values)) {
      const type = place.types[name];
      if (type?.kind === 'record') touched.set(type.object, (touched.get(type.object) ?? new Set()).add(String(row['id'])));
    }
    const noted = noting(evaluation, touched);
    const uses: PolicyUse[] = [];
    const value = part.run(place.row, { ...noted, note: (use) => void uses.push(use) });
    return { value, values: valuesRead(context.model, part, place.row, noted), touched, decisions: distinctUses(uses) };
  });
  const closed = new Set<string>();
  for (const [object, fields] of fieldsNamed(part.typed)) {
    for (const field of fields) if (!(await sight.mayReadIn(seen.touched, object, [field]))) closed.add(`${object}.${field}`);
  }
  const { values, decisions } = seen;
  const value = isBoolean || isSensitive(context.model, part) ? {} : { value: closed.size === 0 ? plain(seen.value) : HIDDEN };
  if (closed.size === 0)
    return { text: part.typed.text, holds: isBoolean ? seen.value === true : null, values, ...value, ...(decisions.length === 0 ? {} : { decisions }) };
  const shown = (name: string): boolean =>
    part.typed.reads.every(
      (path) => path.steps.map((step) => step.field).join('.') !== name || !path.steps.some((step) => closed.has(closedKey(context.model, step))),
    );
  return {
    text: part.typed.text,
    holds: null,
    values: Object.fromEntries(Object.entries(values).map(([name, entry]) => [name, shown(name) ? entry : HIDDEN])),
    ...value,
  };
}

/** Values of sensitive fields are shown to nobody, nor what is computed from them. */
function isSensitive(model: Model, { typed }: Compiled): boolean {
  return [...fieldsNamed(typed)].some(([object, fields]) => [...fields].some((name) => (objectOf(model, object).fields.get(name)?.sensitive ?? null) !== null));
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('toJSON' in value)) return value ?? null;
  const parsed: unknown = JSON.parse(JSON.stringify(value));
  return parsed;
}

/** The text of a node. Parentheses at its edges are no part of a node, so those that lack are put back. */
export function sliceOf(text: string, { start, end }: Pick<Expr, 'start' | 'end'>): string {
  const slice = text.slice(start, end);
  let [depth, least] = [0, 0];
  for (const [token] of slice.matchAll(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[()]/g)) {
    if (token === '(') depth += 1;
    if (token === ')') depth -= 1;
    least = Math.min(least, depth);
  }
  return `${'('.repeat(-least)}${slice}${')'.repeat(depth - least)}`;
}

/** What a node is made of, as far as it can be asked by itself: not what names the record or element that is at hand in it. */
async function partsOf(scene: Scene, place: Place, node: Expr, text: string, depth: number): Promise<readonly PartResult[]> {
  const results: PartResult[] = [];
  for (const part of askable(node)) results.push(await resultOf(scene, place, sliceOf(text, part), depth));
  return results;
}

function askable(node: Expr): readonly Expr[] {
  switch (node.kind) {
    case 'logic':
      return node.items.filter(isFree);
    case 'not':
      return isFree(node.operand) ? [node.operand] : [];
    case 'conditional':
      return [node.condition, node.then, node.otherwise].filter((part) => isFree(part) && !isPlain(part));
    case 'equal':
    case 'order':
    case 'in': {
      const sides = node.kind === 'in' ? [node.needle, node.list] : [node.left, node.right];
      // A field beside a literal: the values of the comparison say it already.
      if (sides.filter((side) => !isPlain(side)).length === 0) return [];
      return sides.filter((side) => side.kind !== 'literal' && side.kind !== 'list' && isFree(side));
    }
    default:
      return [];
  }
}

/** A literal, a list of them, or a field of the record or of what it refers to. */
function isPlain(node: Expr): boolean {
  if (node.kind === 'literal' || node.kind === 'list') return true;
  return node.kind === 'field' && !startsAtVariable(node.of);
}

function startsAtVariable(node: Expr): boolean {
  return node.kind === 'recordVariable' || childrenOf(node).some(startsAtVariable);
}

/** Whether a node can be evaluated without the record or element that an expression around it is at. */
function isFree(node: Expr): boolean {
  const bound = node.kind === 'aggregate' || node.kind === 'each' ? [node.slot] : [];
  const walk = (each: Expr, slots: readonly number[]): boolean => {
    if (each.kind === 'item' || each.kind === 'element') return slots.includes(each.slot);
    const inner = each.kind === 'aggregate' || each.kind === 'each' ? [...slots, each.slot] : slots;
    return childrenOf(each).every((child) => walk(child, inner));
  };
  return walk(node, bound);
}

const BINDER = /(?:exists|all)\(\s*([a-zA-Z_]\w*)\s*,/;

/** For `exists` and `all` over related records: what their condition came to for each of them. */
async function recordsOf(scene: Scene, place: Place, node: Expr, text: string): Promise<readonly RecordResult[] | null> {
  if (node.kind !== 'aggregate' || (node.operator !== 'exists' && node.operator !== 'all') || node.filter === null) return null;
  const { context, evaluator, rule, sight } = scene;
  const name = BINDER.exec(text.slice(node.of.kind === 'root' ? 0 : node.of.end, node.filter.start))?.[1];
  if (name === undefined || name in place.types) return null;
  const parentId = await idOf(scene, place, node.of, text);
  if (parentId === null) return [];
  const found = await evaluator.reading({}, (evaluation) => evaluation.many(node.object, node.via, parentId));
  const types = { ...place.types, [name]: { kind: 'record' as const, object: node.object } };
  const filter = sliceOf(text, node.filter);
  const records: RecordResult[] = [];
  for (const row of found) {
    if (records.length >= RECORDS_SHOWN) break;
    const id = String(row['id']);
    // Nor is it said of a record to which others it belongs, where that may not be read.
    if (!sight.whole && (await sight.rowRights(node.object, id))?.readable.has(node.via) !== true) continue;
    if (!sight.mayAsk(filter, rule.object, types)) continue;
    const typed = context.model.expression(filter, rule.object, types);
    const seen = await look(scene, { typed, run: compileJs(typed, context.model.expressions) }, { ...place, types, values: { ...place.values, [name]: row } });
    records.push({ object: node.object, id, holds: seen.holds });
  }
  return records;
}

/** The id of the record whose relations are asked. */
async function idOf({ context, evaluator, rule, recordId }: Scene, place: Place, node: Expr, text: string): Promise<string | null> {
  if (node.kind === 'root') return recordId;
  if (!isRecordExpr(node) || !isFree(node)) return null;
  const typed = context.model.expression(sliceOf(text, node), rule.object, place.types);
  const id = await evaluator.evaluate({ typed, run: compileJs(typed, context.model.expressions) }, place.row, { old: place.old, ...place.values });
  return typeof id === 'string' ? id : null;
}

/** A to-many step reads the reference of the other object that points back. */
function closedKey(model: Model, step: { readonly object: string; readonly field: string; readonly kind: string }): string {
  const relation = step.kind === 'many' ? objectOf(model, step.object).toMany.get(step.field) : undefined;
  return relation === undefined ? `${step.object}.${step.field}` : `${relation.object}.${relation.via}`;
}
