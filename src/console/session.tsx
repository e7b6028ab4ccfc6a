import { useQuery } from '@tanstack/react-query';
import { createContext, use, type ReactNode } from 'react';
import { call, Problem, setCsrf } from './api.ts';
import type { ObjectDescription, Session } from './types.ts';

const SessionContext = createContext<Session | null>(null);

export function SessionProvider({ session, children }: { readonly session: Session; readonly children: ReactNode }) {
  return <SessionContext value={session}>{children}</SessionContext>;
}

/** The signed-in user; only below SessionProvider. */
export function useSession(): Session {
  const session = use(SessionContext);
  if (session === null) throw new Error('No session here.');
  return session;
}

/** Asks who is signed in; null when nobody is. */
export function useSessionQuery() {
  return useQuery({
    queryKey: ['session'],
    queryFn: async () => {
      try {
        const { data } = await call<{ data: Session }>('/session');
        setCsrf(data.csrf);
        return data;
      } catch (error) {
        if (error instanceof Problem && error.status === 401) return null;
        throw error;
      }
    },
  });
}

export function useObjects() {
  return useQuery({
    queryKey: ['objects'],
    queryFn: () => call<{ data: readonly Pick<ObjectDescription, 'name' | 'label' | 'plural' | 'icon'>[] }>('/objects'),
    staleTime: 30_000,
  });
}

export function useObject(name: string) {
  return useQuery({
    queryKey: ['object', name],
    queryFn: () => call<{ data: ObjectDescription }>(`/objects/${name}`),
    staleTime: 5_000,
    select: (answer) => answer.data,
  });
}
