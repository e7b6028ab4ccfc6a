import { urlencoded, type Request, type RequestHandler } from 'express';
import multer from 'multer';
import { AppError } from '../../platform/errors.ts';

const MAX_UPLOAD_BYTES = 10 * 1024 * 1024;

export function body(request: Request): Readonly<Record<string, unknown>> {
  const sent: unknown = request.body;
  return typeof sent === 'object' && sent !== null ? Object.fromEntries(Object.entries(sent)) : {};
}

export function text(request: Request, name: string): string {
  const value = body(request)[name];
  return typeof value === 'string' ? value : '';
}

const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: MAX_UPLOAD_BYTES, files: 5, fields: 2000, fieldSize: 256 * 1024 } });

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

/** Reads a form whose files are dropped: answers alone. */
export const answersOnly: RequestHandler = multipart(upload.none());

/** Reads a form with the documents that were chosen. */
export const answersAndFiles: RequestHandler = multipart(upload.any());

/** Reads a form of few short answers. */
export const plainForm: RequestHandler = urlencoded({ extended: false, limit: '256kb', parameterLimit: 2000 });
