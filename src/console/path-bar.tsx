import { Alert, Button, Group, List, Modal, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from './api.ts';
import { ErrorAlert, fieldErrors } from './errors.tsx';
import { FieldInput } from './field-input.tsx';
import type { ObjectDescription, RecordData, TransitionState } from './types.ts';

/** Where the record stands on its path, the steps it may take, and why a step is refused. */
export function PathBar({ object, record }: { readonly object: ObjectDescription; readonly record: RecordData }) {
  const client = useQueryClient();
  const [chosen, setChosen] = useState<TransitionState | null>(null);
  const [typed, setTyped] = useState<Readonly<Record<string, unknown>>>({});
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const steps = useQuery({
    queryKey: ['transitions', object.name, record.id, record.version],
    queryFn: () => call<{ data: readonly TransitionState[] }>(`/records/${object.name}/${record.id}/transitions`),
  });
  const { path } = object;
  if (path === null) return null;
  const current = record[path.field];
  const position = path.states.findIndex((state) => state.name === current);
  const close = () => {
    setChosen(null);
    setTyped({});
    setError(null);
  };
  const move = async (transition: TransitionState) => {
    setBusy(true);
    setError(null);
    try {
      await call(`/records/${object.name}/${record.id}/transitions/${transition.name}`, { method: 'POST', body: typed, version: record.version });
      close();
      notifications.show({ message: `${transition.label}: done`, color: 'teal' });
      await client.invalidateQueries();
    } catch (failure) {
      if (!(failure instanceof Error)) throw failure;
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const inputs = (chosen?.accepts ?? []).map((name) => object.fields.find((field) => field.name === name)).filter((field) => field !== undefined);
  const errors = fieldErrors(error);
  return (
    <section aria-label="Path">
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
      <Group gap="xs">
        {(steps.data?.data ?? []).map((step) => (
          <Button
            key={step.name}
            size="sm"
            variant={step.allowed ? 'filled' : 'default'}
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
      <Modal opened={chosen !== null} onClose={close} title={chosen?.label} size="lg">
        {chosen !== null && (
          <Stack>
            {!chosen.allowed && (
              <Alert color="yellow" title="This step is not possible yet">
                <List size="sm">
                  {chosen.reasons.map((reason) => (
                    <List.Item key={reason.message}>
                      {reason.message} {reason.fix ?? ''}
                    </List.Item>
                  ))}
                </List>
              </Alert>
            )}
            {error !== null && <ErrorAlert error={error} title="The record was not moved" />}
            {chosen.allowed && inputs.length === 0 && (
              <Text>The record moves to “{path.states.find((state) => state.name === chosen.to)?.label ?? chosen.to}”.</Text>
            )}
            {inputs.map((field) => (
              <FieldInput
                key={field.name}
                field={{ ...field, required: chosen.required.includes(field.name) }}
                value={field.name in typed ? typed[field.name] : record[field.name]}
                error={errors.get(field.name)}
                onChange={(value) => {
                  setTyped((before) => ({ ...before, [field.name]: value }));
                }}
              />
            ))}
            <Group>
              {(chosen.allowed || inputs.length > 0) && (
                <Button loading={busy} onClick={() => void move(chosen)}>
                  {chosen.label}
                </Button>
              )}
              <Button variant="default" onClick={close}>
                Close
              </Button>
            </Group>
          </Stack>
        )}
      </Modal>
    </section>
  );
}
