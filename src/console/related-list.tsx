import { Anchor } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { call } from './api.ts';
import { ErrorAlert } from './errors.tsx';
import { useObject } from './session.tsx';
import { StepMenu } from './steps.tsx';
import { RecordTable } from './record-table.tsx';
import type { ListAnswer, ObjectDescription, RecordData } from './types.ts';

const SHOWN = 20;

/** The first records that point here; the heading's number opens all of them. */
export function RelatedList({
  parent,
  record,
  list,
}: {
  readonly parent: ObjectDescription;
  readonly record: RecordData;
  readonly list: ObjectDescription['layout']['related'][number];
}) {
  const relation = parent.related.find((entry) => entry.name === list.relation);
  const other = useObject(relation?.object ?? '');
  const filter = `${relation?.via ?? ''} == '${record.id}'`;
  const columns =
    list.columns.length > 0
      ? list.columns.filter((name) => other.data?.fields.some((field) => field.name === name))
      : (other.data?.fields ?? [])
          .filter((field) => !field.system && field.name !== relation?.via)
          .slice(0, 3)
          .map((field) => field.name);
  const references = columns.filter((name) => other.data?.fields.some((field) => field.name === name && field.refersTo?.length === 1));
  const query = new URLSearchParams({
    limit: String(SHOWN),
    count: 'capped',
    filter,
    sort: list.sort ?? '-createdAt',
    fields: ['displayName', ...columns].join(','),
  });
  if (references.length > 0) query.set('expand', references.join(','));
  const rows = useQuery({
    queryKey: ['list', relation?.object, query.toString()],
    queryFn: () => call<ListAnswer>(`/records/${relation?.object ?? ''}?${query.toString()}`),
    enabled: relation !== undefined && other.isSuccess,
  });
  if (relation === undefined || other.data === undefined) return null;
  const described = other.data;
  const hasSteps = described.path !== null && described.path.transitions.length > 0;
  const steps = hasSteps ? (row: RecordData) => <StepMenu object={described} record={row} /> : undefined;
  return (
    <section className="panel">
      <h2>
        {list.title}{' '}
        {rows.data?.meta.count !== undefined && (
          <Anchor component={Link} to={`/o/${relation.object}?filter=${encodeURIComponent(filter)}`} aria-label={`Open all ${list.title.toLowerCase()}`}>
            {rows.data.meta.count}
          </Anchor>
        )}
      </h2>
      {rows.isError && <ErrorAlert error={rows.error} title="These records cannot be shown" />}
      {rows.data !== undefined && (
        <RecordTable
          object={other.data}
          columns={columns}
          records={rows.data.data}
          label={list.title}
          empty={`No ${list.title.toLowerCase()} yet.`}
          {...(steps === undefined ? {} : { steps })}
        />
      )}
    </section>
  );
}
