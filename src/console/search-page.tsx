import { Anchor } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useSearchParams } from 'react-router';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import { useObjects } from './session.tsx';

interface Hit {
  readonly object: string;
  readonly id: string;
  readonly name: string;
  readonly matched: string;
}

export function SearchPage() {
  const [parameters] = useSearchParams();
  const text = parameters.get('q') ?? '';
  const objects = useObjects();
  const hits = useQuery({
    queryKey: ['search', text],
    queryFn: () => call<{ data: readonly Hit[] }>(`/search?q=${encodeURIComponent(text)}`),
    enabled: text !== '',
  });
  return (
    <>
      <title>{`Search: ${text} – Credenza`}</title>
      <div className="head">
        <h1>Search: {text}</h1>
      </div>
      {hits.isError && <ErrorAlert error={hits.error} title="The search cannot be done" />}
      {hits.data?.data.length === 0 && <p className="muted">Nothing was found. Try fewer letters, or an NPI, a name or a number.</p>}
      <ul className="history">
        {(hits.data?.data ?? []).map((hit) => (
          <li key={hit.id}>
            <Anchor component={Link} to={`/o/${hit.object}/${hit.id}`}>
              {hit.name}
            </Anchor>{' '}
            <span className="muted">
              {objects.data?.data.find((object) => object.name === hit.object)?.label ?? hit.object} · {hit.matched}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
