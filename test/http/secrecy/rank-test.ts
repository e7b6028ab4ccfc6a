/** How far the ranks of two samples lie apart, in standard deviations (Mann-Whitney), and how their medians compare. */
export function rankTest(one: readonly number[], other: readonly number[]): { readonly deviations: number; readonly ratio: number } {
  const all = [...one.map((value) => ({ value, isFirst: true })), ...other.map((value) => ({ value, isFirst: false }))].sort((a, b) => a.value - b.value);
  const ranks = all.reduce((sum, { isFirst }, index) => (isFirst ? sum + index + 1 : sum), 0);
  const [n, m] = [one.length, other.length];
  const u = ranks - (n * (n + 1)) / 2;
  const deviations = (u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
  return { deviations, ratio: median(one) / median(other) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
