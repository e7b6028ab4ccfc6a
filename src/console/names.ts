import { useQueries } from '@tanstack/react-query';
import { call } from './api.ts';
import type { ListAnswer } from './types.ts';

/** Display names of records by id; those that may not be seen are missing. */
export function useNames(targets: readonly { readonly object: string; readonly id: unknown }[]): ReadonlyMap<string, string> {
  const byObject = new Map<string, Set<string>>();
  for (const { object, id } of targets) {
    if (typeof id === 'string') byObject.set(object, (byObject.get(object) ?? new Set()).add(id));
  }
  const answers = useQueries({
    queries: [...byObject].map(([object, ids]) => {
      const list = [...ids].sort().slice(0, 200);
      const filter = `id in [${list.map((id) => `'${id}'`).join(', ')}]`;
      return {
        queryKey: ['names', object, list.join(',')],
        queryFn: () => call<ListAnswer>(`/records/${object}/query`, { method: 'POST', body: { filter, fields: ['displayName'], limit: 200 } }),
        staleTime: 60_000,
      };
    }),
  });
  return new Map(answers.flatMap((answer) => (answer.data?.data ?? []).map((record) => [record.id, record.displayName ?? record.id] as const)));
}
