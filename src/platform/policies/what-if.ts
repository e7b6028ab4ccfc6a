import type { Knex } from 'knex';
import { mayDoEverything, mayRunAction, rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { canonicalJson } from '../metadata/store-form.ts';
import type { PolicyFile, PolicyRow } from '../metadata/types.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { walkRecords } from '../query/walk.ts';
import { imageOf, rowOf } from '../record/images.ts';
import { rowsOf } from '../record/related.sql.ts';
import type { ModelStore } from '../schema/store.ts';
import { POLICY_ACTION } from './approve.ts';
import { makePolicies } from './policies.ts';
import { compileRows, decidingRow, type CompiledRow } from './tables.ts';

export interface WhatIfWish {
  /** The version to begin from; the one in force today when left out. */
  readonly from?: string;
  /** Takes the version to begin from as an earlier version of the metadata had it. */
  readonly file?: PolicyFile;
  readonly to: string;
  /** Only records that fit. */
  readonly filter?: string;
}

/** What a record gets by one of the two versions; null when no row matches. */
export interface WhatIfSide {
  readonly band: string;
  readonly results: Readonly<Record<string, unknown>>;
}

export interface WhatIf {
  readonly policy: string;
  readonly object: string;
  readonly from: string;
  readonly to: string;
  readonly records: number;
  /** Records whose results differ. */
  readonly changed: number;
  /** How many records go from one row to another, and which results differ; the largest group first. */
  readonly groups: readonly { readonly from: string | null; readonly to: string | null; readonly results: readonly string[]; readonly records: number }[];
  /** The first of the records whose results differ. */
  readonly examples: readonly { readonly id: string; readonly from: WhatIfSide | null; readonly to: WhatIfSide | null }[];
}

const MOST_EXAMPLES = 500;

/**
 * What another version of a policy would decide for the records that the caller may see, as they are today; whether the versions are
 * approved and when they begin does not matter. Floors are left out: both versions are taken as they are written. Reads only.
 * @throws AppError forbidden (no action `policies`, or a field that the policy reads is not open to the caller), not_found, bad_request
 * (a policy that is asked with values), invalid_query
 */
export async function whatIf(db: Knex, ctx: CallContext, name: string, wish: WhatIfWish): Promise<WhatIf> {
  if (!mayRunAction(ctx, POLICY_ACTION)) throw new AppError('forbidden', 'Only those who approve policies may try them on records.');
  const file = ctx.model.policies.get(name);
  if (file === undefined) throw new AppError('not_found', `There is no policy "${name}".`);
  const object = file.object === undefined ? undefined : ctx.model.objects.get(file.object);
  if (object === undefined) throw new AppError('bad_request', `The policy ${name} is asked with values, not with records.`);
  const inForce = makePolicies(ctx.model).versionOn(name, ctx.today)?.version;
  const from = tableOf(ctx, wish.file ?? file, wish.from ?? inForce ?? wish.to);
  const to = tableOf(ctx, file, wish.to);
  requireOpen(ctx, object, [...from.rows, ...to.rows]);
  const groups = new Map<string, { from: string | null; to: string | null; results: readonly string[]; records: number }>();
  const examples: WhatIf['examples'][number][] = [];
  let [records, changed] = [0, 0];
  const query = { object: object.name, fields: ['id'], ...(wish.filter === undefined ? {} : { filter: wish.filter }) };
  for await (const page of walkRecords(db, ctx, query)) {
    const found = await rowsOf(
      db,
      object,
      page.map(({ id }) => id),
      null,
    );
    for (const stored of found) {
      const row = rowOf(object, imageOf(object, stored));
      const [before, after] = [decidingRow(ctx.model, from.file, from, row, ctx.today), decidingRow(ctx.model, file, to, row, ctx.today)];
      const results = differing(before, after);
      const key = JSON.stringify([before?.band, after?.band, results]);
      const group = groups.get(key) ?? { from: before?.band ?? null, to: after?.band ?? null, results, records: 0 };
      group.records += 1;
      groups.set(key, group);
      records += 1;
      if (results.length === 0) continue;
      changed += 1;
      if (examples.length < MOST_EXAMPLES) examples.push({ id: String(row['id']), from: sideOf(before), to: sideOf(after) });
    }
  }
  const sorted = [...groups.values()].sort((a, b) => b.records - a.records);
  return { policy: name, object: object.name, from: from.name, to: to.name, records, changed, groups: sorted, examples };
}

/** A policy as an earlier version of the metadata had it. Reads only. @throws AppError not_found */
export async function policyAsOf(store: ModelStore, model: Model, name: string, version: number): Promise<PolicyFile> {
  const id = model.policies.get(name)?.id;
  const file = [...(await store.recorded(version)).set.policies.values()].find((policy) => policy.id === id);
  if (file === undefined) throw new AppError('not_found', `Version ${String(version)} of the metadata has no policy "${name}".`);
  return file;
}

interface Table {
  readonly name: string;
  readonly file: PolicyFile;
  readonly rows: readonly CompiledRow[];
}

function tableOf({ model }: CallContext, file: PolicyFile, name: string): Table {
  const version = file.versions.find(({ effective }) => effective === name);
  if (version === undefined)
    throw new AppError('not_found', `The policy ${file.name} has no version "${name}". Known: ${file.versions.map(({ effective }) => effective).join(', ')}.`);
  return { name, file, rows: compileRows(model, file, version) };
}

/** Which row decides tells of the fields that the rows read: they must be open to the caller in every record. */
function requireOpen(ctx: CallContext, object: ObjectModel, rows: readonly CompiledRow[]): void {
  if (mayDoEverything(ctx)) return;
  const grants = rightsFor(ctx, object.name).readGrants.filter(({ read }) => read.kind === 'all');
  const fields = new Set(rows.flatMap(({ expression }) => expression.reads.flatMap(({ steps }) => steps.map(({ field }) => field))));
  const closed = [...fields].filter((field) => !grants.some((grant) => grant.fields.has(field)));
  if (closed.length > 0) throw new AppError('forbidden', `This policy reads fields of ${object.plural} that you may not read in all of them.`);
}

function differing(before: PolicyRow | null, after: PolicyRow | null): readonly string[] {
  const names = [...new Set([...Object.keys(before?.then ?? {}), ...Object.keys(after?.then ?? {})])].sort();
  return names.filter((name) => canonicalJson(before?.then[name] ?? null) !== canonicalJson(after?.then[name] ?? null));
}

function sideOf(row: PolicyRow | null): WhatIfSide | null {
  return row === null ? null : { band: row.band, results: row.then };
}
