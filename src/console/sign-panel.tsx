import { Anchor, Button, Checkbox, Stack, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { call } from './api.ts';
import { ErrorAlert, fieldErrors } from './errors.tsx';
import { useSession } from './session.tsx';
import type { ObjectDescription, RecordData } from './types.ts';

interface Signing {
  readonly consent: string;
  readonly fileId: string | null;
  readonly hash: string | null;
  readonly version: string | null;
  readonly canSign: boolean;
}

/** Signs for the plan: typed name and consent over exactly the document that was shown. */
export function SignPanel({
  form,
  title,
  object,
  record,
}: {
  readonly form: string;
  readonly title: string;
  readonly object: ObjectDescription;
  readonly record: RecordData;
}) {
  const session = useSession();
  const client = useQueryClient();
  const [name, setName] = useState(session.user.name);
  const [jobTitle, setJobTitle] = useState('');
  const [consent, setConsent] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const signing = useQuery({
    queryKey: ['signing', form, record.id, record.version],
    queryFn: () => call<{ data: Signing }>(`/forms/${form}/signing/${record.id}`),
  });
  const facts = signing.data?.data;
  if (facts === undefined || facts.fileId === null) return null;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    try {
      await call(`/forms/${form}/signing/${record.id}`, { method: 'POST', body: { name, title: jobTitle, consent, seenHash: facts.hash } });
      await client.invalidateQueries();
    } catch (failure) {
      if (!(failure instanceof Error)) throw failure;
      setError(failure);
    }
  };
  const errors = fieldErrors(error);
  return (
    <section className="panel" aria-label={title}>
      <h2>{title}</h2>
      <p>
        <Anchor href={`/api/v1/files/${facts.fileId}`} target="_blank" rel="noopener">
          Open the document (version {facts.version})
        </Anchor>
        <br />
        <span className="muted hash">SHA-256 {facts.hash}</span>
      </p>
      {facts.canSign && object.may.update && (
        <form onSubmit={(event) => void submit(event)} noValidate>
          <Stack>
            {error !== null && <ErrorAlert error={error} title="The document is not signed" />}
            <TextInput
              label="Your full name"
              value={name}
              error={errors.get('name')}
              onChange={(event) => {
                setName(event.currentTarget.value);
              }}
            />
            <TextInput
              label="Your title"
              value={jobTitle}
              onChange={(event) => {
                setJobTitle(event.currentTarget.value);
              }}
            />
            <Checkbox
              label={facts.consent}
              checked={consent}
              error={errors.get('consent')}
              onChange={(event) => {
                setConsent(event.currentTarget.checked);
              }}
            />
            <Button type="submit">Sign for the plan</Button>
          </Stack>
        </form>
      )}
    </section>
  );
}
