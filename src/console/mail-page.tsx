import { Anchor, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { call } from './api.ts';
import { Dialog } from './dialog.tsx';
import { ErrorAlert } from './errors.tsx';
import { momentText } from './labels.ts';

interface CapturedMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly about: { readonly object: string; readonly id: string } | null;
  readonly createdAt: string;
}

/** Text with its web addresses as links. */
function Linked({ text }: { readonly text: string }) {
  return (
    <div className="mail-text">
      {text.split(/(https?:\/\/[^\s<>()[\]]*[^\s<>()[\].,;:!?])/).map((part, index) =>
        part.startsWith('http') ? (
          <Anchor key={index} href={part} target="_blank" rel="noopener" underline="always" inherit>
            {part}
          </Anchor>
        ) : (
          part
        ),
      )}
    </div>
  );
}

function MailText({ id }: { readonly id: string }) {
  const mail = useQuery({ queryKey: ['mail', id], queryFn: () => call<{ data: { readonly plain: string } }>(`/dev/mail/${id}`) });
  if (mail.isError) return <ErrorAlert error={mail.error} title="The mail cannot be shown" />;
  return mail.data === undefined ? <p className="muted">Loading…</p> : <Linked text={mail.data.data.plain} />;
}

/** Mail that would have been sent: for administrators of a system that sends none. */
export function MailPage() {
  const [open, setOpen] = useState<CapturedMail | null>(null);
  const mails = useQuery({ queryKey: ['mail'], queryFn: () => call<{ data: readonly CapturedMail[] }>('/dev/mail') });
  return (
    <>
      <title>Captured mail – Credenza</title>
      <div className="head">
        <h1>Captured mail</h1>
      </div>
      <p className="muted">Nobody received these mails, for SMTP_URL is not set. The newest 200 stand here; personal links in them work.</p>
      {mails.isError && <ErrorAlert error={mails.error} title="The mails cannot be shown" />}
      {mails.data?.data.length === 0 && <p className="muted">No mail has been written yet.</p>}
      {mails.data !== undefined && mails.data.data.length > 0 && (
        <div className="grid-scroll" tabIndex={0} role="region" aria-label="Captured mail">
          <table className="grid">
            <thead>
              <tr>
                <th scope="col">Subject</th>
                <th scope="col">To</th>
                <th scope="col">Written</th>
                <th scope="col">About</th>
              </tr>
            </thead>
            <tbody>
              {mails.data.data.map((mail) => (
                <tr key={mail.id}>
                  <td>
                    <Button
                      variant="transparent"
                      size="compact-sm"
                      className="link-button"
                      aria-haspopup="dialog"
                      onClick={() => {
                        setOpen(mail);
                      }}
                    >
                      {mail.subject}
                    </Button>
                  </td>
                  <td>{mail.recipient}</td>
                  <td>{momentText(mail.createdAt)}</td>
                  <td>
                    {mail.about === null ? (
                      <span className="muted">–</span>
                    ) : (
                      <Anchor component={Link} to={`/o/${mail.about.object}/${mail.about.id}`} inherit>
                        Open the record
                      </Anchor>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Dialog
        opened={open !== null}
        onClose={() => {
          setOpen(null);
        }}
        title={open?.subject ?? ''}
      >
        {open !== null && <MailText id={open.id} />}
      </Dialog>
    </>
  );
}
