import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearchParams } from 'react-router';
import { call } from './api.ts';
import { dayText, momentText } from './labels.ts';
import { ReportView } from './report-view.tsx';
import { useSession } from './session.tsx';

interface Published {
  readonly id: string;
  readonly period: string;
  readonly version: number;
  readonly frozenAt: string;
  readonly reason: string | null;
}

export function ReportPage() {
  const { report = '' } = useParams();
  const [parameters] = useSearchParams();
  const period = parameters.get('period');
  const { permissionSets } = useSession();
  return (
    <>
      <ReportView key={`${report} ${period ?? ''}`} name={report} period={period} heading="h1" />
      {permissionSets.includes('administrator') && <PublishedPeriods report={report} />}
    </>
  );
}

/** What was published of a report, and its corrections; nothing where nothing was. */
function PublishedPeriods({ report }: { readonly report: string }) {
  const found = useQuery({ queryKey: ['published', report], queryFn: () => call<{ data: readonly Published[] }>(`/reports/${report}/frozen`) });
  const published = found.data?.data ?? [];
  if (published.length === 0) return null;
  return (
    <section>
      <h2>Published</h2>
      <div className="grid-scroll" tabIndex={0} role="group" aria-label="Published">
        <table className="grid">
          <thead>
            <tr>
              <th scope="col">Period</th>
              <th scope="col">Version</th>
              <th scope="col">Published</th>
              <th scope="col">Reason of the correction</th>
            </tr>
          </thead>
          <tbody>
            {published.map(({ id, period, version, frozenAt, reason }) => (
              <tr key={id}>
                <th scope="row">{period.includes('/') ? <Link to={`?period=${encodeURIComponent(period)}`}>{periodText(period)}</Link> : period}</th>
                <td>{version}</td>
                <td className="moment">{momentText(frozenAt)}</td>
                <td>{reason ?? '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function periodText(period: string): string {
  const [from = '', through = ''] = period.split('/');
  return `${dayText(from)} – ${dayText(through)}`;
}
