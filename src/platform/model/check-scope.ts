import type { ErrorDetail } from '../errors.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { CheckAt } from './check-at.ts';
import type { Model, ObjectModel } from './types.ts';

/** What a check may use: the compiled Model, and where to put findings. */
export interface CheckScope {
  readonly model: Model;
  readonly checkAt: CheckAt;
  readonly errors: ErrorDetail[];
}

/** The object of that name, or a finding. */
export function objectAt(scope: CheckScope, name: string, pointer: string): ObjectModel | null {
  const object = scope.model.objects.get(name);
  if (object === undefined)
    scope.errors.push({ pointer, code: 'unknown_object', detail: `There is no object "${name}".`, ...suggestion(name, scope.model.objects.keys()) });
  return object ?? null;
}

/** Notes a field that does not exist. A dotted name follows references; `displayName` is every record's name. */
export function fieldAt(scope: CheckScope, object: ObjectModel, path: string, pointer: string): void {
  let at: ObjectModel | undefined = object;
  const steps = path.split('.');
  for (const [index, name] of steps.entries()) {
    const isLast = index === steps.length - 1;
    const field: ReturnType<ObjectModel['fields']['get']> = at?.fields.get(name);
    if (at === undefined || (isLast && name === 'displayName')) return;
    if (field === undefined) {
      scope.errors.push({ pointer, code: 'unknown_field', detail: `${at.name} has no field "${name}".`, ...suggestion(name, at.fields.keys()) });
      return;
    }
    if (isLast) return;
    const target: string | undefined = field.ref?.to[0];
    if (target === undefined) {
      scope.errors.push({ pointer, code: 'unknown_field', detail: `${at.name}.${name} is no reference, so nothing can follow it.` });
      return;
    }
    at = scope.model.objects.get(target);
  }
}

/** Notes a transition that the object's path does not have. */
export function transitionAt(scope: CheckScope, object: ObjectModel, name: string, pointer: string): void {
  const known = object.path?.transitions;
  if (known?.has(name) !== true)
    scope.errors.push({ pointer, code: 'unknown_transition', detail: `${object.name} has no transition "${name}".`, ...suggestion(name, known?.keys() ?? []) });
}
