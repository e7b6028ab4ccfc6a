/**
 * Named fault points for crash tests (quality.md, 2): `fault('record.after_history')` does nothing unless a plan names
 * the point, and then ends this very process as `kill -9` would. The plan comes from `main`, nobody else.
 */
export type Fault = (point: string) => void;

const remaining = new Map<string, number>();

/**
 * Sets the plan: `name:n`, several separated by commas; the process dies at the n-th time it comes by the point.
 * An empty text or null takes every plan back.
 * @throws RangeError when the text is not of that form
 */
export function setFaultPlan(text: string | null): void {
  remaining.clear();
  for (const part of (text ?? '').split(',').filter((entry) => entry !== '')) {
    const match = /^([a-z][a-z0-9_.-]*):([1-9]\d*)$/.exec(part);
    if (match?.[1] === undefined) throw new RangeError(`A fault plan is written name:n, not ${JSON.stringify(part)}.`);
    remaining.set(match[1], Number(match[2]));
  }
}

/** What is left of the plan: how many more visits until a point ends the process. */
export function faultsLeft(): ReadonlyMap<string, number> {
  return new Map(remaining);
}

/** Marks a point where a crash must be harmless; a no-op unless the plan names it. */
export function fault(point: string): void {
  if (remaining.size === 0) return;
  const left = remaining.get(point);
  if (left === undefined) return;
  remaining.set(point, left - 1);
  if (left === 1) process.kill(process.pid, 'SIGKILL');
}
