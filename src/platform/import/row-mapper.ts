/** Values of a record as a row gives them, and the record's id where a column holds it. */
export interface MappedRow {
  readonly values: Readonly<Record<string, unknown>>;
  readonly id: string | null;
}

/** A map bound to one file's header: cells in, values of a record or a reason out. */
export interface RowMapper {
  readonly key: readonly string[];
  readonly createOnly: ReadonlySet<string>;
  /** References that stay empty when no record has the key that was given. */
  readonly optionalReferences: ReadonlySet<string>;
  /** Fields that rows fill. */
  readonly fields: readonly string[];
  map(cells: readonly unknown[]): MappedRow | { readonly reason: string; readonly column: string };
  /** The column that feeds a field, for messages about it. */
  columnOf(field: string): string | null;
}

/** A cell as text without outer blanks; numbers, lists and objects of NDJSON as JSON has them. */
export function cellText(cell: unknown): string {
  if (typeof cell === 'string') return cell.trim();
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}
