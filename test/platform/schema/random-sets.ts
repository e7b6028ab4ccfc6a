import fc from 'fast-check';
import type { FieldSchema, MetadataSet, ObjectFile } from '../../../src/platform/metadata/types.ts';
import { setOf } from './builders.ts';

/** Kinds of fields that random sets draw from; `REF` stands for the object that a reference points at. */
const KINDS: readonly FieldSchema[] = [
  { type: 'string' },
  { type: 'string', format: 'multiline' },
  { type: 'string', format: 'email' },
  { type: 'integer' },
  { type: 'number' },
  { type: 'string', format: 'money' },
  { type: 'boolean' },
  { type: 'string', format: 'date' },
  { type: 'string', format: 'date-time' },
  { type: 'array', items: { type: 'string' } },
  { type: 'object', format: 'address' },
  { type: 'string', 'x-sequence': 'A-{0000}' },
  { type: 'boolean', 'x-formula': 'createdAt == null' },
  { type: 'string', format: 'uuid', 'x-ref': { to: 'REF' } },
  { type: 'string', format: 'uuid', 'x-ref': { to: ['REF', 'User'] } },
];

const OBJECTS = ['anemone000ob', 'buttercup0ob', 'cornflowerob'] as const;
const OBJECT_NAMES = ['Aster', 'Broom', 'Clover', 'Daisy'] as const;
const FIELD_NAMES = ['size', 'color', 'aVeryLongNameOfAFieldThatDoesNotFitIntoAColumnName', 'about', 'seen'] as const;

/** A value that fits the kind, as the database takes it, or null. */
export function valueFor(field: FieldSchema, draw: number): unknown {
  if (draw % 2 === 0 || field['x-formula'] !== undefined || field['x-ref'] !== undefined) return null;
  const small = String(draw);
  if (field.type === 'boolean') return draw % 2 === 0;
  if (field.type === 'array') return [small];
  if (field.type === 'object') return { city: `Town ${small}` };
  if (field.format === 'date') return `2026-01-${String((draw % 28) + 1).padStart(2, '0')}`;
  if (field.format === 'date-time') return `2026-01-${String((draw % 28) + 1).padStart(2, '0')}T10:00:00.000Z`;
  if (field.format === 'email') return `p${small}@example.org`;
  return small;
}

interface DrawnField {
  readonly slot: number;
  readonly name: string;
  readonly kind: number;
  readonly target: number;
  readonly index: boolean;
  readonly unique: boolean;
  readonly required: boolean;
}

const drawnField: fc.Arbitrary<DrawnField> = fc.record({
  slot: fc.nat(4),
  name: fc.constantFrom(...FIELD_NAMES),
  kind: fc.nat(KINDS.length - 1),
  target: fc.nat(2),
  index: fc.boolean(),
  unique: fc.nat(7).map((draw) => draw === 0),
  required: fc.nat(11).map((draw) => draw === 0),
});

const drawnObject = fc.record({
  name: fc.constantFrom(...OBJECT_NAMES),
  fields: fc.uniqueArray(drawnField, { maxLength: 5, selector: (field) => field.slot, comparator: 'IsStrictlyEqual' }),
  together: fc.boolean(),
  dated: fc.constantFrom<'no' | 'fields' | 'name' | 'more'>('no', 'no', 'no', 'fields', 'name', 'more'),
});

const DAY: FieldSchema = { type: 'string', format: 'date' };

/** Kinds that may be in the key of an effective-dated object though they are empty. */
const inKey = (made: FieldSchema): boolean =>
  made.type === 'string' && made['x-formula'] === undefined && made['x-sequence'] === undefined && ['text', 'email', 'one'].includes(kindOfKey(made));

function kindOfKey(made: FieldSchema): string {
  if (made['x-ref'] !== undefined) return typeof made['x-ref'].to === 'string' ? 'one' : 'many';
  return made.format ?? 'text';
}

