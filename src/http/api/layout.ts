import type { Knex } from 'knex';
import { readRights, ROW_RULE_VARIABLES, rightsFor, type Rights } from '../../platform/access/rights.ts';
import { secureSchema } from '../../platform/access/secure.sql.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { isAppError } from '../../platform/errors.ts';
import { checkExpression } from '../../platform/expression/check.ts';
import type { LayoutFile } from '../../platform/metadata/screen-types.ts';
import type { Reader } from '../../platform/query/reader.ts';

export interface ViewDescription {
  readonly name: string;
  readonly label: string;
  readonly filter: string | null;
  readonly columns: readonly string[];
  readonly sort: string | null;
}

export interface SectionDescription {
  readonly title: string;
  readonly fields: readonly string[];
}

export interface LayoutDescription {
  readonly highlights: readonly string[];
  readonly sections: readonly SectionDescription[];
  readonly related: readonly { readonly relation: string; readonly title: string; readonly columns: readonly string[]; readonly sort: string | null }[];
}

/** Whether the caller may read any row of an object; an object that does not exist cannot be read. */
export function canRead(context: CallContext, object: string): boolean {
  try {
    return rightsFor(context, object).canRead;
  } catch (error) {
    if (isAppError(error, 'not_found')) return false;
    throw error;
  }
}

/** The keys of an order that the caller may read; null when none is left. */
function readableSort(sort: string | undefined, readable: ReadonlySet<string>): string | null {
  const keys = (sort ?? '')
    .split(',')
    .map((key) => key.trim())
    .filter((key) => readable.has(key.replace(/^-/, '')));
  return keys.length === 0 ? null : keys.join(',');
}

/** Whether a condition names only what the caller may read: one that does not would be refused as a filter. */
function isOpen(context: CallContext, object: string, text: string | undefined): boolean {
  if (text === undefined) return true;
  try {
    checkExpression(text, secureSchema(context), { object, variables: ROW_RULE_VARIABLES });
    return true;
  } catch (error) {
    if (isAppError(error, 'invalid_expression')) return false;
    throw error;
  }
}

/** Views of an object without the columns and orders that the caller may not read; a view filtered by such a field is left out. */
export function describeViews(context: CallContext, rights: Rights): readonly ViewDescription[] {
  return [...context.model.views.values()].filter((view) => view.object === rights.object.name).flatMap((view) => describeView(context, rights, view));
}

/** One view as above: an empty list where its filter names what the caller may not read. */
export function describeView(
  context: CallContext,
  { object, readable }: Rights,
  view: { readonly name: string; readonly label: string; readonly filter?: string | null; readonly columns: readonly string[]; readonly sort?: string | null },
): readonly ViewDescription[] {
  if (!isOpen(context, object.name, view.filter ?? undefined)) return [];
  const columns = view.columns.filter((column) => readable.has(column) || column === 'displayName');
  return [{ name: view.name, label: view.label, filter: view.filter ?? null, columns, sort: readableSort(view.sort ?? undefined, readable) }];
}

function layoutOf(context: CallContext, object: string): LayoutFile | undefined {
  return [...context.model.layouts.values()].find((entry) => entry.object === object);
}

function section(file: LayoutFile['sections'][number], readable: ReadonlySet<string>): SectionDescription {
  return { title: file.title, fields: file.fields.filter((name) => readable.has(name)) };
}

/** The layout of an object's page, cut to what the caller may read; made from the fields where metadata gives none. */
export function describeLayout(context: CallContext, { object, readable }: Rights): LayoutDescription {
  const layout = layoutOf(context, object.name);
  if (layout === undefined) {
    const own = [...object.fields.values()].filter((field) => !field.system && readable.has(field.name)).map((field) => field.name);
    const lists = [...object.toMany.values()].filter((path) => canRead(context, path.object));
    return {
      highlights: own.slice(0, 4),
      sections: own.length === 0 ? [] : [{ title: 'Details', fields: own }],
      related: lists.map((path) => ({ relation: path.name, title: context.model.objects.get(path.object)?.plural ?? path.object, columns: [], sort: null })),
    };
  }
  return {
    highlights: layout.highlights.filter((name) => readable.has(name)),
    sections: layout.sections.map((file) => section(file, readable)).filter((entry) => entry.fields.length > 0),
    related: layout.related.flatMap((list) => {
      const target = object.toMany.get(list.relation)?.object ?? '';
      if (!canRead(context, target)) return [];
      const rights = rightsFor(context, target);
      const columns = list.columns.filter((name) => rights.readable.has(name));
      const title = list.title ?? rights.object.plural;
      return [{ relation: list.relation, title, columns, sort: readableSort(list.sort, rights.readable) }];
    }),
  };
}

/**
 * The sections of a layout whose conditions hold for one record. Conditions are asked as the caller's own filters, so that a
 * section says nothing of what the caller may not read: such a section is not shown.
 * @throws AppError not_found when the record is not there or may not be seen
 */
export async function sectionsFor(reader: Reader, db: Knex, context: CallContext, name: string, id: string): Promise<readonly SectionDescription[]> {
  const rights = readRights(context, name);
  await reader.get(db, context, name, id, { fields: ['id'] });
  const layout = layoutOf(context, name);
  if (layout === undefined) return describeLayout(context, rights).sections;
  const answers = new Map<string, boolean>();
  for (const { visibleWhen } of layout.sections) {
    if (visibleWhen === undefined || answers.has(visibleWhen)) continue;
    const isAsked = isOpen(context, name, visibleWhen);
    const found = isAsked ? await reader.list(db, context, { object: name, filter: visibleWhen, equals: { id }, fields: ['id'], limit: 1 }) : null;
    answers.set(visibleWhen, found !== null && found.data.length > 0);
  }
  return layout.sections
    .filter(({ visibleWhen }) => visibleWhen === undefined || answers.get(visibleWhen) === true)
    .map((file) => section(file, rights.readable))
    .filter((entry) => entry.fields.length > 0);
}
