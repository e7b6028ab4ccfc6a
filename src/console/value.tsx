import { Anchor, Badge, Group } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { FieldDescription, RecordData } from './types.ts';

const day = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeZone: 'UTC' });
const moment = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeStyle: 'short' });

export function label(field: FieldDescription | undefined, value: unknown): string {
  return field?.options?.find((option) => option.value === value)?.label ?? String(value);
}

function isRecord(value: unknown): value is RecordData {
  return typeof value === 'object' && value !== null && 'id' in value;
}

/** A value as people read it: labels of choices, local times, links to records. */
export function FieldValue({ field, record }: { readonly field: FieldDescription; readonly record: RecordData }): ReactNode {
  const value = record[field.name];
  if (value === null || value === undefined || value === '') return <span className="muted">–</span>;
  if (field.options !== null) {
    const codes = Array.isArray(value) ? value : [value];
    return (
      <Group gap={4}>
        {codes.map((code) => (
          <Badge
            key={String(code)}
            variant="light"
            color={field.options?.find((option) => option.value === code)?.color ?? 'gray'}
            tt="none"
            fw={500}
            className="tag"
          >
            {label(field, code)}
          </Badge>
        ))}
      </Group>
    );
  }
  if (field.refersTo !== null) {
    const target = record.expanded?.[field.name];
    const text = isRecord(target) ? (target.displayName ?? target.id) : String(value);
    const object = field.refersTo[0];
    if (object === 'User' || object === undefined || field.refersTo.length > 1) return text;
    return (
      <Anchor component={Link} to={`/o/${object}/${String(value)}`} inherit>
        {text}
      </Anchor>
    );
  }
  switch (field.kind) {
    case 'boolean':
      return value === true ? 'Yes' : 'No';
    case 'date':
      return day.format(new Date(`${String(value)}T00:00:00Z`));
    case 'instant':
      return moment.format(new Date(String(value)));
    case 'email':
      return (
        <Anchor href={`mailto:${String(value)}`} inherit>
          {String(value)}
        </Anchor>
      );
    case 'file':
      return (
        <Anchor href={`/api/v1/files/${String(value)}`} target="_blank" rel="noopener" inherit>
          Open the file
        </Anchor>
      );
    default:
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}
