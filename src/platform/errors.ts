/**
 * Every failure the platform reports is an AppError whose code is a key of ERRORS. HTTP status is decided in
 * `http/problem.ts`, never here. A message says what was wrong, where, and what to do.
 */
export const ERRORS = {
  bad_request: { public: true, title: 'The request cannot be read' },
  invalid_query: { public: true, title: 'The query names something that does not exist or cannot be asked' },
  invalid_expression: { public: true, title: 'The expression is wrong' },
  unauthenticated: { public: true, title: 'Sign in first' },
  forbidden: { public: true, title: 'You may not do this' },
  not_found: { public: true, title: 'There is no such thing, or you may not see it' },
  validation_failed: { public: true, title: 'Some values are missing or wrong' },
  conflict_unique: { public: true, title: 'Another record already has this value' },
  conflict_version: { public: true, title: 'Somebody changed this record since you read it' },
  conflict_reference: { public: true, title: 'Other records still point here, or the record pointed to is gone' },
  conflict_state: { public: true, title: 'The record is not in a state that allows this' },
  idempotency_in_flight: { public: true, title: 'The same request is still being worked on' },
  idempotency_mismatch: { public: true, title: 'This Idempotency-Key was used for another request' },
  precondition_required: { public: true, title: 'If-Match is needed' },
  payload_too_large: { public: true, title: 'The request is too large' },
  unsupported_media_type: { public: true, title: 'This content type is not accepted' },
  metadata_invalid: { public: true, title: 'The metadata is wrong' },
  schema_refused: { public: true, title: 'This schema change is not possible' },
  model_changed: { public: true, title: 'The metadata changed while the request ran' },
  rule_failed: { public: true, title: 'A rule could not be carried out' },
  too_many_requests: { public: true, title: 'Too many tries' },
  external_unavailable: { public: true, title: 'Another system does not answer' },
  config_invalid: { public: true, title: 'The configuration is wrong' },
  data_directory_busy: { public: true, title: 'Another process uses this data directory' },
  internal: { public: false, title: 'Something failed on our side' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** One finding about one place. `pointer` is an RFC 6901 JSON pointer into what was sent, or file#pointer for metadata. */
export interface ErrorDetail {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
  readonly rule?: string;
  readonly fix?: string;
}

export interface AppErrorOptions {
  readonly errors?: readonly ErrorDetail[];
  /** Extra members of the problem document, e.g. the current record of a stale write. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** The only error type thrown on purpose. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly ErrorDetail[];
  readonly extra: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors ?? [];
    this.extra = options.extra ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** True for an AppError, of the given code if one is given. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}
