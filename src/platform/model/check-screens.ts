import { metadataPointer, pointerToken } from '../metadata/kinds.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { FormFile, FormSection, LayoutFile, ViewFile } from '../metadata/screen-types.ts';
import type { MetadataKind } from '../metadata/types.ts';
import { CALLER_VARIABLES } from './check-at.ts';
import { fieldAt, objectAt, transitionAt, type CheckScope } from './check-scope.ts';
import type { ObjectModel } from './types.ts';

const CONDITION = { kind: 'boolean' } as const;

/** Forms, views and layouts: objects, fields, relations and transitions exist; conditions type-check. */
export function checkScreens(scope: CheckScope): void {
  for (const form of scope.model.forms.values()) checkForm(scope, form);
  for (const view of scope.model.views.values()) checkView(scope, view);
  for (const layout of scope.model.layouts.values()) checkLayout(scope, layout);
}

function fieldsAt(scope: CheckScope, object: ObjectModel, paths: readonly string[], pointer: (index: number) => string): void {
  paths.forEach((path, index) => {
    fieldAt(scope, object, path, pointer(index));
  });
}

function sortAt(scope: CheckScope, object: ObjectModel, sort: string | undefined, pointer: string): void {
  for (const key of sort?.split(',') ?? []) fieldAt(scope, object, key.trim().replace(/^-/, ''), pointer);
}

function relationAt(scope: CheckScope, object: ObjectModel, name: string, pointer: string): ObjectModel | null {
  const relation = object.toMany.get(name);
  if (relation === undefined)
    scope.errors.push({
      pointer,
      code: 'unknown_relation',
      detail: `Nothing points at ${object.name} as "${name}".`,
      ...suggestion(name, object.toMany.keys()),
    });
  return relation === undefined ? null : (scope.model.objects.get(relation.object) ?? null);
}

function pointerIn(kind: MetadataKind, name: string): (rest: string) => string {
  return (rest) => metadataPointer(kind, name, rest);
}

function checkView(scope: CheckScope, view: ViewFile): void {
  const at = pointerIn('views', view.name);
  const object = objectAt(scope, view.object, at('/object'));
  if (object === null) return;
  if (view.filter !== undefined) scope.checkAt(view.filter, object.name, at('/filter'), CONDITION, CALLER_VARIABLES);
  fieldsAt(scope, object, view.columns, (index) => at(`/columns/${String(index)}`));
  sortAt(scope, object, view.sort, at('/sort'));
}

function checkLayout(scope: CheckScope, layout: LayoutFile): void {
  const at = pointerIn('layouts', layout.name);
  const object = objectAt(scope, layout.object, at('/object'));
  if (object === null) return;
  fieldsAt(scope, object, layout.highlights, (index) => at(`/highlights/${String(index)}`));
  layout.sections.forEach((section, row) => {
    fieldsAt(scope, object, section.fields, (index) => at(`/sections/${String(row)}/fields/${String(index)}`));
    if (section.visibleWhen !== undefined) scope.checkAt(section.visibleWhen, object.name, at(`/sections/${String(row)}/visibleWhen`), CONDITION);
  });
  layout.related.forEach((related, row) => {
    const other = relationAt(scope, object, related.relation, at(`/related/${String(row)}/relation`));
    if (other === null) return;
    fieldsAt(scope, other, related.columns, (index) => at(`/related/${String(row)}/columns/${String(index)}`));
    sortAt(scope, other, related.sort, at(`/related/${String(row)}/sort`));
  });
}

function checkForm(scope: CheckScope, form: FormFile): void {
  const at = pointerIn('forms', form.name);
  const object = objectAt(scope, form.object, at('/object'));
  if (object === null) return;
  const condition = (text: string | undefined, pointer: string, owner = object): void => {
    if (text !== undefined) scope.checkAt(text, owner.name, at(pointer), CONDITION);
  };
  condition(form.editableWhen, '/editableWhen');
  if (form.submit !== undefined) transitionAt(scope, object, form.submit, at('/submit'));
  if (form.documents !== undefined) {
    const documents = objectAt(scope, form.documents.object, at('/documents/object'));
    for (const member of ['reference', 'type', 'file'] as const)
      if (documents !== null) fieldAt(scope, documents, form.documents[member], at(`/documents/${member}`));
  }
  if (form.attestation !== undefined)
    for (const member of ['nameField', 'atField'] as const) fieldAt(scope, object, form.attestation[member], at(`/attestation/${member}`));
  if (form.confirmation?.number !== undefined) fieldAt(scope, object, form.confirmation.number, at('/confirmation/number'));
  fieldsAt(scope, object, form.status?.fields ?? [], (index) => at(`/status/fields/${String(index)}`));
  if (form.status?.notice !== undefined) fieldAt(scope, object, form.status.notice, at('/status/notice'));
  checkSigning(scope, form, object, at);
  form.pages.forEach((page, pageIndex) => {
    condition(page.visibleWhen, `/pages/${String(pageIndex)}/visibleWhen`);
    page.sections.forEach((section, index) => {
      const base = `/pages/${String(pageIndex)}/sections/${String(index)}`;
      condition(section.visibleWhen, `${base}/visibleWhen`);
      checkSection(scope, object, section, base, at, condition);
      if (section.document !== undefined && form.documents === undefined) {
        scope.errors.push({
          pointer: at(`${base}/document`),
          code: 'missing_property',
          detail: 'The form does not say where documents are kept.',
          fix: 'Add "documents" to the form.',
        });
      }
    });
  });
}

function checkSection(
  scope: CheckScope,
  object: ObjectModel,
  section: FormSection,
  base: string,
  at: (rest: string) => string,
  condition: (text: string | undefined, pointer: string, owner?: ObjectModel) => void,
): void {
  const fields = (owner: ObjectModel, list: FormSection['fields'], pointer: string): void => {
    list?.forEach((field, index) => {
      fieldAt(scope, owner, field.field, at(`${pointer}/${String(index)}/field`));
      condition(field.visibleWhen, `${pointer}/${String(index)}/visibleWhen`, owner);
      condition(field.requiredWhen, `${pointer}/${String(index)}/requiredWhen`, owner);
    });
  };
  fields(object, section.fields, `${base}/fields`);
  if (section.repeat === undefined) return;
  const other = relationAt(scope, object, section.repeat.relation, at(`${base}/repeat/relation`));
  if (other !== null) fields(other, section.repeat.fields, `${base}/repeat/fields`);
}

function checkSigning(scope: CheckScope, form: FormFile, object: ObjectModel, at: (rest: string) => string): void {
  const { signing } = form;
  if (signing === undefined) return;
  for (const member of ['document', 'hash', 'version'] as const) fieldAt(scope, object, signing[member], at(`/signing/${member}`));
  for (const party of ['portal', 'staff'] as const) {
    const transition = signing.transitions[party];
    if (transition !== undefined) transitionAt(scope, object, transition, at(`/signing/transitions/${party}`));
  }
  const evidence = objectAt(scope, signing.evidence.object, at('/signing/evidence/object'));
  if (evidence === null) return;
  fieldAt(scope, evidence, signing.evidence.reference, at('/signing/evidence/reference'));
  for (const name of Object.keys(signing.evidence.values)) fieldAt(scope, evidence, name, at(`/signing/evidence/values${pointerToken(name)}`));
}
