import type { Draw } from '../../../http/secrecy/calls.ts';
import { completeIds } from '../../../../src/platform/metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet, ObjectFile, ObjectPermission, PermissionFile } from '../../../../src/platform/metadata/types.ts';
import { setOf } from '../../schema/builders.ts';
import { ANNA, BERT } from '../support.ts';
import {
  textOf,
  type Kind,
  type PlainField,
  type PlainGrant,
  type PlainMany,
  type PlainObject,
  type PlainRow,
  type PlainWorld,
  type Term,
  type Value,
} from './plain.ts';
import { one, randomCondition, randomValue, type Objects } from './random-terms.ts';

export const USERS = [ANNA, BERT, '00000000-0000-7000-8000-0000000000c3'] as const;
const CHAIN = ['Alpha', 'Bravo', 'Carol', 'Delta', 'Echos'] as const;
const KINDS = ['text', 'integer', 'decimal', 'boolean', 'date', 'instant'] as const;
const SETS = ['one', 'two', 'three', 'four', 'five'] as const;
const ROWS = 14;

interface Draft {
  readonly name: string;
  readonly fields: PlainField[];
  readonly manys: PlainMany[];
  nameReference: string | null;
}

/** A package of objects, permission sets and rows made from random numbers, and the same as metadata files. */
export function randomWorld(draw: Draw): { readonly world: PlainWorld; readonly metadata: MetadataSet } {
  const objects = randomObjects(draw);
  const rows = randomRows(draw, objects);
  const sets = new Map(SETS.map((name) => [name, randomSet(draw, objects)]));
  const world: PlainWorld = { objects, sets, rows };
  return { world, metadata: metadataOf(world) };
}

/** Names that have next to nothing in common, so that none is offered in place of another. */
function makeNames(draw: Draw): () => string {
  const known: string[] = [];
  return () => {
    for (;;) {
      const name = Array.from('cvcvcvcvc', (kind) => one(draw, Array.from(kind === 'c' ? 'bdfghjklmnprstw' : 'aeiou'))).join('');
      const shares = (other: string): number => Array.from(name).filter((letter, at) => other[at] === letter).length;
      if (known.some((other) => shares(other) > 4)) continue;
      known.push(name);
      return name;
    }
  };
}

function randomObjects(draw: Draw): ReadonlyMap<string, PlainObject> {
  const next = makeNames(draw);
  const field = (kind: Kind, more: Partial<PlainField> = {}): PlainField => ({
    name: next(),
    kind,
    isRestricted: false,
    isSearched: false,
    to: null,
    formula: null,
    ...more,
  });
  const drafts = [...CHAIN, 'Team', 'Membership', 'Share'].map((name): Draft => ({
    name,
    fields: [field('text', { isSearched: true })],
    manys: [],
    nameReference: null,
  }));
  const of = (name: string): Draft => drafts.find((draft) => draft.name === name) ?? { name, fields: [], manys: [], nameReference: null };
  const refer = (from: string, to: string): string => {
    const reference = field('reference', { to, isRestricted: draw(5) === 0 });
    of(from).fields.push(reference);
    if (to !== 'User') of(to).manys.push({ name: next(), object: from, via: reference.name });
    return reference.name;
  };
  for (const [index, name] of CHAIN.entries()) {
    for (const kind of KINDS) if (draw(3) > 0) of(name).fields.push(field(kind, { isRestricted: draw(3) === 0, isSearched: kind === 'text' && draw(2) === 0 }));
    const on = refer(name, CHAIN[index + 1] ?? one(draw, CHAIN));
    if (draw(3) === 0) of(name).nameReference = on;
    if (draw(2) === 0) refer(name, one(draw, CHAIN));
    refer(name, 'Team');
    refer('Share', name);
  }
  refer('Membership', 'Team');
  refer('Membership', 'User');
  refer('Share', 'User');
  for (const name of CHAIN) {
    const draft = of(name);
    const readable = (kind: Kind): readonly PlainField[] => draft.fields.filter((entry) => entry.kind === kind && entry.formula === null);
    for (const number of readable('decimal')) {
      const path: Term = { is: 'path', of: null, steps: [number.name], kind: 'decimal' };
      draft.fields.push(field('decimal', { formula: { is: 'times', part: path, by: 2 } }));
    }
    const reference = readable('reference').find((entry) => entry.to !== null && CHAIN.some((known) => known === entry.to));
    const behind = of(reference?.to ?? '').fields.filter((entry) => entry.kind === 'text' && entry.formula === null);
    if (reference !== undefined && behind.length > 0)
      draft.fields.push(field('text', { formula: { is: 'path', of: null, steps: [reference.name, one(draw, behind).name], kind: 'text' } }));
    const many = one(draw, draft.manys);
    const inner = of(many.object).fields.filter((entry) => entry.kind === 'text' && entry.formula === null);
    const where: Term = {
      is: 'compare',
      operator: '!=',
      left: { is: 'path', of: 'x', steps: [one(draw, inner).name], kind: 'text' },
      right: { is: 'literal', kind: 'text', value: 'Beta' },
    };
    draft.fields.push(field('integer', { formula: { is: 'related', how: 'count', steps: [many.name], as: 'x', where } }));
  }
  return new Map(
    drafts.map(({ name, fields, manys, nameReference }) => [
      name,
      { name, fields, manys, nameFields: nameReference === null ? [fields[0]?.name ?? ''] : [fields[0]?.name ?? '', nameReference] },
    ]),
  );
}

