import { useParams } from 'react-router';
import { ReportView } from './report-view.tsx';

export function ReportPage() {
  const { report = '' } = useParams();
  return <ReportView key={report} name={report} heading="h1" />;
}
