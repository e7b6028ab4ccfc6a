import type { ErrorDetail } from '../errors.ts';
import { metadataPointer, pointerToken } from '../metadata/kinds.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { PathFile, PathTransition } from '../metadata/types.ts';
import { CALLER_VARIABLES, type CheckAt } from './check-at.ts';
import { valueType } from './expr-schema.ts';
import type { FieldModel, PathModel, TransitionModel } from './types.ts';

/** Compiles a path: its guards and settings are checked, its states and fields must exist, and every state must be reachable. */
export function compilePath(path: PathFile, fields: ReadonlyMap<string, FieldModel>, checkAt: CheckAt, errors: ErrorDetail[]): PathModel {
  const at = (pointer: string): string => metadataPointer('paths', path.name, pointer);
  const states = path.states.map((state) => state.name);
  const state = (name: string, pointer: string): void => {
    if (!states.includes(name))
      errors.push({ pointer: at(pointer), code: 'unknown_state', detail: `"${name}" is no state of this path.`, ...suggestion(name, states) });
  };
  const stateField = fields.get(path.field);
  if (stateField === undefined || stateField.system) {
    errors.push({
      pointer: at('/field'),
      code: 'unknown_field',
      detail: `${path.object} has no field "${path.field}".`,
      ...suggestion(path.field, fields.keys()),
    });
  } else if (stateField.kind !== 'picklist') {
    errors.push({ pointer: at('/field'), code: 'wrong_field', detail: `${path.field} is ${stateField.kind}; a state is kept in a picklist.` });
  } else {
    const codes = stateField.values?.values.map((value) => value.code) ?? [];
    path.states.forEach((entry, index) => {
      if (!codes.includes(entry.name))
        errors.push({
          pointer: at(`/states/${String(index)}/name`),
          code: 'unknown_value',
          detail: `"${entry.name}" is not in the value set of ${path.field}.`,
          ...suggestion(entry.name, codes),
        });
    });
  }
  state(path.initial, '/initial');
  const transitions = new Map<string, TransitionModel>();
  path.transitions.forEach((transition, index) => {
    const base = `/transitions/${String(index)}`;
    if (transitions.has(transition.name))
      errors.push({
        pointer: at(`${base}/name`),
        code: 'duplicate_name',
        detail: `There are two transitions "${transition.name}".`,
        fix: 'Put the states it leaves into one "from".',
      });
    transition.from.forEach((name, place) => state(name, `${base}/from/${String(place)}`));
    state(transition.to, `${base}/to`);
    transitions.set(transition.name, compileTransition(path, transition, base, fields, checkAt, errors));
  });
  for (const name of unreachable(path)) {
    errors.push({
      pointer: at(`/states/${String(states.indexOf(name))}`),
      code: 'unreachable_state',
      detail: `No transition leads to "${name}".`,
      fix: 'Add a transition to it, or take the state out.',
    });
  }
  return { id: path.id ?? path.name, name: path.name, object: path.object, field: path.field, initial: path.initial, states: path.states, transitions };
}

function compileTransition(
  path: PathFile,
  transition: PathTransition,
  base: string,
  fields: ReadonlyMap<string, FieldModel>,
  checkAt: CheckAt,
  errors: ErrorDetail[],
): TransitionModel {
  const at = (pointer: string): string => metadataPointer('paths', path.name, base + pointer);
  const field = (name: string, pointer: string): FieldModel | null => {
    const found = fields.get(name);
    if (found === undefined)
      errors.push({ pointer: at(pointer), code: 'unknown_field', detail: `${path.object} has no field "${name}".`, ...suggestion(name, fields.keys()) });
    return found ?? null;
  };
  const guards = (transition.guards ?? []).flatMap((guard, index) => {
    const expression = checkAt(guard.assert, path.object, at(`/guards/${String(index)}/assert`), { kind: 'boolean' }, CALLER_VARIABLES);
    return expression === null ? [] : [{ name: guard.name, expression, message: guard.message, fix: guard.fix ?? null }];
  });
  (transition.required ?? []).forEach((name, index) => field(name, `/required/${String(index)}`));
  (transition.accepts ?? []).forEach((name, index) => {
    const found = field(name, `/accepts/${String(index)}`);
    if (found?.readOnly === true)
      errors.push({ pointer: at(`/accepts/${String(index)}`), code: 'wrong_field', detail: `${name} is set by the platform and cannot be sent.` });
  });
  const set = Object.entries(transition.set ?? {}).flatMap(([name, text]) => {
    const target = field(name, `/set${pointerToken(name)}`);
    if (target === null) return [];
    if (target.readOnly) errors.push({ pointer: at(`/set${pointerToken(name)}`), code: 'wrong_field', detail: `${name} is set by the platform.` });
    const expression = checkAt(text, path.object, at(`/set${pointerToken(name)}`), valueType(target), CALLER_VARIABLES);
    return expression === null ? [] : [[name, expression] as const];
  });
  return {
    name: transition.name,
    label: transition.label,
    from: transition.from,
    to: transition.to,
    guards,
    required: transition.required ?? [],
    set: new Map(set),
    accepts: transition.accepts ?? [],
  };
}

function unreachable(path: PathFile): readonly string[] {
  const reached = new Set([path.initial]);
  for (let grown = true; grown;) {
    grown = false;
    for (const transition of path.transitions) {
      if (!reached.has(transition.to) && transition.from.some((name) => reached.has(name))) {
        reached.add(transition.to);
        grown = true;
      }
    }
  }
  return path.states.map((state) => state.name).filter((name) => !reached.has(name));
}