/** Sets that share their ids, so that any two of them are a change of each other: renames, other types, things gone and come. */
export const randomSet: fc.Arbitrary<MetadataSet> = fc
  .tuple(drawnObject, fc.option(drawnObject, { freq: 4 }), fc.option(drawnObject, { freq: 2 }))
  .map((drawn) => {
    const names = new Map<number, string>();
    drawn.forEach((object, index) => {
      if (object === null) return;
      const free = [object.name, ...OBJECT_NAMES].find((name) => ![...names.values()].includes(name));
      names.set(index, free ?? object.name);
    });
    const targets = [...names.values()];
    const objects = drawn.flatMap((object, index): readonly (readonly [string, ObjectFile])[] => {
      if (object === null) return [];
      const fields = new Map<string, FieldSchema>([['name', { type: 'string', 'x-id': `${OBJECTS[index]?.slice(0, 10) ?? ''}00` }]]);
      for (const field of object.fields) {
        const name = [field.name, ...FIELD_NAMES].find((entry) => !fields.has(entry)) ?? field.name;
        fields.set(name, fieldOf(field, index, targets));
      }
      const isDated = object.dated === 'name' || object.dated === 'more';
      if (object.dated !== 'no') {
        fields.set('begins', { ...DAY, 'x-default': "date('2026-01-01')", 'x-id': `${OBJECTS[index]?.slice(0, 10) ?? ''}91` });
        fields.set('ends', { ...DAY, 'x-id': `${OBJECTS[index]?.slice(0, 10) ?? ''}92` });
      }
      const more = object.dated === 'more' ? [...fields].filter(([name, made]) => name !== 'name' && inKey(made)).map(([name]) => name) : [];
      const named = object.fields.flatMap((field) =>
        [...fields].flatMap(([name, made]) => (made['x-id'] === idOf(index, field.slot) && mayBeRequired(field, made) ? [name] : [])),
      );
      const required = [...named, ...(object.dated === 'no' ? [] : ['begins'])];
      const plain = [...fields].filter(([, made]) => made['x-formula'] === undefined && made['x-sequence'] === undefined).map(([name]) => name);
      const file: ObjectFile = {
        title: names.get(index) ?? '',
        type: 'object',
        'x-object': { id: OBJECTS[index] ?? '', plural: `${names.get(index) ?? ''}s`, name: '{name}' },
        properties: Object.fromEntries(fields),
        ...(required.length === 0 ? {} : { required }),
        ...(isDated ? { 'x-effective': { from: 'begins', through: 'ends', key: ['name', ...more.slice(0, 2)] } } : {}),
        ...(object.together && plain.length > 1 ? { 'x-unique': [plain.slice(0, 2)] } : {}),
      };
      return [[names.get(index) ?? '', file]];
    });
    return setOf(Object.fromEntries(objects));
  });

function idOf(object: number, slot: number): string {
  return `${OBJECTS[object]?.slice(0, 10) ?? ''}${String(slot + 1).padStart(2, '0')}`;
}

function mayBeRequired(field: DrawnField, made: FieldSchema): boolean {
  return field.required && made['x-formula'] === undefined;
}

function fieldOf(field: DrawnField, object: number, targets: readonly string[]): FieldSchema {
  const kind = KINDS[field.kind] ?? { type: 'string' };
  const target = targets[field.target % targets.length] ?? '';
  const ref = kind['x-ref'] === undefined ? {} : { 'x-ref': { to: typeof kind['x-ref'].to === 'string' ? target : [target, 'User'] } };
  const isPlain = kind['x-formula'] === undefined && kind['x-ref'] === undefined;
  const index = field.index && isPlain ? { 'x-index': true } : {};
  const unique = field.unique && isPlain && kind.type !== 'array' && kind.type !== 'object' && kind.type !== 'boolean' ? { 'x-unique': true } : {};
  return { ...kind, ...ref, ...index, ...unique, 'x-id': idOf(object, field.slot) };
}
