import { canonicalJson } from '../metadata/store-form.ts';
import type { MetadataSet, PolicyFile } from '../metadata/types.ts';
import { approvalOf, firstDay, type PolicyApprovals } from '../model/approvals.ts';
import type { ModelExtensions } from '../model/compile.ts';
import type { Model } from '../model/types.ts';
import { metadataStep } from './step.ts';
import type { SchemaStep } from './types.ts';

/** What should be known of policies that are changed, such as that one is looser than its floor. */
export function policyRemarks(recorded: MetadataSet, wanted: MetadataSet, model: Model, extensions: ModelExtensions): readonly SchemaStep[] {
  if (canonicalJson([...recorded.policies]) === canonicalJson([...wanted.policies])) return [];
  return (extensions.remarks ?? []).flatMap((remark) => remark(model)).map(({ detail, fix }) => metadataStep(detail, { fix }));
}

/** What a change of policies means until somebody approves it: one step for each version that comes out of force or is not yet. Pure. */
export function approvalSteps(recorded: MetadataSet, wanted: MetadataSet, approvals: PolicyApprovals | null): readonly SchemaStep[] {
  return [...wanted.policies.values()].flatMap((file): readonly SchemaStep[] => {
    const before = [...recorded.policies.values()].find((policy) => policy.id === file.id);
    if (before !== undefined && canonicalJson(before) === canonicalJson(file)) return [];
    return file.versions.flatMap((version): readonly SchemaStep[] => {
      const { withheld } = approvalOf(file, version, approvals);
      const old = before?.versions.find((entry) => entry.effective === version.effective);
      if (withheld === null || (before !== undefined && old !== undefined && approvalOf(before, old, approvals).withheld !== null)) return [];
      return [
        metadataStep(
          `Withhold version ${version.effective} of the policy ${file.name} until it is approved: ${insteadOf(file, version.effective, approvals)}`,
          {
            fix: `Have it approved by an account that did not change it: credenza policy approve ${file.name} ${version.effective}.`,
          },
        ),
      ];
    });
  });
}

function insteadOf(file: PolicyFile, effective: string, approvals: PolicyApprovals | null): string {
  const earlier = file.versions
    .filter((version) => firstDay(version.effective) < firstDay(effective) && approvalOf(file, version, approvals).withheld === null)
    .sort((left, right) => (firstDay(left.effective) < firstDay(right.effective) ? -1 : 1))
    .at(-1);
  return earlier === undefined ? 'no version is in force in its place' : `version ${earlier.effective} stays in force`;
}
