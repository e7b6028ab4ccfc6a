/** Class of search entries that hold no sensitive field. */
export const OPEN_CLASS = 'open';

/** Text as search compares it: compatibility forms and marks folded, lower case, single blanks. */
export function searchText(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(/\s+/gu, ' ').trim();
}

/** What `search_entry.keys` holds for a record: the searchable values, each folded, one blank between. */
export function searchKeys(values: readonly (string | null)[]): string {
  return values
    .flatMap((value) => (value === null ? [] : [searchText(value)]))
    .filter((value) => value !== '')
    .join(' ');
}
