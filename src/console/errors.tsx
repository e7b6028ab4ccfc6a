import { Alert, List } from '@mantine/core';
import { Problem } from './api.ts';

/** What went wrong, why, and what to do; complaints about fields are shown at the fields as well. */
export function ErrorAlert({ error, title }: { readonly error: Error; readonly title: string }) {
  const details = error instanceof Problem ? error.errors : [];
  return (
    <Alert color="red" title={title} role="alert">
      {error.message}
      {details.length > 0 && (
        <List size="sm" mt={4}>
          {details.map((detail) => (
            <List.Item key={`${detail.pointer} ${detail.detail}`}>
              {detail.detail} {detail.fix ?? ''}
            </List.Item>
          ))}
        </List>
      )}
    </Alert>
  );
}

/** Complaints by field name, from the JSON pointers of a problem. */
export function fieldErrors(error: Error | null): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (!(error instanceof Problem)) return found;
  for (const detail of error.errors) {
    const name = detail.pointer.split('/')[1] ?? '';
    if (!found.has(name)) found.set(name, [detail.detail, detail.fix].filter((text) => text !== undefined && text !== '').join(' '));
  }
  return found;
}
