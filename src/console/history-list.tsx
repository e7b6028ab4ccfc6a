import { useQuery } from '@tanstack/react-query';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import type { HistoryRow, ObjectDescription } from './types.ts';
import { label } from './value.tsx';

const moment = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeStyle: 'short' });

function shown(object: ObjectDescription, name: string, value: unknown): string {
  if (value === null || value === undefined) return '(empty)';
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  return typeof value === 'object'
    ? JSON.stringify(value)
    : label(
        object.fields.find((field) => field.name === name),
        value,
      );
}

/** Who changed what, when and why, newest first. */
export function HistoryList({ object, id, version }: { readonly object: ObjectDescription; readonly id: string; readonly version: number }) {
  const history = useQuery({
    queryKey: ['history', object.name, id, version],
    queryFn: () => call<{ data: readonly HistoryRow[] }>(`/records/${object.name}/${id}/history`),
  });
  if (history.isError) return <ErrorAlert error={history.error} title="The history cannot be shown" />;
  return (
    <ol className="history" reversed>
      {(history.data?.data ?? []).map((row) => (
        <li key={row.version}>
          <strong>{moment.format(new Date(row.at))}</strong> <span className="muted">by {row.actor.name}</span>
          {row.cause.rule !== undefined && <span className="muted"> through rule {row.cause.rule}</span>}
          {row.kind === 'created' && <div>Created</div>}
          {row.changes.map((change) => (
            <div key={change.field}>
              <span className="muted">{change.label}:</span> {shown(object, change.field, change.from)} → {shown(object, change.field, change.to)}
            </div>
          ))}
        </li>
      ))}
    </ol>
  );
}
