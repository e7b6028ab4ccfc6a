import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { compileJs } from '../expression/to-js.ts';
import type { ExprType, Row } from '../expression/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { displayName } from '../query/display-name.ts';
import type { Evaluator } from './evaluate.ts';
import { objectOf } from './records.sql.ts';
import type { RuleRecord } from './types.ts';

/** Values that only a part of the product can make, such as a personal link; asked for when a template names them. */
export type MailValue = (tx: Knex.Transaction, context: CallContext, record: RuleRecord) => Promise<unknown>;
export type MailValues = ReadonlyMap<string, MailValue>;

const NO_NAMES: ReadonlyMap<string, string> = new Map();
const PATH = /[a-zA-Z_][\w]*(?:\.[a-zA-Z_][\w]*)*/g;

/** The dotted names in a template's braces, in order, each once. */
export function templatePaths(model: Model, template: string): readonly string[] {
  const text = `${model.templates.get(template) ?? ''}\n${model.templates.get(`${template}.txt`) ?? ''}`;
  const found = new Set<string>();
  for (const [, inside] of text.matchAll(/\{\{([^{}]*)\}\}/g)) {
    for (const [path] of (inside ?? '').replace(/"[^"]*"|'[^']*'/g, '').matchAll(PATH)) found.add(path);
  }
  return [...found];
}

/**
 * What a mail template may show: the record's fields, `each` of a repeated step, records that the template reaches by
 * reference (`campaign.name`), to-many paths as lists, and registered values. Only what the template names is read.
 */
export async function mailData(
  tx: Knex.Transaction,
  context: CallContext,
  template: string,
  record: RuleRecord | null,
  variables: Readonly<Record<string, unknown>>,
  values: MailValues,
  evaluator: Evaluator,
): Promise<Readonly<Record<string, unknown>>> {
  const data: Record<string, unknown> = { today: context.today, now: context.now };
  for (const [name, value] of Object.entries(variables)) if (name !== 'old') data[name] = value;
  if (record === null) return data;
  const object = objectOf(context.model, record.object);
  Object.assign(data, record.row);
  const paths = templatePaths(context.model, template);
  for (const path of paths) {
    const [head = '', ...rest] = path.split('.');
    const value = values.get(head);
    if (value !== undefined && !object.fields.has(head)) data[head] ??= await value(tx, context, record);
    else if (rest.length === 0 && head === 'name' && !object.fields.has('name')) data['name'] = displayName(object, record.row, NO_NAMES);
    else if (object.toMany.has(head) && rest.length === 0) data[head] = await related(object, head, record, evaluator);
    else if (object.fields.has(head)) await place(context.model, data, object, [head, ...rest], record.row, evaluator);
  }
  return data;
}

async function related(object: ObjectModel, name: string, record: RuleRecord, evaluator: Evaluator): Promise<readonly Row[]> {
  const relation = object.toMany.get(name);
  return relation === undefined ? [] : evaluator.reading({}, (evaluation) => evaluation.many(relation.object, relation.via, record.id));
}

/** Puts the record behind a reference, and what the path names of it, into the data; formulas are computed. */
async function place(model: Model, data: Record<string, unknown>, object: ObjectModel, path: readonly string[], row: Row, evaluator: Evaluator): Promise<void> {
  const [head = '', ...rest] = path;
  const field = object.fields.get(head);
  if (field?.kind === 'formula') {
    const variables: Record<string, ExprType> = {};
    const typed = model.expression(head, object.name, variables);
    data[head] = await evaluator.evaluate({ typed, run: compileJs(typed, model.expressions) }, row, {});
    return;
  }
  const target = field?.ref?.to.length === 1 ? model.objects.get(field.ref.to[0] ?? '') : undefined;
  const id = row[head];
  if (target === undefined || typeof id !== 'string') return;
  const next = await evaluator.reading({}, (evaluation) => evaluation.one(target.name, id));
  if (next === null) {
    data[head] = null;
    return;
  }
  const known = data[head];
  const nested: Record<string, unknown> = isNested(known)
    ? known
    : { ...next, ...(target.fields.has('name') ? {} : { name: displayName(target, next, NO_NAMES) }) };
  data[head] = nested;
  if (rest.length > 0) await place(model, nested, target, rest, next, evaluator);
}

function isNested(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
