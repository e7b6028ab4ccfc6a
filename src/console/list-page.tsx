import { Button, Group, NativeSelect, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconFilter, IconPlus, IconX } from '@tabler/icons-react';
import { useState, type FormEvent } from 'react';
import { Link, useParams } from 'react-router';
import { ColumnPicker } from './column-picker.tsx';
import { ErrorAlert } from './errors.tsx';
import { ExportMenu } from './export-menu.tsx';
import { FilterBuilder } from './filter-builder.tsx';
import { PAGE, useListRecords, useListState, type ListState } from './list-state.ts';
import { RecordTable } from './record-table.tsx';
import { SaveView, useSavedViews, type SavedView } from './saved-views.tsx';
import { useObject } from './session.tsx';
import type { ListAnswer, ObjectDescription } from './types.ts';

interface ListProps {
  readonly object: ObjectDescription;
  readonly state: ListState;
  readonly saved: readonly SavedView[];
}

/** View, search, filter and columns of a list. */
function Toolbar({ object, state, saved }: ListProps) {
  const [builder, setBuilder] = useState(false);
  const [text, setText] = useState(state.search ?? '');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    state.set({ search: text.trim() });
  };
  return (
    <>
      <div className="toolbar">
        <NativeSelect
          label="View"
          value={state.view?.name ?? 'all'}
          onChange={(event) => {
            state.set({ view: event.currentTarget.value, filter: null, sort: null, columns: null });
          }}
          data={[
            ...(state.plain === undefined ? [{ value: 'all', label: `All ${object.plural.toLowerCase()}` }] : []),
            ...object.views.map((entry) => ({ value: entry.name, label: entry.label })),
            ...(saved.length === 0 ? [] : [{ group: 'Saved', items: saved.map(({ id, label }) => ({ value: id, label })) }]),
          ]}
        />
        <form onSubmit={submit}>
          <TextInput
            label="Search in this list"
            value={text}
            onChange={(event) => {
              setText(event.currentTarget.value);
            }}
            rightSection={
              state.search === null ? null : (
                <Button
                  variant="subtle"
                  size="compact-xs"
                  aria-label="Clear the search"
                  onClick={() => {
                    setText('');
                    state.set({ search: null });
                  }}
                >
                  <IconX size={14} />
                </Button>
              )
            }
          />
        </form>
        <Button
          variant="default"
          leftSection={<IconFilter size={16} />}
          aria-expanded={builder}
          onClick={() => {
            setBuilder(!builder);
          }}
        >
          Filter
        </Button>
        <ColumnPicker
          object={object}
          columns={state.columns}
          onChange={(names) => {
            state.set({ columns: names.join(',') });
          }}
        />
        <SaveView object={object} state={state} open={saved.find(({ id }) => id === state.view?.name)} />
        {object.may.export && <ExportMenu object={object} state={state} />}
      </div>
      {builder && (
        <FilterBuilder
          key={state.own ?? ''}
          object={object}
          value={state.own ?? ''}
          onApply={(value) => {
            state.set({ filter: value });
          }}
        />
      )}
      {state.own !== null && !builder && (
        <Group mb="sm" gap="xs">
          <span className="muted">Filter:</span>
          <code className="filter-text">{state.own}</code>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => {
              state.set({ filter: null });
            }}
          >
            Clear
          </Button>
        </Group>
      )}
    </>
  );
}

/** How many records the list has, in words. */
function Count({ object, pages }: { readonly object: ObjectDescription; readonly pages: readonly ListAnswer[] | undefined }) {
  const { count, countIsCapped } = pages?.[0]?.meta ?? {};
  const shown = pages?.flatMap((page) => page.data).length ?? 0;
  const words =
    count === undefined
      ? `${String(shown)} shown`
      : `${String(count)}${countIsCapped === true ? ' or more' : ''} ${count === 1 ? object.label.toLowerCase() : object.plural.toLowerCase()}`;
  return (
    <p className="muted" role="status">
      {pages === undefined ? 'Loading…' : words}
    </p>
  );
}

function List({ object, saved }: { readonly object: ObjectDescription; readonly saved: readonly SavedView[] }) {
  const state = useListState(object, saved);
  const list = useListRecords(object, state);
  return (
    <>
      <title>{`${state.view?.label ?? object.plural} – Credenza`}</title>
      <div className="head">
        <h1>{object.plural}</h1>
        {object.may.create && (
          <Button component={Link} to={`/o/${object.name}/new`} leftSection={<IconPlus size={16} />}>
            New {object.label.toLowerCase()}
          </Button>
        )}
      </div>
      <Toolbar object={object} state={state} saved={saved} />
      {list.isError && <ErrorAlert error={list.error} title="The list cannot be shown" />}
      {!list.isError && <Count object={object} pages={list.data?.pages} />}
      {!list.isPending && !list.isError && (
        <RecordTable
          object={object}
          columns={state.columns}
          records={list.data.pages.flatMap((page) => page.data)}
          sort={state.sort}
          onSort={(value) => {
            state.set({ sort: value });
          }}
          empty={
            state.filter !== null || state.search !== null
              ? 'Nothing matches this view, filter or search. Clear them to see everything.'
              : `There are no ${object.plural.toLowerCase()} yet.`
          }
          icons={{ up: <IconArrowUp size={14} />, down: <IconArrowDown size={14} /> }}
        />
      )}
      {list.hasNextPage && (
        <Group mt="md">
          <Button variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show {PAGE} more
          </Button>
        </Group>
      )}
    </>
  );
}

export function ListPage() {
  const { object: name = '' } = useParams();
  const object = useObject(name);
  const saved = useSavedViews(name);
  if (object.isError) return <ErrorAlert error={object.error} title="This page is not there" />;
  if (saved.isError) return <ErrorAlert error={saved.error} title="The views cannot be shown" />;
  if (object.isPending || saved.isPending) return <p className="muted">Loading…</p>;
  return <List key={name} object={object.data} saved={saved.data} />;
}
