import { Alert, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { call, Problem } from './api.ts';
import { Dialog } from './dialog.tsx';
import { useDraft } from './drafts.ts';
import { ErrorAlert, fieldErrors } from './errors.tsx';
import { FieldInput } from './field-input.tsx';
import { plainText } from './labels.ts';
import { useNames } from './names.ts';
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

function expandedName(record: RecordData | null, field: FieldDescription): string | undefined {
  const target = record?.expanded?.[field.name];
  return target !== null && target !== undefined && 'displayName' in target && typeof target.displayName === 'string' ? target.displayName : undefined;
}

/** The fields that may be typed, in the groups of the layout; what no section names comes last. */
function groupsOf(object: ObjectDescription): readonly { readonly title: string; readonly fields: readonly FieldDescription[] }[] {
  const open = new Map(
    object.fields
      .filter((field) => !field.readOnly && !field.system && field.kind !== 'formula' && field.kind !== 'file' && field.kind !== 'polymorphic')
      .map((field) => [field.name, field]),
  );
  const take = (names: readonly string[]): readonly FieldDescription[] =>
    names.flatMap((name) => {
      const field = open.get(name);
      open.delete(name);
      return field === undefined ? [] : [field];
    });
  const groups = object.layout.sections.map((section) => ({ title: section.title, fields: take(section.fields) }));
  const rest = take([...open.keys()]);
  return [...groups, { title: groups.some((group) => group.fields.length > 0) ? 'More' : '', fields: rest }].filter((group) => group.fields.length > 0);
}

/** The key under which a form keeps what was typed. */
export const draftKey = (object: string, id: string | null): string => `${object}/${id ?? 'new'}`;

/** Edits a record, or makes one. Nothing typed is lost when somebody else saved first: the clash is shown, field by field. */
export function RecordForm({ object, record, onSaved, onCancel }: FormProps) {
  const { typed, wasKept, type, clear } = useDraft(draftKey(object.name, record?.id ?? null));
  const [error, setError] = useState<Error | null>(null);
  const [stale, setStale] = useState<Stale | null>(null);
  const [busy, setBusy] = useState(false);
  const groups = groupsOf(object);
  const errors = fieldErrors(error);

  async function save(version: number | undefined) {
    setBusy(true);
    setError(null);
    try {
      const answer =
        record === null
          ? await call<{ data: RecordData }>(`/records/${object.name}`, { method: 'POST', body: typed })
          : await call<{ data: RecordData }>(`/records/${object.name}/${record.id}`, { method: 'PATCH', body: typed, version: version ?? record.version });
      clear();
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

  const fieldOf = (name: string) => object.fields.find((field) => field.name === name);
  const names = useNames(
    clashes.flatMap((name) => {
      const target = fieldOf(name)?.refersTo;
      return target?.length === 1 ? [stale?.current[name], typed[name]].map((id) => ({ object: target[0] ?? '', id })) : [];
    }),
  );
  const shown = (name: string, value: unknown) => names.get(String(value)) ?? plainText(fieldOf(name), value);

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {wasKept && (
          <Alert color="blue" title="What you typed before is still here" role="status" className="notice">
            It is not saved yet. Save it, or press Cancel to give it up.
          </Alert>
        )}
        {error !== null && <ErrorAlert error={error} title="Nothing was saved" />}
        {groups.map((group) => (
          <section key={group.title} className="form-section">
            {group.title !== '' && <h2>{group.title}</h2>}
            <div className="form-grid">
              {group.fields.map((field) => (
                <FieldInput
                  key={field.name}
                  field={field}
                  value={field.name in typed ? typed[field.name] : record?.[field.name]}
                  shown={expandedName(record, field)}
                  error={errors.get(field.name)}
                  onChange={(value) => {
                    type(field.name, value === '' ? null : value);
                  }}
                />
              ))}
            </div>
          </section>
        ))}
        <Group className="sticky-actions">
          <Button type="submit" loading={busy}>
            Save
          </Button>
          <Button
            variant="default"
            onClick={() => {
              clear();
              onCancel();
            }}
          >
            Cancel
          </Button>
        </Group>
      </Stack>
      <Dialog
        opened={stale !== null}
        onClose={() => {
          setStale(null);
        }}
        title="Somebody saved this record before you"
        closeLabel="Go on editing"
      >
        {stale !== null && (
          <Stack>
            <Text>
              {clashes.length === 0
                ? 'They changed other fields than you did, so both sets of changes fit together.'
                : 'You both changed these fields. Choose whose values stay; nothing you typed is lost until then.'}
            </Text>
            {clashes.length > 0 && (
              <div className="grid-scroll" tabIndex={0} role="region" aria-label="Values that differ">
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
                        <Table.Th scope="row">{fieldOf(name)?.label ?? name}</Table.Th>
                        <Table.Td>{shown(name, stale.current[name])}</Table.Td>
                        <Table.Td>{shown(name, typed[name])}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </div>
            )}
            <Group>
              <Button
                onClick={() => {
                  const { version } = stale.current;
                  setStale(null);
                  void save(version);
                }}
              >
                {clashes.length === 0 ? 'Save mine as well' : 'Save mine over theirs'}
              </Button>
              <Button
                variant="default"
                onClick={() => {
                  const { current } = stale;
                  setStale(null);
                  clear();
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
      </Dialog>
    </form>
  );
}
