import { useEffect, useState } from 'react';

type Typed = Readonly<Record<string, unknown>>;

/** What was typed into forms that were left without saving; kept while this page of the browser lives. */
const kept = new Map<string, Typed>();

/** Values typed into one form. They outlive the form until it is saved or given up, and leaving the site asks first. */
export function useDraft(key: string): {
  readonly typed: Typed;
  readonly wasKept: boolean;
  readonly type: (name: string, value: unknown) => void;
  readonly clear: () => void;
} {
  const [typed, setTyped] = useState<Typed>(() => kept.get(key) ?? {});
  const [wasKept, setWasKept] = useState(() => kept.has(key));
  const isDirty = Object.keys(typed).length > 0;
  useEffect(() => {
    if (!isDirty) return;
    const warn = (event: BeforeUnloadEvent) => {
      event.preventDefault();
    };
    window.addEventListener('beforeunload', warn);
    return () => {
      window.removeEventListener('beforeunload', warn);
    };
  }, [isDirty]);
  return {
    typed,
    wasKept,
    type: (name, value) => {
      const next = { ...(kept.get(key) ?? {}), [name]: value };
      kept.set(key, next);
      setTyped(next);
    },
    clear: () => {
      kept.delete(key);
      setTyped({});
      setWasKept(false);
    },
  };
}

/** Whether a form was left with something typed. */
export function hasDraft(key: string): boolean {
  return kept.has(key);
}

/** Forgets everything typed; for signing out. */
export function forgetDrafts(): void {
  kept.clear();
}
