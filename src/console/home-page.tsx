import { useQuery } from '@tanstack/react-query';
import { call } from './api.ts';
import { ReportView } from './report-view.tsx';
import { useSession } from './session.tsx';

export function HomePage() {
  const session = useSession();
  const reports = useQuery({ queryKey: ['reports'], queryFn: () => call<{ data: readonly { readonly name: string; readonly label: string }[] }>('/reports') });
  return (
    <>
      <title>Home – Credenza</title>
      <div className="head">
        <h1>Welcome, {session.user.name}</h1>
      </div>
      <div className="reports">
        {(reports.data?.data ?? []).map((report) => (
          <ReportView key={report.name} name={report.name} heading="h2" />
        ))}
        {reports.data?.data.length === 0 && <p className="muted">Choose a kind of record on the left to begin.</p>}
      </div>
    </>
  );
}
