import { Button, Group, Modal, Stack, Table, Text } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { call, Problem } from './api.ts';
import { ErrorAlert, fieldErrors } from './errors.tsx';
import { FieldInput } from './field-input.tsx';
import type { FieldDescription, ObjectDescription, RecordData } from './types.ts';

interface FormProps {
  readonly object: ObjectDescription;
  readonly record: RecordData | null;
  readonly onSaved: (record: RecordData) => void;
  readonly onCancel: () => void;
}

interface Stale {
  readonly current: RecordData;
  readonly clashing: readonly string[];
}

function staleOf(error: Problem): Stale | null {
  const current = error.body['current'];
  if (error.code !== 'conflict_version' || typeof current !== 'object' || current === null) return null;
  const clashing = error.body['clashing'];
  return { current: current as RecordData, clashing: Array.isArray(clashing) ? clashing.map(String) : [] };
}

const shown = (value: unknown): string => (value === null || value === undefined || value === '' ? '(empty)' : String(value));

function expandedName(record: RecordData | null, field: FieldDescription): string | undefined {
  const target = record?.expanded?.[field.name];
  return target !== null && target !== undefined && 'displayName' in target && typeof target.displayName === 'string' ? target.displayName : undefined;
}

/** Edits a record, or makes one. Nothing typed is lost when somebody else saved first: the clash is shown, field by field. */
export function RecordForm({ object, record, onSaved, onCancel }: FormProps) {
  const [typed, setTyped] = useState<Readonly<Record<string, unknown>>>({});
  const [error, setError] = useState<Error | null>(null);
  const [stale, setStale] = useState<Stale | null>(null);
  const [busy, setBusy] = useState(false);
  const fields = object.fields.filter(
    (field) => !field.readOnly && !field.system && field.kind !== 'formula' && field.kind !== 'file' && field.kind !== 'polymorphic',
  );
  const errors = fieldErrors(error);

  async function save(version: number | undefined) {
    setBusy(true);
    setError(null);
    try {
      const answer =
        record === null
          ? await call<{ data: RecordData }>(`/records/${object.name}`, { method: 'POST', body: typed })
          : await call<{ data: RecordData }>(`/records/${object.name}/${record.id}`, { method: 'PATCH', body: typed, version: version ?? record.version });
      onSaved(answer.data);
    } catch (failure) {
      if (!(failure instanceof Error)) throw failure;
      const conflict = failure instanceof Problem ? staleOf(failure) : null;
      if (conflict === null) setError(failure);
      else setStale(conflict);
    } finally {
      setBusy(false);
    }
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void save(undefined);
  };
  const clashes =
    stale === null
      ? []
      : Object.keys(typed).filter((name) => stale.clashing.includes(name) || JSON.stringify(stale.current[name]) !== JSON.stringify(record?.[name]));

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {error !== null && <ErrorAlert error={error} title="Nothing was saved" />}
        <div className="form-grid">
          {fields.map((field) => (
            <FieldInput
              key={field.name}
              field={field}
              value={field.name in typed ? typed[field.name] : record?.[field.name]}
              shown={expandedName(record, field)}
              error={errors.get(field.name)}
              onChange={(value) => {
                setTyped((before) => ({ ...before, [field.name]: value === '' ? null : value }));
              }}
            />
          ))}
        </div>
        <Group className="sticky-actions">
          <Button type="submit" loading={busy}>
            Save
          </Button>
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
        </Group>
      </Stack>
      <Modal
        opened={stale !== null}
        onClose={() => {
          setStale(null);
        }}
        title="Somebody saved this record before you"
        size="lg"
      >
        {stale !== null && (
          <Stack>
            <Text>
              {clashes.length === 0
                ? 'They changed other fields than you did, so both sets of changes fit together.'
                : 'You both changed these fields. Choose whose values stay; nothing you typed is lost until then.'}
            </Text>
            {clashes.length > 0 && (
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Field</Table.Th>
                    <Table.Th>Theirs</Table.Th>
                    <Table.Th>Yours</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {clashes.map((name) => (
                    <Table.Tr key={name}>
                      <Table.Td>{object.fields.find((field) => field.name === name)?.label ?? name}</Table.Td>
                      <Table.Td>{shown(stale.current[name])}</Table.Td>
                      <Table.Td>{shown(typed[name])}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            )}
            <Group>
              <Button
                onClick={() => {
                  const { version } = stale.current;
                  setStale(null);
                  void save(version);
                }}
              >
                Save mine over theirs
              </Button>
              <Button
                variant="default"
                onClick={() => {
                  const { current } = stale;
                  setStale(null);
                  onSaved(current);
                }}
              >
                Keep theirs
              </Button>
              <Button
                variant="subtle"
                onClick={() => {
                  setStale(null);
                }}
              >
                Go on editing
              </Button>
            </Group>
          </Stack>
        )}
      </Modal>
    </form>
  );
}
