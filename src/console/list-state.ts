import { useInfiniteQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { call } from './api.ts';
import type { ListAnswer, ObjectDescription } from './types.ts';

export const PAGE = 50;

type View = ObjectDescription['views'][number];

/** What a list shows; all of it stands in the address, so that it can be sent to a colleague. */
export interface ListState {
  /** The view of everything, where there is one. */
  readonly plain: View | undefined;
  readonly view: View | undefined;
  /** The caller's own filter, beside the view's. */
  readonly own: string | null;
  /** View and own filter together. */
  readonly filter: string | null;
  readonly search: string | null;
  readonly sort: string;
  readonly columns: readonly string[];
  set(changes: Readonly<Record<string, string | null>>): void;
}

function columnsOf(object: ObjectDescription, wanted: string | null, view: View | undefined): readonly string[] {
  if (wanted !== null) return wanted.split(',').filter((name) => object.fields.some((field) => field.name === name));
  if (view !== undefined && view.columns.length > 0) return view.columns;
  return object.fields
    .filter((field) => !field.system)
    .slice(0, 6)
    .map((field) => field.name);
}

const both = (first: string | null, second: string | null): string | null =>
  first !== null && second !== null ? `(${first}) && (${second})` : (first ?? second);

/** Without a choice: the view of everything; where there is none, the first view, unless a filter or search came with the address. */
function viewOf(object: ObjectDescription, saved: readonly View[], plain: View | undefined, parameters: URLSearchParams): View | undefined {
  const chosen = parameters.get('view');
  if (chosen !== null) return [...object.views, ...saved].find((entry) => entry.name === chosen);
  const narrowed = parameters.has('filter') || parameters.has('search');
  return plain ?? (narrowed ? undefined : object.views[0]);
}

export function useListState(object: ObjectDescription, saved: readonly View[]): ListState {
  const [parameters, setParameters] = useSearchParams();
  const plain = object.views.find((entry) => entry.filter === null);
  const view = viewOf(object, saved, plain, parameters);
  const own = parameters.get('filter');
  return {
    plain,
    view,
    own,
    filter: both(view?.filter ?? null, own),
    search: parameters.get('search'),
    sort: parameters.get('sort') ?? view?.sort ?? '-updatedAt',
    columns: columnsOf(object, parameters.get('columns'), view ?? plain ?? object.views[0]),
    set: (changes) => {
      setParameters((before) => {
        const next = new URLSearchParams(before);
        for (const [name, value] of Object.entries(changes)) {
          if (value === null || value === '') next.delete(name);
          else next.set(name, value);
        }
        return next;
      });
    },
  };
}

/** The records of a list, page after page. */
export function useListRecords(object: ObjectDescription, state: ListState) {
  const { columns, filter, search, sort } = state;
  const references = columns.filter((name) => object.fields.some((field) => field.name === name && field.refersTo?.length === 1));
  const query = new URLSearchParams({ limit: String(PAGE), count: 'capped', sort, fields: ['displayName', ...columns].join(',') });
  if (filter !== null) query.set('filter', filter);
  if (search !== null) query.set('search', search);
  if (references.length > 0) query.set('expand', references.join(','));
  return useInfiniteQuery({
    queryKey: ['list', object.name, query.toString()],
    queryFn: ({ pageParam }) =>
      call<ListAnswer>(`/records/${object.name}?${query.toString()}${pageParam === null ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.page.next,
  });
}