const idOf = (object: number, row: number): string => `00000000-0000-7000-${String(8000 + object)}-${String(row).padStart(12, '0')}`;

function randomRows(draw: Draw, objects: Objects): ReadonlyMap<string, readonly PlainRow[]> {
  const names = [...objects.keys()];
  const rows = new Map<string, readonly PlainRow[]>();
  for (const [at, object] of [...objects.values()].entries()) {
    const made = Array.from({ length: ROWS + draw(6) }, (_, index): PlainRow => {
      const values: Record<string, Value> = { ownerId: draw(5) === 0 ? null : one(draw, USERS) };
      for (const { name, kind, to, formula } of object.fields) {
        if (formula !== null) continue;
        if (draw(5) === 0) values[name] = null;
        else if (kind !== 'reference') values[name] = randomValue(draw, kind);
        else values[name] = to === 'User' ? one(draw, USERS) : idOf(names.indexOf(to ?? ''), draw(ROWS));
      }
      return { object: object.name, id: idOf(at, index), isTrashed: draw(7) === 0, values };
    });
    rows.set(object.name, made);
  }
  return rows;
}

function randomSet(draw: Draw, objects: Objects): ReadonlyMap<string, PlainGrant> {
  const grants = new Map<string, PlainGrant>();
  for (const object of objects.values()) {
    if (draw(3) === 0) continue;
    const fields = draw(2) === 0 ? null : object.fields.filter(() => draw(4) > 0).map((field) => field.name);
    grants.set(object.name, { read: draw(4) === 0 ? true : randomRule(draw, object, objects), fields, isExport: draw(3) > 0 });
  }
  return grants;
}

/** By owner, by team, by share, or by a condition on whatever there is. */
function randomRule(draw: Draw, object: PlainObject, objects: Objects): Term {
  const isUser: (of: string | null, steps: readonly string[]) => Term = (of, steps) => ({
    is: 'compare',
    operator: '==',
    left: { is: 'path', of, steps, kind: 'reference' },
    right: { is: 'user' },
  });
  const userOf = (name: string): string => objects.get(name)?.fields.find((field) => field.to === 'User')?.name ?? '';
  const team = object.fields.find((field) => field.to === 'Team');
  const members = objects.get('Team')?.manys.find((many) => many.object === 'Membership');
  const shares = object.manys.find((many) => many.object === 'Share');
  const rules: Term[] = [isUser(null, ['ownerId'])];
  if (team !== undefined && members !== undefined)
    rules.push({ is: 'related', how: 'exists', steps: [team.name, members.name], as: 'm', where: isUser('m', [userOf('Membership')]) });
  if (shares !== undefined) rules.push({ is: 'related', how: 'exists', steps: [shares.name], as: 's', where: isUser('s', [userOf('Share')]) });
  const stored = (name: string, field: string): boolean => objects.get(name)?.fields.find((entry) => entry.name === field)?.formula === null;
  rules.push(randomCondition(draw, object.name, { objects, depth: 2, names: stored }));
  const rule = one(draw, rules);
  return draw(4) === 0 ? { is: 'logic', operator: '||', parts: [rule, one(draw, rules)] } : rule;
}

const SCHEMAS: Readonly<Record<Exclude<Kind, 'reference'>, FieldSchema>> = {
  text: { type: 'string', maxLength: 80 },
  integer: { type: 'integer' },
  decimal: { type: 'number', format: 'decimal' },
  boolean: { type: 'boolean' },
  date: { type: 'string', format: 'date' },
  instant: { type: 'string', format: 'date-time' },
};

function metadataOf({ objects, sets }: PlainWorld): MetadataSet {
  const files = [...objects.values()].map((object): readonly [string, ObjectFile] => [
    object.name,
    {
      title: object.name,
      type: 'object',
      'x-object': {
        plural: `${object.name}s`,
        name: object.nameFields.map((name, at) => (at === 0 ? `{${name}}` : `({${name}})`)).join(' '),
        sharing: 'private',
      },
      properties: Object.fromEntries(object.fields.map((field) => [field.name, fieldSchema(field, objects)])),
    },
  ]);
  const permissions = [...sets].map(([name, grants]): readonly [string, PermissionFile] => [
    name,
    { name, label: name, audience: 'staff', objects: Object.fromEntries([...grants].map(([object, grant]) => [object, permissionOf(grant)])) },
  ]);
  return completeIds(setOf(Object.fromEntries(files), { permissions: new Map(permissions) }));
}

function permissionOf({ read, fields, isExport }: PlainGrant): ObjectPermission {
  return { read: read === true ? true : { where: textOf(read) }, export: isExport, ...(fields === null ? {} : { fields }) };
}

function fieldSchema(field: PlainField, objects: Objects): FieldSchema {
  const restricted: FieldSchema = field.isRestricted ? { type: 'string', 'x-sensitive': 'restricted' } : { type: 'string' };
  if (field.kind === 'reference') {
    const many = [...objects.values()].flatMap((object) => object.manys).find((entry) => entry.via === field.name);
    return { ...restricted, type: 'string', format: 'uuid', 'x-ref': { to: field.to ?? '', as: many?.name ?? `${field.name}s` } };
  }
  return {
    ...restricted,
    ...SCHEMAS[field.kind],
    ...(field.isSearched ? { 'x-search': true } : {}),
    ...(field.formula === null ? {} : { 'x-formula': textOf(field.formula) }),
  };
}
