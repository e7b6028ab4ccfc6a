import { Router } from 'express';
import { mayDoEverything, readRights, type Rights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { invalidQuery } from '../../platform/query/invalid-query.ts';
import type { Reader } from '../../platform/query/reader.ts';
import { deleteView, insertView, savedView, savedViews, updateView, type SavedView } from '../../platform/query/saved-views.sql.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, ifMatch, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { describeView, describeViews } from './layout.ts';
import { listOf, onlyParameters } from './read-query.ts';

export interface ViewRouteDeps extends CallDeps {
  readonly reader: Reader;
}

const label = { type: 'string', minLength: 1, maxLength: 100 };
const filter = { type: ['string', 'null'], maxLength: 8_000, description: 'A condition in CEL.' };
const columns = { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 100, uniqueItems: true };
const sort = { type: ['string', 'null'], maxLength: 400, description: 'Fields, a leading minus for descending, separated by commas.' };
const shared = { type: 'boolean', description: 'Also for others who may read the object.' };

interface ViewValues {
  readonly label?: string;
  readonly filter?: string | null;
  readonly columns?: readonly string[];
  readonly sort?: string | null;
  readonly shared?: boolean;
}

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const VIEW_BODIES = {
  create: bodySchema<ViewValues & { readonly object: string; readonly label: string; readonly columns: readonly string[] }>({
    type: 'object',
    additionalProperties: false,
    required: ['object', 'label', 'columns'],
    properties: { object: { type: 'string' }, label, filter, columns, sort, shared },
  }),
  change: bodySchema<ViewValues>({ type: 'object', additionalProperties: false, properties: { label, filter, columns, sort, shared } }),
};

/** Views: those of the metadata, and those that people save for themselves or share. */
export function viewRoutes(deps: ViewRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/views',
    handle(deps, async ({ request, db, context }) => {
      const object = onlyParameters(request, ['object']).get('object');
      if (object === undefined) throw invalidQuery('object', 'Say of which object, as in ?object=Name.');
      const rights = readRights(context, object);
      const saved = await savedViews(db, object, userOf(context));
      const shipped = describeViews(context, rights).map((view) => ({ ...view, id: null, version: null, object, shared: true, mine: false }));
      return { body: { data: [...shipped, ...saved.flatMap((view) => shown(context, rights, view))] } };
    }),
  );
  router.post(
    '/views',
    handle(deps, (call) => create(deps, call)),
  );
  router.get(
    '/views/:id',
    handle(deps, async (call) => answer(call.context, await found(call))),
  );
  router.patch(
    '/views/:id',
    handle(deps, (call) => change(deps, call)),
  );
  router.delete(
    '/views/:id',
    handle(deps, async (call) => {
      const view = await found(call);
      requireOwner(call.context, view);
      const version = ifMatch(call.request);
      if (!(await inTransaction(call.db, (tx) => deleteView(tx, view.id, version)))) throw stale(call.context, view, version);
      return { status: 204 };
    }),
  );
  return router;
}

function userOf(context: CallContext): string {
  const { principal } = context;
  if (principal.kind !== 'user') throw new AppError('forbidden', 'Views belong to the accounts of staff.');
  return principal.userId;
}

function shown(context: CallContext, rights: Rights, view: SavedView): readonly Readonly<Record<string, unknown>>[] {
  const { id, version, object, shared: isShared, ownerId } = view;
  return describeView(context, rights, { ...view, name: id }).map((entry) => ({
    ...entry,
    id,
    version,
    object,
    shared: isShared,
    mine: ownerId === userOf(context),
  }));
}

/** A view as the caller sees it. One that is filtered by what the caller may not read does not exist for them. */
function answer(context: CallContext, view: SavedView): Answer {
  const [entry] = shown(context, readRights(context, view.object), view);
  if (entry === undefined) throw new AppError('not_found', 'There is no such view.');
  return { body: { data: entry }, version: view.version };
}

async function found({ request, db, context }: Call): Promise<SavedView> {
  const view = await savedView(db, param(request, 'id'), userOf(context));
  if (view === null || !context.model.objects.has(view.object)) throw new AppError('not_found', 'There is no such view.');
  answer(context, view);
  return view;
}

async function create(deps: ViewRouteDeps, { request, db, context }: Call): Promise<Answer> {
  const wanted = readBody(request, VIEW_BODIES.create);
  const { object, label: name, columns: names } = wanted;
  const view: SavedView = {
    id: context.newId(),
    version: 1,
    object,
    label: name,
    ownerId: userOf(context),
    shared: wanted.shared ?? false,
    updatedAt: context.now,
    filter: wanted.filter ?? null,
    columns: names,
    sort: wanted.sort ?? null,
  };
  await tryOut(deps, { db, context }, view);
  await inTransaction(db, (tx) => insertView(tx, view));
  return { ...answer(context, view), status: 201, location: `/api/v1/views/${view.id}` };
}

async function change(deps: ViewRouteDeps, call: Call): Promise<Answer> {
  const { request, db, context } = call;
  const view = await found(call);
  requireOwner(context, view);
  const wanted = readBody(request, VIEW_BODIES.change);
  const version = ifMatch(request);
  if (version !== view.version) throw stale(context, view, version);
  const changed: SavedView = { ...view, ...Object.fromEntries(Object.entries(wanted)), updatedAt: context.now };
  await tryOut(deps, call, changed);
  if (!(await inTransaction(db, (tx) => updateView(tx, changed)))) throw stale(context, view, version);
  return answer(context, { ...changed, version: version + 1 });
}

/** A view must be one that its owner can open: the list is asked for as it would be. @throws AppError invalid_query, not_found */
async function tryOut({ reader }: ViewRouteDeps, { db, context }: Pick<Call, 'db' | 'context'>, view: SavedView): Promise<void> {
  const order = listOf(view.sort ?? undefined);
  await reader.list(db, context, {
    object: view.object,
    fields: view.columns,
    limit: 1,
    ...(view.filter === null ? {} : { filter: view.filter }),
    ...(order === undefined ? {} : { sort: order }),
  });
}

function requireOwner(context: CallContext, view: SavedView): void {
  if (view.ownerId !== userOf(context) && !mayDoEverything(context))
    throw new AppError('forbidden', 'Only the owner changes a view; save one of your own from it.');
}

function stale(context: CallContext, view: SavedView, version: number): AppError {
  const [current] = shown(context, readRights(context, view.object), view);
  return new AppError('conflict_version', `Somebody changed this view since you read it (you have version ${version}, now it is ${view.version}).`, {
    extra: { current: current ?? null, clashing: [] },
  });
}
