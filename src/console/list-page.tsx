import { Button, Group, NativeSelect, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconFilter, IconPlus, IconX } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { Link, useParams, useSearchParams } from 'react-router';
import { call } from './api.ts';
import { ColumnPicker } from './column-picker.tsx';
import { ErrorAlert } from './errors.tsx';
import { FilterBuilder } from './filter-builder.tsx';
import { RecordTable } from './record-table.tsx';
import { useObject } from './session.tsx';
import type { ListAnswer, ObjectDescription } from './types.ts';

const PAGE = 50;

function columnsOf(object: ObjectDescription, wanted: string | null, view: ObjectDescription['views'][number] | undefined): readonly string[] {
  if (wanted !== null) return wanted.split(',').filter((name) => object.fields.some((field) => field.name === name));
  if (view !== undefined && view.columns.length > 0) return view.columns;
  return object.fields
    .filter((field) => !field.system)
    .slice(0, 6)
    .map((field) => field.name);
}

const both = (first: string | null, second: string | null): string | null =>
  first !== null && second !== null ? `(${first}) && (${second})` : (first ?? second);

function List({ object }: { readonly object: ObjectDescription }) {
  const [parameters, setParameters] = useSearchParams();
  const [builder, setBuilder] = useState(false);
  const [text, setText] = useState(parameters.get('search') ?? '');
  const chosen = parameters.get('view');
  const plain = object.views.find((entry) => entry.filter === null);
  const narrowed = parameters.get('filter') !== null || parameters.get('search') !== null;
  // Without a choice: the view of everything; where there is none, the first view, unless a filter or search came with the address.
  const view = chosen !== null ? object.views.find((entry) => entry.name === chosen) : (plain ?? (narrowed ? undefined : object.views[0]));
  const filter = both(view?.filter ?? null, parameters.get('filter'));
  const sort = parameters.get('sort') ?? view?.sort ?? '-updatedAt';
  const search = parameters.get('search');
  const columns = columnsOf(object, parameters.get('columns'), view ?? plain ?? object.views[0]);
  const references = columns.filter((name) => object.fields.some((field) => field.name === name && field.refersTo?.length === 1));

  const set = (changes: Readonly<Record<string, string | null>>) => {
    setParameters((before) => {
      const next = new URLSearchParams(before);
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === '') next.delete(name);
        else next.set(name, value);
      }
      return next;
    });
  };
  const query = new URLSearchParams({ limit: String(PAGE), count: 'capped', sort, fields: ['displayName', ...columns].join(',') });
  if (filter !== null) query.set('filter', filter);
  if (search !== null) query.set('search', search);
  if (references.length > 0) query.set('expand', references.join(','));
  const list = useInfiniteQuery({
    queryKey: ['list', object.name, query.toString()],
    queryFn: ({ pageParam }) =>
      call<ListAnswer>(`/records/${object.name}?${query.toString()}${pageParam === null ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.page.next,
  });
  const records = list.data?.pages.flatMap((page) => page.data) ?? [];
  const first = list.data?.pages[0];
  const count = first?.meta.count;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set({ search: text.trim() });
  };
  return (
    <>
      <title>{`${view?.label ?? object.plural} – Credenza`}</title>
      <div className="head">
        <h1>{object.plural}</h1>
        {object.may.create && (
          <Button component={Link} to={`/o/${object.name}/new`} leftSection={<IconPlus size={16} />}>
            New {object.label.toLowerCase()}
          </Button>
        )}
      </div>
      <div className="toolbar">
        <NativeSelect
          label="View"
          value={view?.name ?? 'all'}
          onChange={(event) => {
            set({ view: event.currentTarget.value, filter: null, sort: null, columns: null });
          }}
          data={[
            ...(plain === undefined ? [{ value: 'all', label: `All ${object.plural.toLowerCase()}` }] : []),
            ...object.views.map((entry) => ({ value: entry.name, label: entry.label })),
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
              search === null ? null : (
                <Button
                  variant="subtle"
                  size="compact-xs"
                  aria-label="Clear the search"
                  onClick={() => {
                    setText('');
                    set({ search: null });
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
          columns={columns}
          onChange={(names) => {
            set({ columns: names.join(',') });
          }}
        />
      </div>
      {builder && (
        <FilterBuilder
          key={parameters.get('filter') ?? ''}
          object={object}
          value={parameters.get('filter') ?? ''}
          onApply={(value) => {
            set({ filter: value });
          }}
        />
      )}
      {parameters.get('filter') !== null && !builder && (
        <Group mb="sm" gap="xs">
          <span className="muted">Filter:</span>
          <code className="filter-text">{parameters.get('filter')}</code>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => {
              set({ filter: null });
            }}
          >
            Clear
          </Button>
        </Group>
      )}
      {list.isError && <ErrorAlert error={list.error} title="The list cannot be shown" />}
      {!list.isError && (
        <p className="muted" role="status">
          {list.isPending
            ? 'Loading…'
            : count === undefined
              ? `${String(records.length)} shown`
              : `${String(count)}${first?.meta.countIsCapped === true ? ' or more' : ''} ${count === 1 ? object.label.toLowerCase() : object.plural.toLowerCase()}`}
        </p>
      )}
      {!list.isPending && !list.isError && (
        <RecordTable
          object={object}
          columns={columns}
          records={records}
          sort={sort}
          onSort={(value) => {
            set({ sort: value });
          }}
          empty={
            filter !== null || search !== null
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
  if (object.isPending) return <p className="muted">Loading…</p>;
  if (object.isError) return <ErrorAlert error={object.error} title="This page is not there" />;
  return <List key={name} object={object.data} />;
}
