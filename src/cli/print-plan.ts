import type { SchemaStep } from '../platform/schema/types.ts';
import type { Io } from './command.ts';

/** The steps of a plan for people: class, what it does, lock and rows, what else names the thing, what to do instead. */
export function printPlan(io: Io, steps: readonly SchemaStep[], hash: string): void {
  if (steps.length === 0) {
    io.out('Nothing to do.\n');
    return;
  }
  for (const step of steps) {
    const facts = [...(step.lock === null ? [] : [step.lock]), ...(step.rows === null ? [] : [`about ${step.rows.toLocaleString('en-US')} rows`])];
    io.out(`${step.class.padEnd(12)}${step.description}${facts.length === 0 ? '' : ` [${facts.join(', ')}]`}\n`);
    const more = [
      ...(step.fix === undefined ? [] : [step.fix]),
      ...(step.findings ?? []).map(
        (finding) => `${finding.detail} Records: ${finding.records.join(', ')}${finding.count > finding.records.length ? ' ...' : ''}`,
      ),
      ...step.affects.map((entry) => `named in ${entry.what} (${entry.pointer.split('#')[1] ?? ''})`),
    ];
    for (const line of more) io.out(`${' '.repeat(12)}${line}\n`);
  }
  io.out(`Plan ${hash.slice(0, 12)}\n`);
}
