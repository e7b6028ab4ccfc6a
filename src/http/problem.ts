import type { ErrorRequestHandler, Request, Response } from 'express';
import { databaseTrouble } from '../platform/db.ts';
import { AppError, ERRORS, isAppError, type ErrorCode } from '../platform/errors.ts';
import { describeFailure } from '../platform/failure.ts';
import type { Log } from '../platform/log.ts';
import { requestIdOf } from './request-id.ts';

/** HTTP status of every error code; the only place that knows. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  invalid_query: 400,
  invalid_expression: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  validation_failed: 422,
  conflict_unique: 409,
  conflict_version: 412,
  conflict_reference: 409,
  conflict_state: 409,
  idempotency_in_flight: 409,
  idempotency_mismatch: 422,
  precondition_required: 428,
  payload_too_large: 413,
  unsupported_media_type: 415,
  metadata_invalid: 422,
  schema_refused: 409,
  model_changed: 503,
  rule_failed: 422,
  too_many_requests: 429,
  external_unavailable: 503,
  config_invalid: 500,
  data_directory_busy: 503,
  internal: 500,
};

/** What body parsing says, by the `type` of its errors. */
const BODY_ERRORS: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  'entity.too.large': { code: 'payload_too_large', detail: 'The body is larger than this address takes.' },
  'entity.parse.failed': { code: 'bad_request', detail: 'The body is not valid JSON.' },
  'encoding.unsupported': { code: 'unsupported_media_type', detail: 'This content encoding is not accepted.' },
  'charset.unsupported': { code: 'unsupported_media_type', detail: 'Send UTF-8.' },
  'request.size.invalid': { code: 'bad_request', detail: 'The body is not as long as Content-Length says.' },
  'request.aborted': { code: 'bad_request', detail: 'The request ended early.' },
  'parameters.too.many': { code: 'bad_request', detail: 'There are too many parameters.' },
};

/** What reading an uploaded form says, by the `code` of multer's errors. */
const UPLOAD_ERRORS: Readonly<Record<string, { readonly code: ErrorCode; readonly detail: string }>> = {
  LIMIT_FILE_SIZE: {
    code: 'payload_too_large',
    detail: 'The file is larger than 10 MB. Go back, choose a smaller one (a photo at lower quality, fewer pages) and send it again.',
  },
  LIMIT_FILE_COUNT: { code: 'payload_too_large', detail: 'These are too many files at once. Go back and send them one after the other.' },
  LIMIT_FIELD_VALUE: { code: 'payload_too_large', detail: 'One answer is too long. Go back and shorten it.' },
  LIMIT_FIELD_COUNT: { code: 'payload_too_large', detail: 'The form has more answers than this page takes. Go back and send fewer.' },
  LIMIT_PART_COUNT: { code: 'payload_too_large', detail: 'The form has more parts than this page takes. Go back and send fewer.' },
  LIMIT_UNEXPECTED_FILE: { code: 'bad_request', detail: 'This page takes no file there. Go back and send the form again.' },
};

/** Whatever was thrown, as an AppError; what is not known stays inside as `internal`. */
export function toAppError(error: unknown): AppError {
  if (isAppError(error)) return error;
  const type = memberOf(error, 'type');
  const known = typeof type === 'string' && Object.hasOwn(BODY_ERRORS, type) ? BODY_ERRORS[type] : undefined;
  if (known !== undefined) return new AppError(known.code, known.detail, { cause: error });
  if (error instanceof URIError) return new AppError('bad_request', 'The address holds a broken % sequence.', { cause: error });
  const code = memberOf(error, 'code');
  if (error instanceof Error && error.name === 'MulterError') {
    const upload = typeof code === 'string' && Object.hasOwn(UPLOAD_ERRORS, code) ? UPLOAD_ERRORS[code] : undefined;
    return new AppError(upload?.code ?? 'bad_request', upload?.detail ?? 'The form could not be read. Go back and send it again.', { cause: error });
  }
  if (databaseTrouble(error) !== null) {
    return new AppError('external_unavailable', 'The database does not answer. Try again in a moment.', { retryAfterSeconds: 5, cause: error });
  }
  return new AppError('internal', 'Something failed on our side. Give support the request id.', { cause: error });
}

function memberOf(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null
    ? Object.entries(Object.getOwnPropertyDescriptors(error)).find(([key]) => key === name)?.[1].value
    : undefined;
}

/** The problem document (RFC 9457) of an error. */
export function problemOf(error: AppError, requestId: string): Readonly<Record<string, unknown>> {
  const isPublic = ERRORS[error.code].public;
  return {
    type: `urn:credenza:problem:${error.code}`,
    title: ERRORS[error.code].title,
    status: STATUS[error.code],
    code: error.code,
    detail: isPublic ? error.message : 'Something failed on our side. Give support the request id.',
    requestId,
    ...(isPublic && error.errors.length > 0 ? { errors: error.errors } : {}),
    ...(isPublic ? error.extra : {}),
  };
}

/** Writes an error as application/problem+json. */
export function sendProblem(response: Response, error: AppError, requestId: string): void {
  if (error.retryAfterSeconds !== undefined) response.set('Retry-After', String(error.retryAfterSeconds));
  if (error.code === 'unauthenticated') response.set('WWW-Authenticate', 'Bearer');
  response
    .status(STATUS[error.code])
    .type('application/problem+json')
    .send(JSON.stringify(problemOf(error, requestId)));
}

/** The last middleware: every error of every route ends here, once. Unknown ones are logged with their stack, without data. */
export function makeProblemHandler(log: Log): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    const requestId = requestIdOf(request);
    const error = noted(log, thrown, requestId);
    if (response.headersSent) next(thrown);
    else sendProblem(response, error, requestId);
  };
}

/** For pages that people read: the same, as a page. Callers who do not ask for HTML get the problem document. */
export function makePageProblemHandler(log: Log, page: (title: string, message: string, request: Request) => string): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent || request.accepts('html') === false) {
      next(thrown);
      return;
    }
    const error = noted(log, thrown, requestIdOf(request));
    const title = STATUS[error.code] >= 500 ? 'Something failed on our side' : ERRORS[error.code].title;
    const message = ERRORS[error.code].public ? error.message : `Please try again in a moment. If you write to us, name this number: ${requestIdOf(request)}.`;
    if (error.retryAfterSeconds !== undefined) response.set('Retry-After', String(error.retryAfterSeconds));
    response
      .status(STATUS[error.code])
      .type('html')
      .send(page(title, message, request));
  };
}

function noted(log: Log, thrown: unknown, requestId: string): AppError {
  const error = toAppError(thrown);
  if (STATUS[error.code] >= 500) log.error({ requestId, code: error.code, ...describeCause(error) }, 'A request failed.');
  return error;
}

/** What failed below, and where: no value that was sent or stored (`platform/failure.ts`). */
function describeCause(error: AppError): { readonly cause: string; readonly stack: string } {
  const { cause } = error;
  if (!(cause instanceof Error)) return { cause: error.message, stack: '' };
  return { cause: describeFailure(cause).message, stack: (cause.stack ?? '').split('\n    at ').slice(1, 8).join(' < ') };
}
