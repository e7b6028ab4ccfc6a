import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KINDS } from './kinds.ts';
import { idIn, REMOVED_FILE } from './load.ts';
import { canonicalJson } from './store-form.ts';
import type { CalendarFile, MetadataSet } from './types.ts';

/** A file as it would stand on disk, by its path below the package. */
export type WrittenFiles = ReadonlyMap<string, string>;

/**
 * The files that, laid over `below`, give `set`: what is new or changed as a whole, and a list of what is taken away.
 * Without `below` all of the set. Deterministic: the same sets give the same text. Pure.
 */
export function packageFiles(set: MetadataSet, below: MetadataSet | null): WrittenFiles {
  const files = new Map<string, string>();
  const removed: { readonly id: string; readonly what: string }[] = [];
  for (const { kind, folder } of KINDS) {
    const present = new Set([...set[kind].values()].map(idIn));
    for (const [name, file] of set[kind]) {
      const known = below?.[kind].get(name);
      if (known === undefined || canonicalJson(known) !== canonicalJson(file)) {
        const written = kind === 'calendars' ? withHolidayFiles(name, set.calendars.get(name), files) : file;
        files.set(`metadata/${folder}/${name}.json`, pretty(written));
      }
    }
    for (const [name, file] of below?.[kind] ?? []) if (!present.has(idIn(file))) removed.push({ id: idIn(file) ?? name, what: `${folder}/${name}` });
  }
  for (const [name, text] of set.templates) if (below?.templates.get(name) !== text) files.set(`templates/${name}.hbs`, text);
  for (const name of below?.templates.keys() ?? []) if (!set.templates.has(name)) removed.push({ id: name, what: `templates/${name}` });
  if (removed.length > 0) files.set(`metadata/${REMOVED_FILE}`, pretty(removed));
  return files;
}

/** A calendar's holidays stand in files of their own beside it. */
function withHolidayFiles(name: string, calendar: CalendarFile | undefined, files: Map<string, string>): unknown {
  if (calendar === undefined) return undefined;
  const holidays = calendar.holidays.map((source, index) => {
    if (source === 'us-federal' || 'on' in source) return source;
    const path = `calendars/${name}-${String(index + 1)}.csv`;
    files.set(`metadata/${path}`, source.csv);
    return { csv: path };
  });
  return { ...calendar, holidays };
}

function pretty(content: unknown): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** Writes files below a directory, making folders as needed. */
export function writePackage(directory: string, files: WrittenFiles): void {
  for (const [path, text] of files) {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}
