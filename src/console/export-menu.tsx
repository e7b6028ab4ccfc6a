import { Anchor, Button, Popover, Stack } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import type { ListState } from './list-state.ts';
import type { ObjectDescription } from './types.ts';

const FORMATS = [
  { format: 'xlsx', label: 'Excel (XLSX)' },
  { format: 'csv', label: 'CSV' },
  { format: 'ndjson', label: 'One JSON object a line' },
] as const;

/** Every record of the list, not only those that are shown, with its columns as a file. */
export function ExportMenu({ object, state }: { readonly object: ObjectDescription; readonly state: ListState }) {
  const address = (format: string): string => {
    const query = new URLSearchParams({ format, fields: state.columns.join(',') });
    if (state.filter !== null) query.set('filter', state.filter);
    if (state.search !== null) query.set('search', state.search);
    return `/api/v1/exports/${object.name}?${query.toString()}`;
  };
  return (
    <Popover position="bottom-start" shadow="md" trapFocus>
      <Popover.Target>
        <Button variant="default" leftSection={<IconDownload size={16} />}>
          Export
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap={8}>
          {FORMATS.map(({ format, label }) => (
            <Anchor key={format} href={address(format)} download>
              {label}
            </Anchor>
          ))}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
