import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { choiceText, plainText } from './labels.ts';
import type { FieldDescription, RecordData } from './types.ts';

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
      <span className="tags">
        {codes.map((code) => (
          <span key={String(code)} className={`tag tag-${field.options?.find((option) => option.value === code)?.color ?? 'gray'}`}>
            {choiceText(field, code)}
          </span>
        ))}
      </span>
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
      return plainText(field, value);
  }
}
