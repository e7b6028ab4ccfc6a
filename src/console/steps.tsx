import { Alert, Button, Group, List, Menu, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconChevronDown } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from './api.ts';
import { Dialog } from './dialog.tsx';
import { ErrorAlert, fieldErrors } from './errors.tsx';
import { FieldInput } from './field-input.tsx';
import type { ObjectDescription, RecordData, TransitionState } from './types.ts';

/** The steps that lead on from where a record stands. */
export function useSteps(object: ObjectDescription, record: RecordData, enabled = true) {
  return useQuery({
    queryKey: ['transitions', object.name, record.id, record.version],
    queryFn: () => call<{ data: readonly TransitionState[] }>(`/records/${object.name}/${record.id}/transitions`),
    enabled: enabled && object.path !== null,
    select: (answer) => answer.data,
  });
}

function StepForm({
  object,
  record,
  step,
  onClose,
}: {
  readonly object: ObjectDescription;
  readonly record: RecordData;
  readonly step: TransitionState;
  readonly onClose: () => void;
}) {
  const client = useQueryClient();
  const [typed, setTyped] = useState<Readonly<Record<string, unknown>>>({});
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const inputs = [...new Set([...step.required, ...step.accepts])]
    .filter((name) => step.accepts.includes(name))
    .flatMap((name) => object.fields.filter((field) => field.name === name));
  const errors = fieldErrors(error);
  const move = async () => {
    setBusy(true);
    setError(null);
    try {
      await call(`/records/${object.name}/${record.id}/transitions/${step.name}`, { method: 'POST', body: typed, version: record.version });
      notifications.show({ message: `${step.label}: done`, color: 'teal' });
      onClose();
      await client.invalidateQueries();
    } catch (failure) {
      if (!(failure instanceof Error)) throw failure;
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void move();
      }}
    >
      <Stack>
        {!step.allowed && (
          <Alert color="yellow" title="This step is not possible yet" className="notice">
            <List size="sm">
              {step.reasons.map((reason) => (
                <List.Item key={reason.message}>
                  {reason.message} {reason.fix ?? ''}
                </List.Item>
              ))}
            </List>
          </Alert>
        )}
        {error !== null && <ErrorAlert error={error} title="The record was not moved" />}
        {step.allowed && inputs.length === 0 && (
          <Text>The record moves to “{object.path?.states.find((state) => state.name === step.to)?.label ?? step.to}”.</Text>
        )}
        {inputs.map((field) => (
          <FieldInput
            key={field.name}
            field={{ ...field, required: step.required.includes(field.name) }}
            value={field.name in typed ? typed[field.name] : record[field.name]}
            error={errors.get(field.name)}
            onChange={(value) => {
              setTyped((before) => ({ ...before, [field.name]: value === '' ? null : value }));
            }}
          />
        ))}
        <Group>
          {(step.allowed || inputs.length > 0) && (
            <Button type="submit" loading={busy}>
              {step.label}
            </Button>
          )}
          <Button variant="default" onClick={onClose}>
            {step.allowed ? 'Cancel' : 'Close'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Asks for what a step needs and takes it, or says why it cannot be taken. */
export function StepDialog({
  object,
  record,
  step,
  onClose,
}: {
  readonly object: ObjectDescription;
  readonly record: RecordData;
  readonly step: TransitionState | null;
  readonly onClose: () => void;
}) {
  return (
    <Dialog opened={step !== null} onClose={onClose} title={step?.label ?? ''}>
      {step !== null && <StepForm key={step.name} object={object} record={record} step={step} onClose={onClose} />}
    </Dialog>
  );
}

/** The steps of one row, without leaving the page that lists it. */
export function StepMenu({ object, record }: { readonly object: ObjectDescription; readonly record: RecordData }) {
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState<RecordData | null>(null);
  const [step, setStep] = useState<TransitionState | null>(null);
  const steps = useSteps(object, record, open);
  const choose = async (next: TransitionState) => {
    // The list holds a few columns only: the dialog shows what the fields hold now.
    const names = object.fields.map((field) => field.name);
    const answer = await call<{ data: RecordData }>(`/records/${object.name}/${record.id}?fields=${['displayName', ...names].join(',')}`);
    setChosen(answer.data);
    setStep(next);
  };
  return (
    <>
      <Menu opened={open} onChange={setOpen} position="bottom-end" withinPortal>
        <Menu.Target>
          <Button
            size="compact-sm"
            variant="default"
            rightSection={<IconChevronDown size={14} />}
            aria-label={`Steps of ${record.displayName ?? object.label}`}
          >
            Steps
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {steps.isError && <Menu.Label>{steps.error.message}</Menu.Label>}
          {steps.isPending && <Menu.Label>Loading…</Menu.Label>}
          {steps.data?.length === 0 && <Menu.Label>No step leads on from here.</Menu.Label>}
          {(steps.data ?? []).map((entry) => (
            <Menu.Item key={entry.name} onClick={() => void choose(entry)}>
              {entry.label}
              {!entry.allowed && <span className="muted"> (not yet)</span>}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {chosen !== null && (
        <StepDialog
          object={object}
          record={chosen}
          step={step}
          onClose={() => {
            setStep(null);
          }}
        />
      )}
    </>
  );
}
