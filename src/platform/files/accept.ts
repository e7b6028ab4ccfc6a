import { fileTypeFromBuffer } from 'file-type';
import { AppError } from '../errors.ts';

/** Accepted media types, each with the lower-case endings a name may have. */
export const ACCEPTED_TYPES: ReadonlyMap<string, readonly string[]> = new Map([
  ['application/pdf', ['pdf']],
  ['image/png', ['png']],
  ['image/jpeg', ['jpg', 'jpeg']],
  ['text/plain', ['txt', 'log', 'md']],
  ['text/csv', ['csv', 'txt']],
  ['message/rfc822', ['eml', 'txt']],
]);

const LISTED = 'PDF, PNG, JPEG, plain text, CSV or e-mail (.eml)';

/** The file's name without path, control characters or surplus length; it is shown and offered for download, never opened. */
export function cleanFileName(name: string): string {
  const base = name.normalize('NFC').split(/[\\/]/).at(-1) ?? '';
  const clean = base.replace(/[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g, '').trim();
  if (clean === '' || /^\.+$/.test(clean))
    throw new AppError('validation_failed', 'The file has no name.', { errors: [{ pointer: '/name', code: 'required', detail: 'The file has no name.' }] });
  return clean.length <= 200 ? clean : `${clean.slice(0, 180)}${clean.slice(-20)}`;
}

function isPlainText(bytes: Uint8Array): boolean {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
  return !/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text);
}

/**
 * Finds what the bytes really are; what the sender claims only chooses among the text types.
 * @throws AppError unsupported_media_type when they are none of the accepted types, or the name's ending says otherwise
 */
export async function sniffMediaType(name: string, claimed: string, bytes: Uint8Array): Promise<string> {
  const claimedType = claimed.toLowerCase().split(';')[0]?.trim() ?? '';
  const found = await fileTypeFromBuffer(bytes);
  const textType = claimedType.startsWith('text/') || claimedType === 'message/rfc822' ? claimedType : typeOfEnding(name);
  const mediaType = found === undefined ? (isPlainText(bytes) ? (textType ?? '') : '') : found.mime;
  const endings = ACCEPTED_TYPES.get(mediaType);
  if (endings === undefined) {
    throw new AppError('unsupported_media_type', `This file is not one of the accepted types: ${LISTED}.`, {
      errors: [{ pointer: '/file', code: 'file_type', detail: `Found ${found?.mime ?? 'content of no known type'}.`, fix: `Send a ${LISTED} file.` }],
    });
  }
  const ending = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase();
  if (ending !== undefined && !endings.includes(ending)) {
    throw new AppError('unsupported_media_type', `The file's name ends in .${ending}, but its content is ${mediaType}.`, {
      errors: [
        {
          pointer: '/file',
          code: 'file_ending',
          detail: `A ${mediaType} file ends in .${endings.join(' or .')}.`,
          fix: 'Save it in its own format and send it again.',
        },
      ],
    });
  }
  return mediaType;
}

function typeOfEnding(name: string): string | undefined {
  const ending = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase();
  if (ending === undefined) return undefined;
  return [...ACCEPTED_TYPES].find(([type, endings]) => (type.startsWith('text/') || type === 'message/rfc822') && endings[0] === ending)?.[0];
}
