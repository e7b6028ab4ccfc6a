import { Alert, Button, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { useNavigate, useParams } from 'react-router';
import { call } from './api.ts';

export function InvitationPage() {
  const { secret = '' } = useParams();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [password, setPassword] = useState('');
  const accept = useMutation({
    mutationFn: () => call('/invitations/accept', { method: 'POST', body: { secret, password } }),
    onSuccess: async () => {
      await client.invalidateQueries();
      await navigate('/');
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    accept.mutate();
  };
  return (
    <main className="center-page">
      <title>Choose a password – Credenza</title>
      <Paper className="card" withBorder p="xl" radius="lg">
        <form onSubmit={submit} noValidate>
          <Stack>
            <div>
              <p className="brand">Credenza</p>
              <Title order={1} size="h2">
                Choose a password
              </Title>
              <Text className="muted">You were invited to Credenza. This link works once.</Text>
            </div>
            {accept.isError && (
              <Alert color="red" role="alert" title="The password is not set">
                {accept.error.message}
              </Alert>
            )}
            <PasswordInput
              label="New password"
              description="At least 12 characters."
              autoComplete="new-password"
              value={password}
              onChange={(event) => {
                setPassword(event.currentTarget.value);
              }}
            />
            <Button type="submit" loading={accept.isPending}>
              Set password and sign in
            </Button>
          </Stack>
        </form>
      </Paper>
    </main>
  );
}
