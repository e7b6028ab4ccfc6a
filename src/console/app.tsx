import { Alert, Center, Loader } from '@mantine/core';
import { Route, Routes } from 'react-router';
import { HomePage } from './home-page.tsx';
import { InvitationPage } from './invitation-page.tsx';
import { ListPage } from './list-page.tsx';
import { MailPage } from './mail-page.tsx';
import { NewPage } from './new-page.tsx';
import { RecordPage } from './record-page.tsx';
import { ReportPage } from './report-page.tsx';
import { SearchPage } from './search-page.tsx';
import { SessionProvider, useSessionQuery } from './session.tsx';
import { Shell } from './shell.tsx';
import { SignIn } from './sign-in.tsx';

function NothingHere() {
  return (
    <>
      <title>Nothing here – Credenza</title>
      <div className="head">
        <h1>There is nothing at this address</h1>
      </div>
      <p className="muted">The page may have moved. Choose where to go in the menu, or search above.</p>
    </>
  );
}

function Signed() {
  const session = useSessionQuery();
  if (session.isPending) {
    return (
      <Center mih="100vh">
        <Loader aria-label="Loading" />
      </Center>
    );
  }
  if (session.isError) {
    return (
      <Center mih="100vh" p="md">
        <Alert color="red" title="The server does not answer" role="alert">
          {session.error.message} Reload the page in a moment.
        </Alert>
      </Center>
    );
  }
  if (session.data === null) return <SignIn />;
  return (
    <SessionProvider session={session.data}>
      <Shell>
        <Routes>
          <Route path="/" element={<HomePage />} />
          <Route path="/mail" element={<MailPage />} />
          <Route path="/search" element={<SearchPage />} />
          <Route path="/reports/:report" element={<ReportPage />} />
          <Route path="/o/:object" element={<ListPage />} />
          <Route path="/o/:object/new" element={<NewPage />} />
          <Route path="/o/:object/:id" element={<RecordPage />} />
          <Route path="*" element={<NothingHere />} />
        </Routes>
      </Shell>
    </SessionProvider>
  );
}

export function App() {
  return (
    <Routes>
      <Route path="/invitation/:secret" element={<InvitationPage />} />
      <Route path="*" element={<Signed />} />
    </Routes>
  );
}
