import { childrenOf, treeOf, type Expr } from '../expression/tree.ts';
import type { ReadPath, TypedExpression } from '../expression/types.ts';
import type { ObjectPermission, PermissionFile, RowAccess } from '../metadata/types.ts';
import type { Model, ObjectModel, RollupModel } from '../model/types.ts';
import { SYSTEM_FIELDS } from '../model/types.ts';
import { AppError } from '../errors.ts';
import type { CallContext, Principal } from './types.ts';

/** Which rows something holds for. */
export type RowRule = { readonly kind: 'none' } | { readonly kind: 'all' } | { readonly kind: 'where'; readonly expression: TypedExpression };

/** What one permission set says of one object; row rule and field lists stay paired. */
export interface Grant {
  readonly set: string;
  readonly read: RowRule;
  readonly update: RowRule;
  readonly delete: RowRule;
  readonly create: boolean;
  readonly export: boolean;
  /** Names of readable fields, system fields among them. */
  readonly fields: ReadonlySet<string>;
  /** Names of fields a caller may set. */
  readonly writes: ReadonlySet<string>;
  readonly transitions: ReadonlySet<string>;
}

/** Everything a caller may do with one object: the additive union of the grants. */
export interface Rights {
  readonly object: ObjectModel;
  /** May do everything with every row and field. */
  readonly all: boolean;
  /** At least one; those that give nothing beyond another one are left out of `readGrants`, never of this list. */
  readonly grants: readonly Grant[];
  /** Grants that let rows be read. Empty: the object does not exist for this caller. */
  readonly readGrants: readonly Grant[];
  /** Fields readable in at least some rows. */
  readonly readable: ReadonlySet<string>;
  /** Fields readable in some of the visible rows only: they are masked row by row. */
  readonly conditional: ReadonlySet<string>;
  /** Fields writable in at least some rows. */
  readonly writable: ReadonlySet<string>;
  readonly transitions: ReadonlySet<string>;
  readonly canRead: boolean;
  readonly canCreate: boolean;
  readonly canUpdate: boolean;
  readonly canDelete: boolean;
  readonly canExport: boolean;
}

const NONE: RowRule = { kind: 'none' };
const ALL: RowRule = { kind: 'all' };
const ADMINISTRATOR = 'administrator';
const SYSTEM: ReadonlySet<string> = new Set(SYSTEM_FIELDS);
/** Names that a row rule may use besides the record's fields. */
export const ROW_RULE_VARIABLES = { user: { kind: 'uuid' }, subject: { kind: 'uuid' } } as const;

const cache = new WeakMap<Model, Map<string, Map<string, Rights>>>();
const setKeys = new WeakMap<readonly string[], string>();

/**
 * What the caller may do with an object. Deny by default: without a grant every answer is no.
 * @throws AppError not_found for an object that is not in the Model, worded as for one the caller may not know of
 */
export function rightsFor(ctx: CallContext, objectName: string): Rights {
  const perSets = ofModel(ctx.model, principalKey(ctx.principal));
  const known = perSets.get(objectName);
  if (known !== undefined) return known;
  const object = ctx.model.objects.get(objectName);
  if (object === undefined) throw unknownObject(objectName);
  const rights = compileRights(ctx.model, ctx.principal, object);
  perSets.set(objectName, rights);
  return rights;
}

/** As `rightsFor`, but an object of which no row may be read answers as one that does not exist. */
export function readRights(ctx: CallContext, objectName: string): Rights {
  const rights = rightsFor(ctx, objectName);
  if (!rights.canRead) throw unknownObject(objectName);
  return rights;
}

/** The error for an object that does not exist or that the caller may not know of. */
export function unknownObject(name: string): AppError {
  return new AppError('not_found', `There is no object "${name}", or you may not see it.`);
}

/** The error for a record that does not exist or that the caller may not see. */
export function unknownRecord(object: string, id: string): AppError {
  return new AppError('not_found', `There is no ${object} with id "${id}", or you may not see it.`);
}

/** True for the system and for whoever holds a set that may do everything. */
export function mayDoEverything(ctx: CallContext): boolean {
  return holdsEverything(ctx.model, ctx.principal);
}

/** True when one of the caller's sets names the action (or `*`). */
export function mayRunAction(ctx: CallContext, action: string): boolean {
  if (mayDoEverything(ctx)) return true;
  return permissionFiles(ctx.model, ctx.principal).some((file) => file.actions?.some((name) => name === action || name === '*') === true);
}

/** Key under which everything that depends on the caller's permission sets alone may be cached. */
export function principalKey(principal: Principal): string {
  if (principal.kind === 'system' || principal.kind === 'guest') return principal.kind;
  const { kind, permissionSets } = principal;
  const known = setKeys.get(permissionSets);
  if (known !== undefined) return `${kind}:${known}`;
  const key = [...permissionSets].sort().join(',');
  setKeys.set(permissionSets, key);
  return `${kind}:${key}`;
}

function ofModel(model: Model, key: string): Map<string, Rights> {
  const models = cache.get(model) ?? new Map<string, Map<string, Rights>>();
  cache.set(model, models);
  const perSets = models.get(key) ?? new Map<string, Rights>();
  models.set(key, perSets);
  return perSets;
}

