import { Anchor, Button, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
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

function Search({ text }: { readonly text: string }) {
  const [, setParameters] = useSearchParams();
  const [typed, setTyped] = useState(text);
  const objects = useObjects();
  const hits = useQuery({
    queryKey: ['search', text],
    queryFn: () => call<{ data: readonly Hit[] }>(`/search?q=${encodeURIComponent(text)}`),
    enabled: text !== '',
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setParameters({ q: typed.trim() });
  };
  const found = hits.data?.data ?? [];
  return (
    <>
      <title>{text === '' ? 'Search – Credenza' : `Search: ${text} – Credenza`}</title>
      <div className="head">
        <h1>{text === '' ? 'Search' : `Search: ${text}`}</h1>
      </div>
      <form className="toolbar" onSubmit={submit} aria-label="Search again">
        <TextInput
          label="Name, NPI or number"
          className="grow"
          value={typed}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
          }}
        />
        <Button type="submit">Search</Button>
      </form>
      {hits.isError && <ErrorAlert error={hits.error} title="The search cannot be done" />}
      {text !== '' && !hits.isError && (
        <p className="muted" role="status">
          {hits.data === undefined
            ? 'Searching…'
            : found.length === 0
              ? 'Nothing was found. Try fewer letters, or an NPI, a name or a number.'
              : `${String(found.length)} found`}
        </p>
      )}
      <ul className="history">
        {found.map((hit) => (
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

/** Records of every kind that hold a text. */
export function SearchPage() {
  const [parameters] = useSearchParams();
  const text = parameters.get('q') ?? '';
  return <Search key={text} text={text} />;
}
