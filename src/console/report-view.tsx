import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import { dayText } from './labels.ts';

export interface ReportAnswer {
  readonly name: string;
  readonly label: string;
  readonly description: string | null;
  /** The days that it is about; null where it is about now. */
  readonly period: { readonly from: string; readonly through: string } | null;
  readonly rows: readonly {
    readonly label: string;
    readonly object: string;
    readonly filter: string;
    readonly count: number;
    readonly medianDays: number | null;
  }[];
  readonly breakdowns: readonly {
    readonly field: string;
    readonly label: string;
    readonly groups: readonly { readonly name: string; readonly counts: readonly number[]; readonly met: boolean | null }[];
  }[];
  /** Stages that ask for fields which this caller may not read. */
  readonly withheld: readonly string[];
}

/** A report's counts as bars; each number opens exactly the rows that make it. */
export function ReportView({
  name,
  period: wanted = null,
  heading,
}: {
  readonly name: string;
  readonly period?: string | null;
  readonly heading: 'h1' | 'h2';
}) {
  const asked = wanted === null ? '' : `?period=${encodeURIComponent(wanted)}`;
  const report = useQuery({ queryKey: ['report', name, asked], queryFn: () => call<{ data: ReportAnswer }>(`/reports/${name}${asked}`) });
  if (report.isError) return <ErrorAlert error={report.error} title="The report cannot be shown" />;
  if (report.data === undefined) return <p className="muted">Loading…</p>;
  const { label, description, period, rows, breakdowns, withheld } = report.data.data;
  const most = Math.max(1, ...rows.map((row) => row.count));
  const Heading = heading;
  return (
    <section className={heading === 'h2' ? 'panel' : undefined}>
      {heading === 'h1' && <title>{`${label} – Credenza`}</title>}
      <Heading className={heading === 'h1' ? 'title' : undefined}>{label}</Heading>
      {period !== null && (
        <p>
          {dayText(period.from)} – {dayText(period.through)}
        </p>
      )}
      {description !== null && <p className="muted">{description}</p>}
      {rows.map((row) => (
        <Link key={row.label} className="bar" to={`/o/${row.object}?filter=${encodeURIComponent(row.filter)}`}>
          <span>
            {row.label}
            {row.medianDays !== null && (
              <span className="muted small">
                {' '}
                · {row.medianDays} {row.medianDays === 1 ? 'day' : 'days'} (median)
              </span>
            )}
          </span>
          <span className="track" aria-hidden="true">
            {row.count > 0 && <span className="fill" style={{ width: `${String(Math.max(1, Math.round((row.count / most) * 100)))}%` }} />}
          </span>
          <b>{row.count}</b>
        </Link>
      ))}
      {withheld.length > 0 && <p className="muted small">Not shown, for they ask for fields that you may not read: {withheld.join(', ')}.</p>}
      {breakdowns
        .filter((breakdown) => breakdown.groups.length > 0)
        .map((breakdown) => (
          <div key={breakdown.field} className="grid-scroll" tabIndex={0} role="group" aria-label={`By ${breakdown.label.toLowerCase()}`}>
            <table className="grid">
              <thead>
                <tr>
                  <th scope="col">{breakdown.label}</th>
                  {rows.map((row) => (
                    <th key={row.label} scope="col">
                      {row.label}
                    </th>
                  ))}
                  {breakdown.groups.some((group) => group.met !== null) && <th scope="col">Target</th>}
                </tr>
              </thead>
              <tbody>
                {breakdown.groups.map((group) => (
                  <tr key={group.name}>
                    <th scope="row">{group.name}</th>
                    {rows.map((row, index) => (
                      <td key={row.label}>{group.counts[index] ?? 0}</td>
                    ))}
                    {group.met !== null && <td>{group.met ? 'Met' : 'Missed'}</td>}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        ))}
    </section>
  );
}
