import { setImmediate as turn } from 'node:timers/promises';

/** Work that stops after each part of it, so that others may have their turn; at the end it has a result. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** The longest that work goes on before others have their turn; one part of it may take longer. */
const SLICE_MS = 5;

/** Does the work without a pause. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does the work in slices of a few milliseconds; what came in meanwhile is done between them. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    for (const start = performance.now(); performance.now() - start < SLICE_MS;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
    await turn();
  }
}
