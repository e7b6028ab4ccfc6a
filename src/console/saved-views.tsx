import { Button, Checkbox, Group, Stack, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { IconBookmark } from '@tabler/icons-react';
import { useState, type FormEvent } from 'react';
import { call } from './api.ts';
import { Dialog } from './dialog.tsx';
import { ErrorAlert } from './errors.tsx';
import type { ListState } from './list-state.ts';
import type { ObjectDescription } from './types.ts';

type View = ObjectDescription['views'][number];

/** A view that somebody saved; its name is its id. */
export interface SavedView extends View {
  readonly id: string;
  readonly version: number;
  readonly shared: boolean;
  readonly mine: boolean;
}

/** The views of an object that the reader saved or others share. */
export function useSavedViews(object: string) {
  return useQuery({
    queryKey: ['views', object],
    queryFn: () => call<{ data: readonly (SavedView | (View & { readonly id: null }))[] }>(`/views?object=${object}`),
    select: ({ data }) => data.filter((view): view is SavedView => view.id !== null),
    staleTime: 5_000,
  });
}

/** Keeps what the list shows now as a view, or changes and deletes the one that is open. */
export function SaveView({ object, state, open }: { readonly object: ObjectDescription; readonly state: ListState; readonly open: SavedView | undefined }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconBookmark size={16} />}
        onClick={() => {
          setOpen(true);
        }}
      >
        Save view
      </Button>
      <Dialog
        opened={isOpen}
        title={open?.mine === true ? 'This view' : 'Save as a view'}
        onClose={() => {
          setOpen(false);
        }}
      >
        <ViewForm
          object={object}
          state={state}
          mine={open?.mine === true ? open : null}
          onDone={() => {
            setOpen(false);
          }}
        />
      </Dialog>
    </>
  );
}

interface FormProps {
  readonly object: ObjectDescription;
  readonly state: ListState;
  readonly mine: SavedView | null;
  readonly onDone: () => void;
}

function ViewForm({ object, state, mine, onDone }: FormProps) {
  const client = useQueryClient();
  const [label, setLabel] = useState(mine?.label ?? '');
  const [shared, setShared] = useState(mine?.shared ?? false);
  const [error, setError] = useState<Error | null>(null);

  /** Does one thing to views, then shows the list in the view that it ends with. */
  const act = async (work: () => Promise<string>): Promise<void> => {
    setError(null);
    try {
      const view = await work();
      await client.invalidateQueries({ queryKey: ['views', object.name] });
      state.set({ view, filter: null, sort: null, columns: null });
      onDone();
    } catch (failure) {
      if (!(failure instanceof Error)) throw failure;
      setError(failure);
    }
  };
  const values = { label: label.trim(), shared, filter: state.filter, columns: state.columns, sort: state.sort };
  const create = async (): Promise<string> => {
    const { data } = await call<{ data: SavedView }>('/views', { method: 'POST', body: { object: object.name, ...values } });
    return data.id;
  };
  const change = async ({ id, version }: SavedView): Promise<string> => {
    await call(`/views/${id}`, { method: 'PATCH', version, body: values });
    return id;
  };
  const remove = async ({ id, version }: SavedView): Promise<string> => {
    await call(`/views/${id}`, { method: 'DELETE', version });
    return '';
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void act(() => (mine === null ? create() : change(mine)));
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <p className="muted">Filter, order and columns of the list are kept as they are now. A search is not.</p>
        <TextInput
          label="Name of the view"
          required
          maxLength={100}
          value={label}
          onChange={(event) => {
            setLabel(event.currentTarget.value);
          }}
          data-autofocus
        />
        <Checkbox
          label={`Also for others who may see ${object.plural.toLowerCase()}`}
          checked={shared}
          onChange={(event) => {
            setShared(event.currentTarget.checked);
          }}
        />
        {error !== null && <ErrorAlert error={error} title="The view was not saved" />}
        <Group>
          <Button type="submit">{mine === null ? 'Save' : 'Save changes'}</Button>
          {mine !== null && (
            <>
              <Button variant="default" onClick={() => void act(create)}>
                Save as another view
              </Button>
              <Button variant="subtle" color="red" onClick={() => void act(() => remove(mine))}>
                Delete
              </Button>
            </>
          )}
        </Group>
      </Stack>
    </form>
  );
}
