import type { Knex } from 'knex';
import { requiredId } from '../metadata/assign-ids.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { fieldKind } from '../model/field-types.ts';
import { wordsOf } from '../model/fields.ts';
import type { PhysicalName, PhysicalNames, StoredAs } from '../model/physical.ts';
import { fieldById } from './field-by-id.ts';
import type { FieldModel, Model } from '../model/types.ts';
import { tableOfColumn } from '../model/side-tables.ts';
import { ident } from '../sql.ts';
import { castOfShape, kindOfStored } from './convert.ts';
import { examine } from './examine.sql.ts';
import { examineValues, makeFill, type Examination } from './fill.sql.ts';
import { countWords, type Retype } from './step.ts';
import type { Affected, Catalogue, FillSource, FillTask, Remembered, StepFinding } from './types.ts';

/** Fields whose values the engine computes: they are not carried over but computed anew. */
const COMPUTED: ReadonlySet<string> = new Set(['formula', 'rollup']);

/** A stored field that people fill in, in the wanted set, with how it is recorded. */
interface Stored {
  readonly object: string;
  readonly field: string;
  readonly objectId: string;
  readonly table: string;
  readonly known: PhysicalName;
}

export interface RetypeInput {
  readonly recorded: MetadataSet;
  readonly wanted: MetadataSet;
  readonly remembered: Remembered;
  readonly live: Catalogue;
}

function storedFields({ wanted, remembered, live }: RetypeInput): readonly Stored[] {
  return [...wanted.objects].flatMap(([object, file]) => {
    const objectId = requiredId(file['x-object'].id, object);
    const own = remembered.names.get(objectId)?.physical;
    if (own === undefined || !live.tables.has(own)) return [];
    return Object.entries(file.properties).flatMap(([field, schema]) => {
      const known = remembered.names.get(schema['x-id'] ?? '');
      const table = tableOfColumn(own, known?.physical ?? '');
      const isStored = known !== undefined && known.shape !== null && live.tables.get(table)?.has(known.physical) === true;
      return isStored && !COMPUTED.has(fieldKind(schema)) ? [{ object, field, objectId, table, known }] : [];
    });
  });
}

/**
 * Fields of the same shape whose values are written differently as their new kind (an e-mail address in lower case), or
 * whose values as they were before a change back are still there: they need a column of their own as well.
 */
export async function rewrittenFields(db: Knex, input: RetypeInput, names: PhysicalNames, model: Model): Promise<Set<string>> {
  const rewritten = new Set<string>();
  for (const entry of storedFields(input)) {
    const { known } = entry;
    const wanted = names.get(known.id);
    if (
      wanted === undefined ||
      wanted.shape !== known.shape ||
      known.valueKind === null ||
      wanted.valueKind === known.valueKind ||
      wanted.physical !== known.physical
    )
      continue;
    const isWanted = (stored: StoredAs): boolean => stored.shape === wanted.shape && stored.valueKind === wanted.valueKind;
    const isBegun = known.next !== null && isWanted(known.next);
    const isKept = input.remembered.kept.some((column) => column.fieldId === known.id && isWanted(column));
    if (isBegun || isKept) rewritten.add(known.id);
    else if (input.live.filled.has(entry.table)) {
      const task = { ...partOf(entry, input), target: known };
      const found = await examineValues(db, makeFill(task, fieldOf(model, entry), null, model.calendarLookup.planZone), true);
      if (found.stuck > 0 || found.changed > 0) rewritten.add(known.id);
    }
  }
  return rewritten;
}

