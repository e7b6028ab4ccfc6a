import type { SchemaStep } from './types.ts';

/** A step as the API and the CLI show it: what it does, not how the program carries it out. */
export type ShownStep = Pick<SchemaStep, 'class' | 'description' | 'sql' | 'lock' | 'rows' | 'affects' | 'findings' | 'fix'> & {
  readonly when: SchemaStep['time'];
};

/** The step as others see it. Pure. */
export function shownStep(step: SchemaStep): ShownStep {
  const { class: stepClass, description, sql, lock, rows, affects, fix, findings, time } = step;
  return {
    class: stepClass,
    description,
    sql,
    lock,
    rows,
    when: time,
    affects,
    ...(findings === undefined ? {} : { findings }),
    ...(fix === undefined ? {} : { fix }),
  };
}