function permissionFiles(model: Model, principal: Principal): readonly PermissionFile[] {
  if (principal.kind === 'system' || principal.kind === 'guest') return [];
  const audience = principal.kind === 'user' ? 'staff' : 'portal';
  return [...new Set(principal.permissionSets)].flatMap((name) => {
    const file = model.permissions.get(name);
    return file !== undefined && file.audience === audience ? [file] : [];
  });
}

function holdsEverything(model: Model, principal: Principal): boolean {
  if (principal.kind === 'system') return true;
  if (principal.kind !== 'user') return false;
  return principal.permissionSets.includes(ADMINISTRATOR) || permissionFiles(model, principal).some((file) => file.all === true);
}

function compileRights(model: Model, principal: Principal, object: ObjectModel): Rights {
  if (holdsEverything(model, principal)) return combine(object, [fullGrant(object)], true);
  const files = permissionFiles(model, principal);
  const grants = rawGrants(model, files, principal, object).map((grant) => ({
    ...grant,
    fields: withoutClosedFormulas(model, files, principal, object, grant),
  }));
  return combine(object, grants, false);
}

function rawGrants(model: Model, files: readonly PermissionFile[], principal: Principal, object: ObjectModel): readonly Grant[] {
  const grants = files.flatMap((file) => {
    const permission = file.objects?.[object.name];
    return permission === undefined ? [] : [grantOf(model, principal, object, file.name, permission)];
  });
  // Names of colleagues stand on every record (owner, author): staff may always read what the name is made of.
  if (object.builtin && principal.kind === 'user') grants.push(nameGrant(object));
  // What may be read in all rows may also be read in the rows of any other grant.
  const open = union(grants.filter((grant) => grant.read.kind === 'all').map((grant) => grant.fields));
  return grants.map((grant) => (grant.read.kind === 'none' ? grant : { ...grant, fields: union([grant.fields, open]) }));
}

function grantOf(model: Model, principal: Principal, object: ObjectModel, set: string, permission: ObjectPermission): Grant {
  const fields = readableFields(object, permission.fields);
  const update = rowRule(model, principal, object, permission.update);
  return {
    set,
    read: rowRule(model, principal, object, permission.read),
    update,
    delete: rowRule(model, principal, object, permission.delete),
    create: permission.create === true,
    export: permission.export === true,
    fields,
    writes: writableFields(object, fields, permission.writes),
    transitions: transitionsOf(object, permission.transitions),
  };
}

/**
 * A rule that names the user holds for nobody but users, one that names the subject for portal callers only: the name
 * would be null for anyone else, and `ownerId == user` would open every record without an owner.
 */
function rowRule(model: Model, principal: Principal, object: ObjectModel, access: RowAccess | undefined): RowRule {
  if (access === undefined || access === false) return NONE;
  if (access === true) return ALL;
  const expression = model.expression(access.where, object.name, ROW_RULE_VARIABLES);
  const names = variablesOf(treeOf(expression));
  const isMeant = (!names.has('user') || principal.kind === 'user') && (!names.has('subject') || principal.kind === 'portal');
  return isMeant ? { kind: 'where', expression } : NONE;
}

function variablesOf(node: Expr): ReadonlySet<string> {
  return union([...(node.kind === 'variable' ? [new Set([node.name])] : []), ...childrenOf(node).map(variablesOf)]);
}

function readableFields(object: ObjectModel, list: readonly string[] | undefined): ReadonlySet<string> {
  const readable = new Set<string>();
  const open = list === undefined || list.includes('*');
  for (const field of object.fields.values()) {
    const isNamed = list?.includes(field.name) === true;
    if (field.system || SYSTEM.has(field.name) || isNamed || (open && field.sensitive !== 'restricted')) readable.add(field.name);
  }
  return readable;
}

function writableFields(object: ObjectModel, readable: ReadonlySet<string>, list: readonly string[] | undefined): ReadonlySet<string> {
  const writable = new Set<string>();
  const takesReadable = list === undefined || list.includes('*');
  for (const field of object.fields.values()) {
    if (field.readOnly || (field.system && field.name !== 'ownerId')) continue;
    if (list?.includes(field.name) === true || (takesReadable && readable.has(field.name))) writable.add(field.name);
  }
  return writable;
}

function transitionsOf(object: ObjectModel, list: readonly string[] | undefined): ReadonlySet<string> {
  const all = [...(object.path?.transitions.keys() ?? [])];
  return new Set(all.filter((name) => list?.some((entry) => entry === '*' || entry === name) === true));
}

function fullGrant(object: ObjectModel): Grant {
  const fields = new Set(object.fields.keys());
  return {
    set: ADMINISTRATOR,
    read: ALL,
    update: ALL,
    delete: ALL,
    create: true,
    export: true,
    fields,
    writes: writableFields(object, fields, undefined),
    transitions: transitionsOf(object, ['*']),
  };
}

