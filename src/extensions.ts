import { NPI_FUNCTIONS } from './network/npi/functions.ts';
import { checkRules } from './platform/automation/compile.ts';
import { runRuleTests } from './platform/automation/rule-tests.ts';
import { IMPORT_FUNCTIONS } from './platform/import/functions.ts';
import type { ModelExtensions } from './platform/model/compile.ts';
import { checkStrictFloors, remarkFloors } from './platform/policies/floor-findings.ts';
import { checkPolicies } from './platform/policies/policies.ts';
import { packageRoot } from './platform/root.ts';

/** What imports and the domain modules add to the platform's language and checks. */
export const EXTENSIONS: ModelExtensions = {
  functions: new Map([...IMPORT_FUNCTIONS, ...NPI_FUNCTIONS]),
  checks: [checkRules, checkPolicies, checkStrictFloors],
  remarks: [remarkFloors],
  tests: [runRuleTests],
};

/** Directories of the shipped metadata and of the packages laid over it, in order. */
export function metadataDirectories(packages: readonly string[]): readonly string[] {
  return [packageRoot(), ...packages];
}
