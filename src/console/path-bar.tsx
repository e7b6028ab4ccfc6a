import { Button, Group } from '@mantine/core';
import { useState } from 'react';
import { StepDialog, useSteps } from './steps.tsx';
import type { ObjectDescription, RecordData, TransitionState } from './types.ts';

type Path = NonNullable<ObjectDescription['path']>;

/** The step that people take most often: the allowed one that leads the shortest way forward. */
function likely(path: Path, position: number, steps: readonly TransitionState[]): TransitionState | undefined {
  const forward = steps
    .map((step) => ({ step, at: path.states.findIndex((state) => state.name === step.to) }))
    .filter(({ step, at }) => step.allowed && at > position && path.states[at]?.kind !== 'lost');
  return forward.sort((a, b) => a.at - b.at)[0]?.step;
}

/** Where the record stands on its path, the steps it may take, and why a step is refused. */
export function PathBar({ object, record }: { readonly object: ObjectDescription; readonly record: RecordData }) {
  const [chosen, setChosen] = useState<TransitionState | null>(null);
  const steps = useSteps(object, record);
  const { path } = object;
  if (path === null) return null;
  const current = record[path.field];
  const position = path.states.findIndex((state) => state.name === current);
  const next = likely(path, position, steps.data ?? []);
  return (
    <section aria-label="Path" className="path-bar">
      <ol className="path">
        {path.states
          .filter((state) => state.kind !== 'lost' || state.name === current)
          .map((state) => {
            const index = path.states.indexOf(state);
            return (
              <li
                key={state.name}
                className={index < position ? 'past' : index === position ? 'now' : ''}
                aria-current={index === position ? 'step' : undefined}
              >
                {state.label}
              </li>
            );
          })}
      </ol>
      {(steps.data ?? []).length > 0 && (
        <Group gap="xs">
          {(steps.data ?? []).map((step) => (
            <Button
              key={step.name}
              size="sm"
              variant={step === next ? 'filled' : 'default'}
              onClick={() => {
                setChosen(step);
              }}
              aria-haspopup="dialog"
            >
              {step.label}
              {!step.allowed && <span className="muted">&nbsp;(not yet)</span>}
            </Button>
          ))}
        </Group>
      )}
      <StepDialog
        object={object}
        record={record}
        step={chosen}
        onClose={() => {
          setChosen(null);
        }}
      />
    </section>
  );
}
