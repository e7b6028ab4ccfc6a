import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from 'react-router';
import { ErrorAlert } from './errors.tsx';
import { RecordForm } from './record-form.tsx';
import { useObject } from './session.tsx';

export function NewPage() {
  const { object: name = '' } = useParams();
  const object = useObject(name);
  const navigate = useNavigate();
  const client = useQueryClient();
  if (object.isPending) return <p className="muted">Loading…</p>;
  if (object.isError) return <ErrorAlert error={object.error} title="This page is not there" />;
  return (
    <>
      <title>{`New ${object.data.label.toLowerCase()} – Credenza`}</title>
      <div className="head">
        <h1>New {object.data.label.toLowerCase()}</h1>
      </div>
      <div className="panel">
        <RecordForm
          object={object.data}
          record={null}
          onSaved={(record) => {
            void client.invalidateQueries({ queryKey: ['list', name] });
            void navigate(`/o/${name}/${record.id}`);
          }}
          onCancel={() => void navigate(`/o/${name}`)}
        />
      </div>
    </>
  );
}
