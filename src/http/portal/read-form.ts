import { urlencoded, type Request, type RequestHandler } from 'express';
import multer, { type StorageEngine } from 'multer';
import { AppError } from '../../platform/errors.ts';

/** A document may have so many bytes. */
export const MAX_UPLOAD_BYTES = 10 * 1024 * 1024;
/** What is sent beyond that is read and dropped, so that the answers beside it are kept; and this much is not even read. */
const MAX_READ_BYTES = 100 * 1024 * 1024;

const LIMITS = { files: 5, fields: 2000, fieldSize: 256 * 1024 } as const;

export function body(request: Request): Readonly<Record<string, unknown>> {
  const sent: unknown = request.body;
  return typeof sent === 'object' && sent !== null ? Object.fromEntries(Object.entries(sent)) : {};
}

export function text(request: Request, name: string): string {
  const value = body(request)[name];
  return typeof value === 'string' ? value : '';
}

/** Keeps files in memory; of one that is too large its size alone. */
const upToLimit: StorageEngine = {
  _handleFile(_request, file, done) {
    let chunks: Uint8Array[] = [];
    let size = 0;
    file.stream.on('data', (chunk: Uint8Array) => {
      size += chunk.length;
      if (size > MAX_UPLOAD_BYTES) chunks = [];
      else chunks.push(chunk);
    });
    file.stream.on('error', (error: Error) => done(error));
    file.stream.on('end', () => done(null, { size, buffer: Buffer.concat(chunks) }));
  },
  _removeFile: (_request, _file, done) => done(null),
};

/** Reads a multipart form. Anything else is refused: taken for an empty form it would wipe out the answers of the page. */
function multipart(read: RequestHandler): RequestHandler {
  return (request, response, next) => {
    const again = 'Go back and send the form again.';
    if (request.is('multipart/form-data') === false)
      return next(new AppError('unsupported_media_type', `The form came in a shape that this page does not take. ${again}`));
    return read(request, response, (error: unknown) => {
      const isKnown = error === undefined || (error instanceof Error && error.name === 'MulterError');
      next(isKnown ? error : new AppError('bad_request', `The form did not arrive whole. ${again}`, { cause: error }));
    });
  };
}

/** Reads the answers of a form; files that come with them are not kept. */
export const answersOnly: RequestHandler = multipart(
  multer({ limits: { ...LIMITS, fileSize: MAX_READ_BYTES }, fileFilter: (_request, _file, keep) => keep(null, false) }).any(),
);

/** Reads a form with the documents that were chosen. */
export const answersAndFiles: RequestHandler = multipart(multer({ storage: upToLimit, limits: { ...LIMITS, fileSize: MAX_READ_BYTES } }).any());

/** Reads a form of few short answers. */
export const plainForm: RequestHandler = urlencoded({ extended: false, limit: '256kb', parameterLimit: 2000 });

/** A name in words: `licenses.0.issuedOn` is "Licenses 1: issued on". */
function nameInWords(name: string): string {
  const words = (part: string): string => part.replaceAll(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  const [first = '', index, field] = name.split('.');
  const label = words(first).replace(/^./, (letter) => letter.toUpperCase());
  return index === undefined || field === undefined ? label : `${label} ${String(Number(index) + 1)}: ${words(field)}`;
}

/** What somebody typed into a form that could not be taken, for reading and copying: hidden inputs and buttons left out. */
export function typedIn(request: Request): readonly { readonly label: string; readonly value: string }[] {
  return Object.entries(body(request)).flatMap(([name, value]) => {
    const typed = [value].flat().filter((entry) => typeof entry === 'string' && entry.trim() !== '');
    const isHidden = name.startsWith('$') || name === 'action' || name === 'seenHash' || name.endsWith('.id');
    return isHidden || typed.length === 0 ? [] : [{ label: nameInWords(name), value: typed.join(', ') }];
  });
}
