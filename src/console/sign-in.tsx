import { Alert, Button, Paper, PasswordInput, Stack, TextInput, Title } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { call } from './api.ts';

export function SignIn() {
  const client = useQueryClient();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const signIn = useMutation({
    mutationFn: () => call('/sign-in', { method: 'POST', body: { email, password } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['session'] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  return (
    <main className="center-page">
      <title>Sign in – Credenza</title>
      <Paper className="card" withBorder p="xl" radius="lg">
        <form onSubmit={submit} noValidate>
          <Stack>
            <div>
              <p className="brand">Credenza</p>
              <Title order={1} size="h2">
                Sign in
              </Title>
            </div>
            {signIn.isError && (
              <Alert color="red" role="alert" title="You are not signed in">
                {signIn.error.message}
              </Alert>
            )}
            <TextInput
              label="E-mail"
              type="email"
              autoComplete="username"
              required
              withAsterisk={false}
              value={email}
              onChange={(event) => {
                setEmail(event.currentTarget.value);
              }}
            />
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              required
              withAsterisk={false}
              value={password}
              onChange={(event) => {
                setPassword(event.currentTarget.value);
              }}
            />
            <Button type="submit" loading={signIn.isPending}>
              Sign in
            </Button>
          </Stack>
        </form>
      </Paper>
    </main>
  );
}
