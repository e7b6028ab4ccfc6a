import { readRights, type Rights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { FIELD_TYPES, fieldType } from '../../platform/model/field-types.ts';
import type { FieldModel } from '../../platform/model/types.ts';
import { canRead, describeLayout, describeViews, type LayoutDescription, type ViewDescription } from './layout.ts';

export interface FieldDescription {
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly kind: string;
  readonly control: string;
  readonly system: boolean;
  readonly readOnly: boolean;
  readonly required: boolean;
  readonly searchable: boolean;
  readonly sortable: boolean;
  readonly maxLength: number | null;
  readonly options: readonly { readonly value: string; readonly label: string; readonly active: boolean; readonly color: string | null }[] | null;
  readonly refersTo: readonly string[] | null;
}

export interface ObjectDescription {
  readonly name: string;
  readonly label: string;
  readonly plural: string;
  readonly description: string | null;
  readonly icon: string | null;
  readonly may: { readonly create: boolean; readonly update: boolean; readonly delete: boolean; readonly export: boolean };
  readonly fields: readonly FieldDescription[];
  readonly related: readonly { readonly name: string; readonly object: string; readonly via: string }[];
  readonly path: {
    readonly name: string;
    readonly field: string;
    readonly states: readonly { readonly name: string; readonly label: string; readonly kind: string }[];
    readonly transitions: readonly {
      readonly name: string;
      readonly label: string;
      readonly from: readonly string[];
      readonly to: string;
      readonly required: readonly string[];
      readonly accepts: readonly string[];
    }[];
  } | null;
  /** For facts in force from one day through another: the fields of these days, and those that say what a fact is about. */
  readonly effective: { readonly from: string; readonly through: string; readonly key: readonly string[] } | null;
  readonly views: readonly ViewDescription[];
  /** Sections of all records; GET /records/{object}/{id}/layout says which hold for one. */
  readonly layout: LayoutDescription;
  readonly forms: readonly { readonly name: string; readonly title: string; readonly signing: boolean }[];
}

function describeField(rights: Rights, field: FieldModel): FieldDescription {
  const type = FIELD_TYPES[field.kind];
  return {
    name: field.name,
    label: field.label,
    help: field.help,
    kind: field.kind,
    control: type.control,
    system: field.system,
    readOnly: field.readOnly || !rights.writable.has(field.name),
    required: field.required,
    searchable: field.searchable,
    sortable: field.column !== null && (field.sortColumn !== null || fieldType(field).operators.includes('less')),
    maxLength: field.maxLength,
    options:
      field.values === null
        ? null
        : field.values.values.map((value) => ({ value: value.code, label: value.label, active: value.active !== false, color: value.color ?? null })),
    refersTo: field.ref === null ? null : field.ref.to,
  };
}

function describeEffective({ object: { effective }, readable }: Rights): ObjectDescription['effective'] {
  if (effective === null || !readable.has(effective.from.name) || !readable.has(effective.through.name)) return null;
  const key = effective.key.map((field) => field.name).filter((name) => readable.has(name));
  return { from: effective.from.name, through: effective.through.name, key };
}

/** One object as this caller may see it: fields, path, views, layout and what they may do. @throws AppError not_found */
export function describeObject(context: CallContext, name: string): ObjectDescription {
  const rights = readRights(context, name);
  const { object } = rights;
  const { path } = object;
  return {
    name: object.name,
    label: object.label,
    plural: object.plural,
    description: object.description,
    icon: object.icon,
    may: { create: rights.canCreate, update: rights.canUpdate, delete: rights.canDelete, export: rights.canExport },
    fields: [...object.fields.values()].filter((field) => rights.readable.has(field.name)).map((field) => describeField(rights, field)),
    related: [...object.toMany.values()]
      .filter((entry) => canRead(context, entry.object))
      .map(({ name: relation, object: other, via }) => ({ name: relation, object: other, via })),
    path:
      path === null
        ? null
        : {
            name: path.name,
            field: path.field,
            states: path.states.map((state) => ({ name: state.name, label: state.label, kind: state.kind })),
            transitions: [...path.transitions.values()]
              .filter((transition) => rights.transitions.has(transition.name))
              .map(({ name: transition, label, from, to, required, accepts }) => ({ name: transition, label, from, to, required, accepts })),
          },
    effective: describeEffective(rights),
    views: describeViews(context, rights),
    layout: describeLayout(context, rights),
    forms: [...context.model.forms.values()]
      .filter((form) => form.object === object.name)
      .map((form) => ({ name: form.name, title: form.title, signing: form.signing !== undefined })),
  };
}

/** Every object this caller may read, in the order of their labels. */
export function listObjects(context: CallContext): readonly Pick<ObjectDescription, 'name' | 'label' | 'plural' | 'icon'>[] {
  return [...context.model.objects.values()]
    .filter((object) => canRead(context, object.name))
    .map(({ name, label, plural, icon }) => ({ name, label, plural, icon }))
    .sort((a, b) => (a.plural < b.plural ? -1 : 1));
}
