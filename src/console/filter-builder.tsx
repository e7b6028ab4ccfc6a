import { Button, Group, NativeSelect, Textarea, TextInput } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { ReferenceInput } from './field-input.tsx';
import type { FieldDescription, ObjectDescription } from './types.ts';

type Operator = 'is' | 'is-not' | 'contains' | 'starts' | 'less' | 'more' | 'empty' | 'filled';

const LABELS: Readonly<Record<Operator, string>> = {
  is: 'is',
  'is-not': 'is not',
  contains: 'contains',
  starts: 'starts with',
  less: 'is less than / before',
  more: 'is more than / after',
  empty: 'is empty',
  filled: 'is filled in',
};

function operatorsOf(field: FieldDescription): readonly Operator[] {
  if (field.kind === 'boolean') return ['is', 'is-not', 'empty'];
  if (field.options !== null || field.refersTo !== null)
    return field.kind === 'multiPicklist' ? ['contains', 'empty', 'filled'] : ['is', 'is-not', 'empty', 'filled'];
  if (['integer', 'decimal', 'money', 'percent', 'date', 'instant'].includes(field.kind)) return ['is', 'less', 'more', 'empty', 'filled'];
  return ['is', 'is-not', 'contains', 'starts', 'empty', 'filled'];
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function literal(field: FieldDescription, value: string): string {
  if (field.kind === 'boolean') return value === 'true' ? 'true' : 'false';
  if (['integer', 'decimal', 'money', 'percent'].includes(field.kind)) return value.trim();
  if (field.kind === 'date') return `date(${quote(value)})`;
  if (field.kind === 'instant') return `timestamp(${quote(value.length === 10 ? `${value}T00:00:00Z` : value)})`;
  return quote(value);
}

/** One condition in the product's expression language. */
export function condition(field: FieldDescription, operator: Operator, value: string): string {
  const { name } = field;
  switch (operator) {
    case 'is':
      return `${name} == ${literal(field, value)}`;
    case 'is-not':
      return `${name} != ${literal(field, value)}`;
    case 'contains':
      return field.kind === 'multiPicklist' ? `${quote(value)} in ${name}` : `lower(${name}).contains(${quote(value.toLowerCase())})`;
    case 'starts':
      return `lower(${name}).startsWith(${quote(value.toLowerCase())})`;
    case 'less':
      return `${name} < ${literal(field, value)}`;
    case 'more':
      return `${name} > ${literal(field, value)}`;
    case 'empty':
      return `${name} == null`;
    case 'filled':
      return `${name} != null`;
  }
}

/** Builds a filter condition by condition; the text stays visible and may be edited. */
export function FilterBuilder({
  object,
  value,
  onApply,
}: {
  readonly object: ObjectDescription;
  readonly value: string;
  readonly onApply: (filter: string) => void;
}) {
  const [text, setText] = useState(value);
  const [name, setName] = useState(object.fields.find((field) => !field.system)?.name ?? 'id');
  const [operator, setOperator] = useState<Operator>('is');
  const [operand, setOperand] = useState('');
  const field = object.fields.find((entry) => entry.name === name);
  if (field === undefined) return null;
  const allowed = operatorsOf(field);
  const chosen = allowed.includes(operator) ? operator : (allowed[0] ?? 'is');
  const needsValue = chosen !== 'empty' && chosen !== 'filled';
  const add = () => {
    const next = condition(field, chosen, operand);
    setText((before) => (before.trim() === '' ? next : `${before.trim()} && ${next}`));
    setOperand('');
  };
  const apply = (event: FormEvent) => {
    event.preventDefault();
    onApply(text.trim());
  };
  const options =
    field.kind === 'boolean'
      ? [
          { value: 'true', label: 'Yes' },
          { value: 'false', label: 'No' },
        ]
      : field.options;
  return (
    <form className="panel filter" onSubmit={apply}>
      <Group align="flex-end" gap="xs">
        <NativeSelect
          label="Field"
          value={name}
          onChange={(event) => {
            setName(event.currentTarget.value);
            setOperand('');
          }}
          data={object.fields.filter((entry) => entry.kind !== 'file' && entry.kind !== 'address').map((entry) => ({ value: entry.name, label: entry.label }))}
        />
        <NativeSelect
          label="Condition"
          value={chosen}
          onChange={(event) => {
            setOperator(allowed.find((entry) => entry === event.currentTarget.value) ?? 'is');
          }}
          data={allowed.map((entry) => ({ value: entry, label: LABELS[entry] }))}
        />
        {needsValue && options !== null && (
          <NativeSelect
            label="Value"
            value={operand}
            onChange={(event) => {
              setOperand(event.currentTarget.value);
            }}
            data={[{ value: '', label: '' }, ...options.map((option) => ({ value: option.value, label: option.label }))]}
          />
        )}
        {needsValue && options === null && field.refersTo !== null && (
          <ReferenceInput
            field={{ ...field, label: 'Value', help: null, required: true }}
            value={operand === '' ? null : operand}
            onChange={(value) => {
              setOperand(typeof value === 'string' ? value : '');
            }}
          />
        )}
        {needsValue && options === null && field.refersTo === null && (
          <TextInput
            label="Value"
            type={field.kind === 'date' || field.kind === 'instant' ? 'date' : 'text'}
            value={operand}
            onChange={(event) => {
              setOperand(event.currentTarget.value);
            }}
          />
        )}
        <Button variant="default" onClick={add} disabled={needsValue && operand === ''}>
          Add condition
        </Button>
      </Group>
      <Textarea
        label="Filter expression"
        autosize
        minRows={1}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
        }}
        mt="sm"
        styles={{ input: { fontFamily: 'ui-monospace, monospace' } }}
      />
      <Group mt="sm">
        <Button type="submit">Apply filter</Button>
        <Button
          variant="subtle"
          onClick={() => {
            setText('');
            onApply('');
          }}
        >
          Clear
        </Button>
      </Group>
    </form>
  );
}
