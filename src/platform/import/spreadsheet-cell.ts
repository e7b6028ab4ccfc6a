/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^'*[=+\-@\t\r]/;
const NUMBER = /^[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?%?$/;

/**
 * A text as a cell of a file that people open in a spreadsheet: what would begin a formula gets an apostrophe before it, which
 * spreadsheets read as "this is text". Numbers stay what they are.
 */
export function defuse(text: string): string {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}

/** Takes the apostrophe of `defuse` away again, so that what was exported comes back as it was. */
export function undefuse(text: string): string {
  return text.charCodeAt(0) === 39 && FORMULA.test(text) ? text.slice(1) : text;
}

/** Headings of the columns that an error file has before those of the file itself. A file that begins with them is one that comes back. */
export const ERROR_COLUMNS = ['import:line', 'import:column', 'import:reason'] as const;

/** True when a header is that of an error file. */
export function isErrorFile(header: readonly string[]): boolean {
  return ERROR_COLUMNS.every((name, index) => header[index] === name);
}