/** What must be carried over, each looked at whole before anything is changed. Reads only. */
export async function findRetypes(
  db: Knex,
  input: RetypeInput,
  names: PhysicalNames,
  model: Model,
  before: () => Model,
  mentions: (object: string, field: string) => readonly Affected[],
): Promise<readonly Retype[]> {
  const retypes: Retype[] = [];
  for (const entry of storedFields(input)) {
    const { known, object, field } = entry;
    const target = names.get(known.id);
    if (target === undefined || target.shape === null || target.physical === known.physical) continue;
    const wanted = fieldOf(model, entry);
    const { physical, sortPhysical, shape, valueKind } = target;
    const keepsOlder = input.remembered.kept.some((column) => column.fieldId === known.id && column.physical === physical);
    const task: FillTask = { ...partOf(entry, input), target: { physical, sortPhysical, shape, valueKind }, keepsOlder };
    const findings = input.live.filled.has(entry.table) ? await findingsOf(db, task, wanted, model, before) : [];
    const recorded = recordedName(input.recorded, known.id) ?? { object, field };
    retypes.push({ object, field, task, to: typeWords(wanted), affects: mentions(recorded.object, recorded.field), findings });
  }
  return retypes;
}

async function findingsOf(db: Knex, task: FillTask, wanted: FieldModel, model: Model, before: () => Model): Promise<readonly StepFinding[]> {
  const source = task.keepsOlder ? fieldById(before(), task.fieldId) : null;
  const found: Examination = await examineValues(db, makeFill(task, wanted, source, model.calendarLookup.planZone), false);
  const findings: StepFinding[] = [];
  if (found.stuck > 0) {
    const detail = `${countWords(found.stuck, 'value')} of ${wanted.label} cannot be read as ${typeWords(wanted)}.`;
    findings.push({ code: 'does_not_convert', detail, count: found.stuck, records: found.records });
  }
  // Whether the records that a reference would point at exist can be asked where ids are stored already.
  const pointed = castOfShape(task.source.shape ?? '') === 'uuid' ? tableOf(wanted, model) : null;
  if (pointed !== null) {
    const offenders = await examine(db, { kind: 'dangling', table: task.table, column: task.source.physical, target: ident(model.schema, pointed).text });
    if (offenders.count > 0) {
      const detail = `${countWords(offenders.count, 'value')} of ${wanted.label} point to nothing of that kind.`;
      findings.push({ code: 'dangling', detail, count: offenders.count, records: offenders.records });
    }
  }
  return findings;
}

/** The table that a field's foreign key points at; null when it has none. */
function tableOf(field: FieldModel, model: Model): string | null {
  if (field.valueKind === 'file') return 'file';
  if (field.ref === null || field.objectColumn !== null) return null;
  return model.objects.get(field.ref.to[0] ?? '')?.table ?? null;
}

function partOf({ objectId, table, known }: Stored, input: RetypeInput): Omit<FillTask, 'target'> {
  const { id, physical, sortPhysical, shape } = known;
  const source: FillSource = { physical, sortPhysical, shape, valueKind: kindOfStored(known), refersTo: referred(shape, input) };
  return { fieldId: id, objectId, table, source, keepsOlder: false };
}

/** Name of the object that a reference of this shape points at. */
function referred(shape: string | null, { recorded, wanted }: RetypeInput): string | null {
  const id = /^uuid>(.+)$/.exec(shape ?? '')?.[1];
  if (id === undefined || id === 'file') return null;
  const named = [...wanted.objects, ...recorded.objects].find(([, file]) => file['x-object'].id === id);
  return named?.[0] ?? id;
}

function recordedName(set: MetadataSet, id: string): { readonly object: string; readonly field: string } | null {
  for (const [object, file] of set.objects) for (const [field, schema] of Object.entries(file.properties)) if (schema['x-id'] === id) return { object, field };
  return null;
}

function fieldOf(model: Model, { object, field }: Stored): FieldModel {
  const found = model.objects.get(object)?.fields.get(field);
  if (found === undefined) throw new Error(`${object}.${field} is not in the Model that was compiled from its set.`);
  return found;
}

/** A type in words: `whole number`, `reference to Garden`. */
function typeWords(field: FieldModel): string {
  if (field.ref !== null) return `a reference to ${field.ref.to.join(' or ')}`;
  return `the type ${wordsOf(field.valueKind).toLowerCase()}`;
}
