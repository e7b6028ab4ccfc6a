import type { Knex } from 'knex';
import { unknownRecord } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { MOST_CHILDREN, planExpand, type Expansion } from './expand.ts';
import { invalidQuery } from './invalid-query.ts';
import type { FreshRecord } from './page.ts';
import { isKept, openPast, type Past } from './past.ts';
import { openSource, selectFields, DISPLAY_NAME } from './source.ts';
import type { RecordData } from './types.ts';

export interface RecordedOptions {
  readonly fields?: readonly string[] | undefined;
  readonly expand?: readonly string[] | undefined;
  /** Also only facts in force on this day. */
  readonly effectiveOn: PlainDate | null;
  readonly recordedAt: Instant;
}

/**
 * One record and what is expanded with it, as they were known at a moment: made from history by taking back what was
 * written since. What is counted or computed from other records is not kept, and is left out.
 * @throws AppError not_found when there was none, or the caller may not see it now; invalid_query as every read
 */
export async function readRecorded(db: Knex, ctx: CallContext, objectName: string, id: string, options: RecordedOptions): Promise<RecordData> {
  const source = openSource(ctx, objectName);
  const { object } = source;
  const selection = selectFields(source, options.fields);
  const expansions = planExpand(source, options.expand);
  options.fields?.forEach((name, index) => {
    const field = object.fields.get(name);
    if (field !== undefined && !isKept(field, object))
      throw invalidQuery(
        `fields/${String(index)}`,
        `"${name}" is made of other records: what it was then is not kept.`,
        'Leave it out, or read without "recordedAt".',
      );
  });
  const past = openPast(db, ctx, options.recordedAt, options.effectiveOn);
  const record = (await past.records(objectName, [id])).get(id);
  if (record === undefined) throw unknownRecord(objectName, id);
  await expand(past, ctx, expansions, [record]);
  if (selection.withName) await past.addNames(objectName, [record]);
  const wanted = new Set([...selection.fields.map((field) => field.name), 'expanded', ...(selection.withName ? [DISPLAY_NAME] : [])]);
  const empty = selection.fields.flatMap((field) => (isKept(field, object) ? [[field.name, null] as const] : []));
  return {
    ...Object.fromEntries(empty),
    ...Object.fromEntries(Object.entries(record).filter(([name]) => wanted.has(name))),
    id: record.id,
    version: record.version,
  };
}

/** Puts what the relations led to under `expanded` of each record. */
async function expand(past: Past, ctx: CallContext, expansions: readonly Expansion[], records: readonly FreshRecord[]): Promise<void> {
  if (expansions.length === 0) return;
  for (const record of records) {
    const expanded: Record<string, unknown> = {};
    for (const expansion of expansions)
      expanded[expansion.name] = expansion.kind === 'one' ? await expandOne(past, ctx, expansion, record) : await expandMany(past, ctx, expansion, record);
    record['expanded'] = expanded;
  }
}

async function expandOne(past: Past, ctx: CallContext, { name, targets }: Extract<Expansion, { kind: 'one' }>, record: FreshRecord): Promise<unknown> {
  const value = record[name];
  const id = typeof value === 'string' ? value : typeof value === 'object' && value !== null && 'id' in value ? value.id : null;
  const of: unknown = typeof value === 'object' && value !== null && 'object' in value ? value.object : null;
  const target = targets.find((entry) => of === null || entry.object === of);
  if (typeof id !== 'string' || target === undefined) return null;
  const found = (await past.records(target.object, [id])).get(id);
  if (found === undefined) return null;
  await finish(past, ctx, target.object, target.inner, [found]);
  return found;
}

async function expandMany(past: Past, ctx: CallContext, { path, inner }: Extract<Expansion, { kind: 'many' }>, record: FreshRecord): Promise<unknown> {
  const found = await past.pointing(path, record.id, MOST_CHILDREN + 1);
  const data = found.slice(0, MOST_CHILDREN);
  await finish(past, ctx, path.object, inner, data);
  return { data, more: found.length > MOST_CHILDREN };
}

async function finish(past: Past, ctx: CallContext, objectName: string, inner: readonly Expansion[], records: readonly FreshRecord[]): Promise<void> {
  await past.addNames(objectName, records);
  await expand(past, ctx, inner, records);
}
