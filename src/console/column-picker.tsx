import { Button, Checkbox, Popover, ScrollArea, Stack } from '@mantine/core';
import { IconColumns } from '@tabler/icons-react';
import type { ObjectDescription } from './types.ts';

/** Chooses which fields a list shows; the choice stands in the address. */
export function ColumnPicker({
  object,
  columns,
  onChange,
}: {
  readonly object: ObjectDescription;
  readonly columns: readonly string[];
  readonly onChange: (columns: readonly string[]) => void;
}) {
  return (
    <Popover width={280} position="bottom-start" shadow="md" trapFocus>
      <Popover.Target>
        <Button variant="default" leftSection={<IconColumns size={16} />}>
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <ScrollArea.Autosize mah={360}>
          <Stack gap={8}>
            {object.fields.map((field) => (
              <Checkbox
                key={field.name}
                label={field.label}
                checked={columns.includes(field.name)}
                disabled={columns.length === 1 && columns.includes(field.name)}
                onChange={(event) => {
                  onChange(event.currentTarget.checked ? [...columns, field.name] : columns.filter((name) => name !== field.name));
                }}
              />
            ))}
          </Stack>
        </ScrollArea.Autosize>
      </Popover.Dropdown>
    </Popover>
  );
}
