import { Checkbox, Fieldset, MultiSelect, NativeSelect, Select, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from './api.ts';
import { ADDRESS_PARTS, addressPart, editText } from './labels.ts';
import type { FieldDescription, ListAnswer, RecordData } from './types.ts';

interface InputProps {
  readonly field: FieldDescription;
  readonly value: unknown;
  readonly error?: string | undefined;
  readonly onChange: (value: unknown) => void;
  /** What a reference shows before anything is chosen. */
  readonly shown?: string | undefined;
}

/** Chooses a record by its name; asks the server while letters are typed. */
export function ReferenceInput({ field, value, error, onChange, shown }: InputProps) {
  const object = field.refersTo?.[0] ?? '';
  const [text, setText] = useState('');
  const [asked] = useDebouncedValue(text, 250);
  const found = useQuery({
    queryKey: ['reference', object, asked],
    queryFn: () => call<ListAnswer>(`/records/${object}?limit=20&fields=displayName${asked === '' ? '' : `&search=${encodeURIComponent(asked)}`}`),
  });
  const options = (found.data?.data ?? []).map((record: RecordData) => ({ value: record.id, label: record.displayName ?? record.id }));
  if (typeof value === 'string' && !options.some((option) => option.value === value)) options.unshift({ value, label: shown ?? value });
  return (
    <Select
      label={field.required ? field.label : `${field.label} (optional)`}
      description={field.help}
      error={error}
      searchable
      clearable
      nothingFoundMessage="Nothing found"
      data={options}
      filter={({ options: all }) => all}
      value={typeof value === 'string' ? value : null}
      onChange={onChange}
      onSearchChange={setText}
      clearButtonProps={{ 'aria-label': `Clear ${field.label}` }}
    />
  );
}

const INPUT_TYPES: Readonly<Record<string, string>> = { date: 'date', email: 'email', phone: 'tel', url: 'url', time: 'time' };

/** The right control for a field, made from its description. */
export function FieldInput(props: InputProps) {
  const { field, value, error, onChange } = props;
  const common = { label: field.required ? field.label : `${field.label} (optional)`, description: field.help, error };
  if (field.refersTo !== null) return <ReferenceInput {...props} />;
  if (field.kind === 'multiPicklist') {
    return (
      <MultiSelect
        {...common}
        data={(field.options ?? []).filter((option) => option.active).map(({ value: code, label }) => ({ value: code, label }))}
        value={Array.isArray(value) ? value.map(String) : []}
        onChange={onChange}
      />
    );
  }
  if (field.options !== null) {
    const data = [
      { value: '', label: '' },
      ...field.options.filter((option) => option.active || option.value === value).map(({ value: code, label }) => ({ value: code, label })),
    ];
    return (
      <NativeSelect
        {...common}
        data={data}
        value={String(value ?? '')}
        onChange={(event) => {
          onChange(event.currentTarget.value === '' ? null : event.currentTarget.value);
        }}
      />
    );
  }
  if (field.kind === 'boolean')
    return (
      <Checkbox
        label={field.label}
        description={field.help}
        error={error}
        checked={value === true}
        onChange={(event) => {
          onChange(event.currentTarget.checked);
        }}
      />
    );
  if (field.kind === 'address')
    return (
      <Fieldset legend={common.label}>
        {ADDRESS_PARTS.map(([part, label]) => (
          <TextInput
            key={part}
            label={label}
            description={part === 'line1' ? common.description : undefined}
            error={part === 'line1' ? error : undefined}
            value={addressPart(value, part)}
            onChange={(event) => {
              onChange(Object.fromEntries(ADDRESS_PARTS.map(([name]) => [name, name === part ? event.currentTarget.value : addressPart(value, name)])));
            }}
          />
        ))}
      </Fieldset>
    );
  if (field.kind === 'longText' || field.kind === 'richText' || field.kind === 'json') {
    return (
      <Textarea
        {...common}
        autosize
        minRows={3}
        value={editText(value)}
        onChange={(event) => {
          onChange(event.currentTarget.value);
        }}
      />
    );
  }
  if (field.kind === 'instant') {
    const local = typeof value === 'string' && value !== '' ? toLocal(value) : '';
    return (
      <TextInput
        {...common}
        type="datetime-local"
        value={local}
        onChange={(event) => {
          onChange(event.currentTarget.value === '' ? null : new Date(event.currentTarget.value).toISOString());
        }}
      />
    );
  }
  return (
    <TextInput
      {...common}
      type={INPUT_TYPES[field.kind] ?? 'text'}
      value={editText(value)}
      onChange={(event) => {
        onChange(event.currentTarget.value);
      }}
    />
  );
}

function toLocal(instant: string): string {
  const date = new Date(instant);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
