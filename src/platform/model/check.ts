import type { ErrorDetail } from '../errors.ts';
import { completeIds } from '../metadata/assign-ids.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { checkBehaviour } from './check-behaviour.ts';
import type { CheckScope } from './check-scope.ts';
import { checkMatching } from './check-matching.ts';
import { checkScreens } from './check-screens.ts';
import { compile, type ModelExtensions } from './compile.ts';
import { planPhysicalNames } from './physical.ts';
import { atOnce, type Steps } from './slices.ts';

/** Everything wrong with a set, at once; empty when it can be applied to an empty database. Reads and writes nothing. */
export function checkMetadata(set: MetadataSet, extensions: ModelExtensions = {}): readonly ErrorDetail[] {
  const complete = completeIds(set);
  return checkCompiled(compile({ set: complete, physical: planPhysicalNames(complete, new Map()), version: 1, schema: 'check', extensions }), extensions);
}

/** The findings of compiling, those of the kinds that do not take part in it, and those of the extensions. */
export function checkCompiled(compiled: ReturnType<typeof compile>, extensions: ModelExtensions): readonly ErrorDetail[] {
  return atOnce(checkInSteps(compiled, extensions));
}

/** The same, kind by kind; with `withTests` also the tests that stand in the metadata. */
export function* checkInSteps(
  compiled: ReturnType<typeof compile>,
  extensions: ModelExtensions,
  { withTests = true }: { readonly withTests?: boolean } = {},
): Steps<readonly ErrorDetail[]> {
  const { model, checkAt } = compiled;
  const scope: CheckScope = { model, checkAt, errors: compiled.errors };
  for (const check of [checkScreens, checkBehaviour, checkMatching]) {
    check(scope);
    yield;
  }
  // What extensions check leans on the Model as a whole, so it must be sound first; and tests on what they check.
  for (const group of [extensions.checks ?? [], withTests ? (extensions.tests ?? []) : []]) {
    if (scope.errors.length > 0) return scope.errors;
    for (const check of group) {
      scope.errors.push(...check(model));
      yield;
    }
  }
  return scope.errors;
}
