import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { suggestion } from '../metadata/suggest.ts';
import { actorOf } from '../record/actor.ts';
import { guessColumns, guessValue, plainHeading, type ColumnGuess } from './columns.ts';
import { rememberedMapping } from './job.sql.ts';
import { cellText } from './row-mapper.ts';
import { stagedBlock } from './staging.sql.ts';
import { DEFAULT_SETTINGS, type ImportJob, type ImportSettings } from './types.ts';

const SHOWN_ROWS = 10;
const MOST_VALUES = 200;

/** What somebody who maps a file wants to see. */
export interface Preview {
  readonly header: readonly string[];
  /** The first rows, as text. */
  readonly rows: readonly { readonly line: number; readonly cells: readonly string[] }[];
  readonly guess: readonly ColumnGuess[];
  /** Named maps that fill this object and whose columns are all there. */
  readonly maps: readonly { readonly name: string; readonly label: string }[];
  /** How this caller mapped such a file last, or null. */
  readonly remembered: ImportSettings | null;
  /** What to begin with: as last time, else a named map, else the columns that are named like fields. */
  readonly suggested: ImportSettings;
}

function fittingMaps(context: CallContext, job: ImportJob): readonly { readonly name: string; readonly label: string }[] {
  return [...context.model.imports.values()]
    .filter((map) => Object.hasOwn(map.targets, job.object) && map.requires.length > 0 && map.requires.every((column) => job.header.includes(column)))
    .map(({ name, label }) => ({ name, label }));
}

/** Remembered settings with the headings as this file writes them. */
function rewritten(settings: ImportSettings, header: readonly string[]): ImportSettings {
  const byHeading = new Map(header.map((heading) => [plainHeading(heading), heading]));
  const columns = settings.columns?.flatMap((entry) => {
    const column = byHeading.get(plainHeading(entry.column));
    return column === undefined ? [] : [{ ...entry, column }];
  });
  return { ...settings, columns: columns ?? null };
}

/** Shows the beginning of a staged file and what its columns are probably for. Reads only. */
export async function previewJob(db: Knex, context: CallContext, job: ImportJob): Promise<Preview> {
  const first = await stagedBlock(db, job.id, 0);
  const guess = guessColumns(context, job.object, job.header);
  const maps = fittingMaps(context, job);
  const found = job.fingerprint === null ? null : await rememberedMapping(db, actorOf(context.principal), job.object, job.fingerprint);
  const remembered = found === null ? null : rewritten(found, job.header);
  const [map] = maps;
  const columns = guess.map(({ column, field, confidence }) => ({ column, field: confidence === 'same' ? field : null }));
  const fresh: ImportSettings = map === undefined ? { ...DEFAULT_SETTINGS, columns } : { ...DEFAULT_SETTINGS, map: map.name };
  return {
    header: job.header,
    rows: (first?.rows ?? []).slice(0, SHOWN_ROWS).map(({ line, cells }) => ({ line, cells: cells.map(cellText) })),
    guess,
    maps,
    remembered,
    suggested: remembered ?? fresh,
  };
}

/** A text that occurs in a column, how often, and the code it probably stands for. */
export interface ColumnValue {
  readonly value: string;
  readonly count: number;
  readonly code: string | null;
}

/**
 * The texts of a column over the whole file, most frequent first, for mapping them to the values of a field.
 * @throws AppError bad_request for a column that the file has not
 */
export async function columnValues(
  db: Knex,
  context: CallContext,
  job: ImportJob,
  column: string,
  fieldName: string | null,
): Promise<{ readonly data: readonly ColumnValue[]; readonly more: boolean }> {
  const at = job.header.indexOf(column);
  if (at < 0)
    throw new AppError('bad_request', `The file has no column "${column}".`, {
      errors: [{ pointer: '/column', code: 'missing_column', detail: `The file has no column "${column}".`, ...suggestion(column, job.header) }],
    });
  const field = fieldName === null ? undefined : context.model.objects.get(job.object)?.fields.get(fieldName);
  const counts = new Map<string, number>();
  for (let ordinal = 0; ; ordinal += 1) {
    const block = await stagedBlock(db, job.id, ordinal);
    if (block === null) break;
    for (const { cells } of block.rows) {
      const text = cellText(cells[at]);
      const known = counts.get(text);
      if (known !== undefined || counts.size <= 10 * MOST_VALUES) counts.set(text, (known ?? 0) + 1);
    }
  }
  counts.delete('');
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const data = sorted.slice(0, MOST_VALUES).map(([value, count]) => ({ value, count, code: field === undefined ? null : guessValue(field, value) }));
  return { data, more: sorted.length > MOST_VALUES };
}
