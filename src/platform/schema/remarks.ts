import { KINDS, metadataPointer, pointerToken } from '../metadata/kinds.ts';
import { treeOf, type Expr } from '../expression/tree.ts';
import type { RuleFile } from '../metadata/types.ts';
import type { ModelExtensions } from '../model/compile.ts';
import type { FieldModel, Model, ObjectModel } from '../model/types.ts';
import { findMentions } from './mentions.ts';

/** Something that is not wrong and that whoever keeps the metadata should know. */
export interface Remark {
  /** File and place, as in findings of the check. */
  readonly pointer: string;
  readonly code: 'unused_field' | 'field_not_shown' | 'unused_value_set' | 'codes_without_labels' | 'conflicting_rules' | 'looser_than_floor';
  readonly detail: string;
  readonly fix: string;
}

/**
 * Fields that nothing names or no layout of their object shows, formulas that give codes and no labels for them, value sets that
 * no field has, and rules that set the same field on the same event to different values. Reads only the Model.
 */
export function remarksOn(model: Model, extensions: ModelExtensions = {}): readonly Remark[] {
  const objects = [...model.objects.values()].filter((object) => !object.builtin);
  return [
    ...objects.flatMap((object) => fieldRemarks(model, object)),
    ...valueSetRemarks(model, objects),
    ...ruleRemarks(model),
    ...(extensions.remarks ?? []).flatMap((remark) => remark(model)),
  ];
}

function fieldRemarks(model: Model, object: ObjectModel): readonly Remark[] {
  const hasLayout = [...model.layouts.values()].some((layout) => layout.object === object.name);
  return [...object.fields.values()].flatMap((field): readonly Remark[] => {
    if (field.system) return [];
    const pointer = metadataPointer('objects', object.name, `/properties${pointerToken(field.name)}`);
    const name = `${object.name}.${field.name}`;
    const mentions = findMentions(model, object.name, field.name);
    if (mentions.length === 0)
      return [{ pointer, code: 'unused_field', detail: `Nothing names ${name}.`, fix: 'Put it on a layout, a form, a view or in a rule, or remove it.' }];
    const isShown = mentions.some((mention) => LAYOUTS.test(mention.pointer));
    if (!isShown && hasLayout)
      return [{ pointer, code: 'field_not_shown', detail: `No layout of ${object.name} shows ${name}.`, fix: 'Add it to a section of a layout.' }];
    if (!givesCodes(model, field)) return [];
    return [
      { pointer, code: 'codes_without_labels', detail: `${name} shows codes, for it has no labels.`, fix: 'Give it the value set of its codes as "x-values".' },
    ];
  });
}

/** True for a formula without a value set of its own that answers nothing but codes. */
function givesCodes(model: Model, field: FieldModel): boolean {
  if (field.formula === null || field.values !== null) return false;
  const results = resultsOf(treeOf(field.formula));
  return results.length > 0 && results.every((result) => isCode(model, result));
}

/** What an expression may come out as, nothing left out. */
function resultsOf(node: Expr): readonly Expr[] {
  if (node.kind === 'conditional') return [node.then, node.otherwise].flatMap(resultsOf);
  if (node.kind === 'coalesce') return node.items.flatMap(resultsOf);
  return node.kind === 'literal' && node.value === null ? [] : [node];
}

function isCode(model: Model, node: Expr): boolean {
  if (node.kind === 'literal') return typeof node.value === 'string' && node.type.kind === 'text' && CODE.test(node.value);
  if (node.kind !== 'field' && node.kind !== 'formula') return false;
  return (model.objects.get(node.object)?.fields.get(node.name)?.values ?? null) !== null;
}

/** How the codes of value sets are written; words for people begin with a capital letter or hold blanks. */
const CODE = /^[a-z0-9]+(-[a-z0-9]+)*$/;

const LAYOUTS = new RegExp(`(^|/)${KINDS.find((entry) => entry.kind === 'layouts')?.folder ?? 'layouts'}/`);

function valueSetRemarks(model: Model, objects: readonly ObjectModel[]): readonly Remark[] {
  const used = new Set(objects.flatMap((object) => [...object.fields.values()].flatMap((field) => field.values?.name ?? [])));
  return [...model.source.valueSets.keys()]
    .filter((name) => !used.has(name))
    .map((name) => ({
      pointer: metadataPointer('valueSets', name, ''),
      code: 'unused_value_set',
      detail: `No field has the values ${name}.`,
      fix: 'Give it to a field as "x-values", or remove the file.',
    }));
}

interface Setting {
  readonly rule: string;
  readonly pointer: string;
  readonly value: string;
}

/** Rules that look at the same event under the same conditions and give one field of the same record different values. */
function ruleRemarks(model: Model): readonly Remark[] {
  const settings = new Map<string, Setting[]>();
  for (const [name, rule] of model.rules) {
    if (rule.enabled === false) continue;
    for (const { key, pointer, value } of settingsOf(name, rule)) settings.set(key, [...(settings.get(key) ?? []), { rule: name, pointer, value }]);
  }
  return [...settings.values()].flatMap((same): readonly Remark[] => {
    const [first, ...others] = same;
    const other = others.find((setting) => setting.rule !== first?.rule && setting.value !== first?.value);
    if (first === undefined || other === undefined) return [];
    const field = other.pointer.slice(other.pointer.lastIndexOf('/') + 1);
    return [
      {
        pointer: other.pointer,
        code: 'conflicting_rules',
        detail: `The rules ${first.rule} and ${other.rule} set ${field} on the same event, under the same conditions, to different values.`,
        fix: 'Let one of them set it, or give them conditions that exclude each other.',
      },
    ];
  });
}

function settingsOf(name: string, rule: RuleFile): readonly { readonly key: string; readonly pointer: string; readonly value: string }[] {
  return rule.do.flatMap((step, index) => {
    if (step.step !== 'update') return [];
    const conditions = [rule.on, rule.when ?? null, step.when ?? null, step.forEach ?? null, step.record ?? null];
    return Object.entries(step.values).map(([field, value]) => ({
      key: JSON.stringify([...conditions, field]),
      pointer: metadataPointer('rules', name, `/do/${String(index)}/values${pointerToken(field)}`),
      value,
    }));
  });
}
