import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { isAppError } from '../errors.ts';
import type { FileStore } from '../files/types.ts';
import { actorOf } from '../record/actor.ts';
import type { ParsedFile, ParsedMessage } from './parsed.ts';

/** A file of a message as it was kept, or why it was not. */
export interface KeptFile {
  readonly name: string;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /** Id in the file store; null when it was refused. */
  readonly fileId: string | null;
  /** Why it was refused, and what its sender can do; null when it was kept. */
  readonly note: string | null;
}

/** Most files of one message that are kept: more are no letter. */
const MOST_FILES = 30;
/** Parts of a report about mails of ours, which is read and not kept as files. */
const REPORT_TYPES: readonly string[] = ['message/delivery-status', 'text/rfc822-headers'];
const ENDINGS: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'text/plain': 'txt',
  'text/csv': 'csv',
  'message/rfc822': 'eml',
};

/**
 * Puts the files of a message into the store. What the store refuses (type, size, nothing in it) is answered with the reason:
 * a stranger's file never keeps the message from being filed. The message itself is kept whole besides.
 */
export async function keepFiles(tx: Knex.Transaction, context: CallContext, store: FileStore, message: ParsedMessage): Promise<readonly KeptFile[]> {
  const kept: KeptFile[] = [];
  for (const [index, file] of message.files.filter((part) => !REPORT_TYPES.includes(part.mediaType)).entries()) {
    const name = nameOf(file, index + 1);
    const about = { name, mediaType: file.mediaType, size: file.bytes.length };
    kept.push({
      ...about,
      ...(index < MOST_FILES
        ? await keep(tx, context, store, { ...file, name })
        : refused(`Only the first ${String(MOST_FILES)} files of a message are kept.`)),
    });
  }
  return kept;
}

/** The file's name without path; one of our own where it has none. */
function nameOf({ name, mediaType }: ParsedFile, number: number): string {
  const base = name.split(/[\\/]/).at(-1)?.trim() ?? '';
  const ending = ENDINGS[mediaType];
  return /^\.*$/.test(base) ? `attachment-${String(number)}${ending === undefined ? '' : `.${ending}`}` : base;
}

type Outcome = Pick<KeptFile, 'fileId' | 'note'>;

const refused = (note: string): Outcome => ({ fileId: null, note });

async function keep(tx: Knex.Transaction, context: CallContext, store: FileStore, { name, mediaType, bytes }: ParsedFile): Promise<Outcome> {
  try {
    const stored = await store.put(tx, { name, mediaType, bytes, by: actorOf(context.principal), at: context.now });
    return { fileId: stored.id, note: null };
  } catch (error) {
    // The store looks at a file before it writes anything of it.
    if (!isAppError(error) || !['unsupported_media_type', 'payload_too_large', 'validation_failed'].includes(error.code)) throw error;
    const [first] = error.errors;
    return refused([error.message, ...(first === undefined || first.detail === error.message ? [] : [first.detail])].join(' '));
  }
}

/** The refused files with the reasons, for the people who read the message; null when everything was kept. */
export function noteOf(files: readonly KeptFile[]): string | null {
  const lines = files.flatMap((file) => (file.note === null ? [] : [`${file.name}: ${file.note}`]));
  return lines.length === 0 ? null : `Not kept as files (the message itself is kept whole):\n${lines.join('\n')}`;
}
