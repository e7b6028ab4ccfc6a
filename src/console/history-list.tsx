import { useQuery } from '@tanstack/react-query';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import type { HistoryRow, ObjectDescription } from './types.ts';
import { momentText, plainText } from './labels.ts';
import { useNames } from './names.ts';

/** Who changed what, when and why, newest first. */
export function HistoryList({ object, id, version }: { readonly object: ObjectDescription; readonly id: string; readonly version: number }) {
  const history = useQuery({
    queryKey: ['history', object.name, id, version],
    queryFn: () => call<{ data: readonly HistoryRow[] }>(`/records/${object.name}/${id}/history`),
  });
  const fieldOf = (name: string) => object.fields.find((field) => field.name === name);
  const names = useNames(
    (history.data?.data ?? []).flatMap((row) =>
      row.changes.flatMap((change) => {
        const target = fieldOf(change.field)?.refersTo;
        return target?.length === 1 ? [change.from, change.to].map((id) => ({ object: target[0] ?? '', id })) : [];
      }),
    ),
  );
  const shown = (name: string, value: unknown) => names.get(String(value)) ?? plainText(fieldOf(name), value);
  if (history.isError) return <ErrorAlert error={history.error} title="The history cannot be shown" />;
  return (
    <ol className="history" reversed>
      {(history.data?.data ?? []).map((row) => (
        <li key={row.version}>
          <strong>{momentText(row.at)}</strong> <span className="muted">by {row.actor.name}</span>
          {row.cause.rule !== undefined && <span className="muted"> through rule {row.cause.rule}</span>}
          {(row.cause.decisions ?? []).map((use) => (
            <div key={`${use.policy} ${String(use.version)} ${String(use.band)}`} className="muted">
              by policy {use.policy},{' '}
              {use.version === null ? 'no version in force' : `version ${use.version}, ${use.band === null ? 'no row' : `row ${use.band}`}`}
            </div>
          ))}
          {row.kind === 'created' && <div>Created</div>}
          {row.changes.map((change) => (
            <div key={change.field}>
              <span className="muted">{change.label}:</span> {shown(change.field, change.from)} → {shown(change.field, change.to)}
            </div>
          ))}
        </li>
      ))}
    </ol>
  );
}