function nameGrant(object: ObjectModel): Grant {
  const names = object.nameParts.flatMap((part) => ('field' in part ? [part.field] : []));
  const none = new Set<string>();
  return {
    set: '',
    read: ALL,
    update: NONE,
    delete: NONE,
    create: false,
    export: false,
    fields: readableFields(object, names),
    writes: none,
    transitions: none,
  };
}

/**
 * A roll-up says something of all related records: it is readable where the caller may read every one of them and what is
 * looked at in them, or where the metadata declassifies it.
 */
function isRollupOpen(model: Model, files: readonly PermissionFile[], principal: Principal, rollup: RollupModel): boolean {
  if (rollup.declassified) return true;
  const child = model.objects.get(rollup.object);
  if (child === undefined) return false;
  const reads = [rollup.value, rollup.filter].flatMap((expression) => expression?.reads.map((read) => read.steps[0]?.field ?? '') ?? []);
  const inputs = [rollup.via, ...(rollup.op === 'last' ? [rollup.orderBy] : []), ...reads];
  const grants = rawGrants(model, files, principal, child);
  if (!grants.some((grant) => grant.read.kind === 'all' && inputs.every((name) => grant.fields.has(name)))) return false;
  return inputs.every((name) => {
    const inner = child.fields.get(name)?.rollup ?? null;
    return inner === null || isRollupOpen(model, files, principal, inner);
  });
}

/** A formula says something of its inputs, so it is readable only where all of them are. */
function withoutClosedFormulas(model: Model, files: readonly PermissionFile[], principal: Principal, object: ObjectModel, grant: Grant): ReadonlySet<string> {
  const readable = new Set(grant.fields);
  for (const name of grant.fields) {
    const { formula, rollup } = object.fields.get(name) ?? {};
    if (rollup !== undefined && rollup !== null && !isRollupOpen(model, files, principal, rollup)) readable.delete(name);
    if (formula === undefined || formula === null) continue;
    if (!formula.reads.every((path) => isPathOpen(model, files, principal, path, grant, new Set([`${object.name}.${name}`])))) readable.delete(name);
  }
  return readable;
}

function isPathOpen(model: Model, files: readonly PermissionFile[], principal: Principal, path: ReadPath, root: Grant, seen: ReadonlySet<string>): boolean {
  return path.steps.every((step, index) => {
    const object = model.objects.get(step.object);
    if (object === undefined) return false;
    const grants = index === 0 ? [root] : readingGrants(model, files, principal, object);
    if (step.kind === 'many') {
      const many = object.toMany.get(step.field);
      const target = many === undefined ? undefined : model.objects.get(many.object);
      return (
        many !== undefined &&
        target !== undefined &&
        grants.length > 0 &&
        readingGrants(model, files, principal, target).some((grant) => grant.fields.has(many.via))
      );
    }
    const key = `${step.object}.${step.field}`;
    const { formula = null, rollup = null } = object.fields.get(step.field) ?? {};
    if (rollup !== null && !isRollupOpen(model, files, principal, rollup)) return false;
    return grants.some(
      (grant) =>
        grant.fields.has(step.field) &&
        (formula === null || seen.has(key) || formula.reads.every((inner) => isPathOpen(model, files, principal, inner, grant, new Set([...seen, key])))),
    );
  });
}

function readingGrants(model: Model, files: readonly PermissionFile[], principal: Principal, object: ObjectModel): readonly Grant[] {
  return rawGrants(model, files, principal, object).filter((grant) => grant.read.kind !== 'none');
}

function combine(object: ObjectModel, grants: readonly Grant[], all: boolean): Rights {
  const readGrants = withoutSubsumed(grants.filter((grant) => grant.read.kind !== 'none'));
  const readable = union(readGrants.map((grant) => grant.fields));
  const open = union(readGrants.filter((grant) => grant.read.kind === 'all').map((grant) => grant.fields));
  const conditional = [...readable].filter((name) => !open.has(name) && !readGrants.every((grant) => grant.fields.has(name)));
  const updating = grants.filter((grant) => grant.update.kind !== 'none');
  return {
    object,
    all,
    grants,
    readGrants,
    readable,
    conditional: new Set(conditional),
    writable: union([...updating, ...grants.filter((grant) => grant.create)].map((grant) => grant.writes)),
    transitions: union(grants.map((grant) => grant.transitions)),
    canRead: readGrants.length > 0,
    canCreate: !object.builtin && grants.some((grant) => grant.create),
    canUpdate: !object.builtin && updating.length > 0,
    canDelete: !object.builtin && grants.some((grant) => grant.delete.kind !== 'none'),
    canExport: grants.some((grant) => grant.export && grant.read.kind !== 'none'),
  };
}

/** A grant is left out when one for all rows gives at least its fields: then no row needs a mask because of it. */
function withoutSubsumed(grants: readonly Grant[]): readonly Grant[] {
  return grants.filter((grant, index) => {
    return !grants.some((other, at) => {
      if (at === index || other.read.kind !== 'all' || ![...grant.fields].every((name) => other.fields.has(name))) return false;
      const isTwin = grant.read.kind === 'all' && grant.fields.size === other.fields.size;
      return !isTwin || at < index;
    });
  });
}

function union(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  return new Set(sets.flatMap((set) => [...set]));
}
