import { KINDS, metadataPointer, pointerToken } from './kinds.ts';
import { idIn } from './load.ts';
import { canonicalJson } from './store-form.ts';
import type { MetadataKind, MetadataSet } from './types.ts';

/** One thing that differs between two sets. */
export interface Difference {
  /** `rule`, `object`, `template`. */
  readonly noun: string;
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** The name that it had. */
  readonly renamedFrom?: string;
  /** The places that differ, for a changed thing. */
  readonly places: readonly Place[];
}

export interface Place {
  readonly pointer: string;
  /** Absent = it was not there. */
  readonly from?: unknown;
  readonly to?: unknown;
}

interface Thing {
  readonly name: string;
  readonly content: unknown;
}

/** What would have to change for `before` to become `after`, by id. Pure. */
export function differences(before: MetadataSet, after: MetadataSet): readonly Difference[] {
  const found: Difference[] = [];
  for (const { kind, noun } of KINDS) {
    const [old, now] = [byId(before, kind), byId(after, kind)];
    for (const [id, thing] of now) {
      const known = old.get(id);
      if (known === undefined) found.push({ noun, name: thing.name, change: 'added', places: [] });
      else found.push(...changedThing(noun, known, thing, (rest) => metadataPointer(kind, thing.name, rest)));
    }
    for (const [id, thing] of old) if (!now.has(id)) found.push({ noun, name: thing.name, change: 'removed', places: [] });
  }
  for (const [name, text] of after.templates) {
    const known = before.templates.get(name);
    if (known === undefined) found.push({ noun: 'template', name, change: 'added', places: [] });
    else if (known !== text) found.push({ noun: 'template', name, change: 'changed', places: [{ pointer: `templates/${name}.hbs` }] });
  }
  for (const name of before.templates.keys()) if (!after.templates.has(name)) found.push({ noun: 'template', name, change: 'removed', places: [] });
  return found;
}

function byId(set: MetadataSet, kind: MetadataKind): ReadonlyMap<string, Thing> {
  return new Map([...set[kind]].map(([name, file]) => [idIn(file) ?? name, { name, content: file }]));
}

function changedThing(noun: string, old: Thing, now: Thing, at: (rest: string) => string): readonly Difference[] {
  const places: Place[] = [];
  compare(old.content, now.content, at, '', places);
  const renamed = old.name === now.name ? {} : { renamedFrom: old.name };
  return places.length === 0 && old.name === now.name ? [] : [{ noun, name: now.name, change: 'changed', ...renamed, places }];
}

function compare(from: unknown, to: unknown, at: (rest: string) => string, path: string, places: Place[]): void {
  if (isRecord(from) && isRecord(to)) {
    for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) compare(from[key], to[key], at, path + pointerToken(key), places);
  } else if (textOf(from) !== textOf(to)) {
    places.push({ pointer: at(path), ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) });
  }
}

function textOf(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
