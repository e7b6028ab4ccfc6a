import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { ObjectDescription, RecordData } from './types.ts';
import { FieldValue } from './value.tsx';

interface TableProps {
  readonly object: ObjectDescription;
  readonly columns: readonly string[];
  readonly records: readonly RecordData[];
  readonly empty: string;
  readonly sort?: string;
  readonly onSort?: (sort: string) => void;
  /** Name of the table's region where it is not the object's own. */
  readonly label?: string;
  /** What can be done with each row, as the last column. */
  readonly steps?: (record: RecordData) => ReactNode;
  readonly icons?: { readonly up: ReactNode; readonly down: ReactNode };
}

/** Records as rows; the name opens the record, headings sort. */
export function RecordTable({ object, columns, records, empty, sort, onSort, icons, label, steps }: TableProps) {
  if (records.length === 0) return <p className="muted">{empty}</p>;
  const fields = columns.map((name) => object.fields.find((field) => field.name === name)).filter((field) => field !== undefined);
  const isName = (name: string) => fields[0]?.name === name && fields[0].refersTo === null && fields[0].options === null;
  return (
    <div className="grid-scroll" tabIndex={0} role="region" aria-label={label ?? object.plural}>
      <table className="grid">
        <thead>
          <tr>
            {!isName(fields[0]?.name ?? '') && <th scope="col">{object.label}</th>}
            {fields.map((field) => {
              const up = sort === field.name;
              const down = sort === `-${field.name}`;
              return (
                <th key={field.name} scope="col" aria-sort={up ? 'ascending' : down ? 'descending' : undefined}>
                  {onSort === undefined || !field.sortable ? (
                    field.label
                  ) : (
                    <button
                      type="button"
                      onClick={() => {
                        onSort(up ? `-${field.name}` : field.name);
                      }}
                    >
                      {field.label} {up ? icons?.up : down ? icons?.down : null}
                    </button>
                  )}
                </th>
              );
            })}
            {steps !== undefined && <th scope="col">Steps</th>}
          </tr>
        </thead>
        <tbody>
          {records.map((record) => (
            <tr key={record.id}>
              {!isName(fields[0]?.name ?? '') && (
                <td>
                  <Anchor component={Link} to={`/o/${object.name}/${record.id}`} inherit>
                    {record.displayName ?? 'Open'}
                  </Anchor>
                </td>
              )}
              {fields.map((field) => (
                <td key={field.name}>
                  {isName(field.name) ? (
                    <Anchor component={Link} to={`/o/${object.name}/${record.id}`} inherit>
                      {String(record[field.name] ?? record.displayName ?? 'Open')}
                    </Anchor>
                  ) : (
                    <FieldValue field={field} record={record} />
                  )}
                </td>
              ))}
              {steps !== undefined && <td>{steps(record)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
