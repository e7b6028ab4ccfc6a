import { Anchor, Button, Tabs } from '@mantine/core';
import { IconPencil } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import { HistoryList } from './history-list.tsx';
import { PathBar } from './path-bar.tsx';
import { hasDraft } from './drafts.ts';
import { draftKey, RecordForm } from './record-form.tsx';
import { RelatedList } from './related-list.tsx';
import { useObject } from './session.tsx';
import { SignPanel } from './sign-panel.tsx';
import type { ObjectDescription, RecordData } from './types.ts';
import { FieldValue } from './value.tsx';

function Facts({
  object,
  record,
  names,
  className,
}: {
  readonly object: ObjectDescription;
  readonly record: RecordData;
  readonly names: readonly string[];
  readonly className: string;
}) {
  return (
    <dl className={className}>
      {names.map((name) => {
        const field = object.fields.find((entry) => entry.name === name);
        return field === undefined ? null : (
          <div key={name}>
            <dt>{field.label}</dt>
            <dd>
              <FieldValue field={field} record={record} />
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function Page({ object, record }: { readonly object: ObjectDescription; readonly record: RecordData }) {
  const client = useQueryClient();
  const [editing, setEditing] = useState(() => hasDraft(draftKey(object.name, record.id)));
  const shown = useQuery({
    queryKey: ['layout', object.name, record.id, record.version],
    queryFn: () => call<{ data: { readonly sections: ObjectDescription['layout']['sections'] } }>(`/records/${object.name}/${record.id}/layout`),
    placeholderData: (before) => before,
  });
  const { layout } = object;
  return (
    <>
      <title>{`${record.displayName ?? object.label} – Credenza`}</title>
      <p className="muted crumb">
        <Anchor component={Link} to={`/o/${object.name}`}>
          {object.plural}
        </Anchor>
      </p>
      <div className="head">
        <div>
          <h1>{record.displayName ?? object.label}</h1>
          <Facts object={object} record={record} names={layout.highlights} className="highlights" />
        </div>
        {object.may.update && !editing && (
          <Button
            variant="default"
            leftSection={<IconPencil size={16} />}
            onClick={() => {
              setEditing(true);
            }}
          >
            Edit
          </Button>
        )}
      </div>
      <PathBar object={object} record={record} />
      <div className="record">
        <div className="stack">
          {shown.isError && <ErrorAlert error={shown.error} title="The sections cannot be shown" />}
          {editing ? (
            <section className="panel" aria-label={`Edit ${object.label.toLowerCase()}`}>
              <RecordForm
                object={object}
                record={record}
                onCancel={() => {
                  setEditing(false);
                }}
                onSaved={() => {
                  setEditing(false);
                  void client.invalidateQueries();
                }}
              />
            </section>
          ) : (
            (shown.data?.data.sections ?? []).map((section) => (
              <section className="panel" key={section.title}>
                <h2>{section.title}</h2>
                <Facts object={object} record={record} names={section.fields} className="facts" />
              </section>
            ))
          )}
        </div>
        <div className="stack">
          {object.forms
            .filter((form) => form.signing)
            .map((form) => (
              <SignPanel key={form.name} form={form.name} title={form.title} object={object} record={record} />
            ))}
          <Tabs defaultValue="related" keepMounted={false}>
            <Tabs.List mb="md">
              <Tabs.Tab value="related">Related</Tabs.Tab>
              <Tabs.Tab value="history">History</Tabs.Tab>
            </Tabs.List>
            <Tabs.Panel value="related">
              <div className="stack">
                {layout.related.length === 0 && <p className="muted">Nothing is related to this record.</p>}
                {layout.related.map((list) => (
                  <RelatedList key={list.relation} parent={object} record={record} list={list} />
                ))}
              </div>
            </Tabs.Panel>
            <Tabs.Panel value="history">
              <HistoryList object={object} id={record.id} version={record.version} />
            </Tabs.Panel>
          </Tabs>
        </div>
      </div>
    </>
  );
}

export function RecordPage() {
  const { object: name = '', id = '' } = useParams();
  const object = useObject(name);
  const references = (object.data?.fields ?? []).filter((field) => field.refersTo?.length === 1).map((field) => field.name);
  const record = useQuery({
    queryKey: ['record', name, id, references.join(',')],
    queryFn: () => {
      const query = new URLSearchParams({ fields: ['displayName', ...(object.data?.fields ?? []).map((field) => field.name)].join(',') });
      if (references.length > 0) query.set('expand', references.join(','));
      return call<{ data: RecordData }>(`/records/${name}/${id}?${query.toString()}`);
    },
    enabled: object.isSuccess,
  });
  if (object.isError) return <ErrorAlert error={object.error} title="This page is not there" />;
  if (record.isError) return <ErrorAlert error={record.error} title="This record cannot be shown" />;
  if (object.data === undefined || record.data === undefined) return <p className="muted">Loading…</p>;
  return <Page key={id} object={object.data} record={record.data.data} />;
}
