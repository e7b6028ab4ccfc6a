import { Ajv2020 as Ajv, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import express, { type Request, type RequestHandler } from 'express';
import { AppError, type ErrorDetail } from '../platform/errors.ts';

const jsonUpTo = (limit: string): RequestHandler => express.json({ limit, strict: false, type: () => true });
const parseOne = jsonUpTo('1mb');
/** 500 records at once (api.md) of 16 KB each. */
const parseMany = jsonUpTo('8mb');

/** Parses a JSON body of at most 1 MB, of a bulk write 8 MB; anything that says it is something else is refused, not ignored. */
export const jsonBody: RequestHandler = (request, response, next) => {
  const type = request.get('content-type');
  const hasBody = request.get('content-length') !== '0' && (request.get('content-length') !== undefined || request.get('transfer-encoding') !== undefined);
  if (hasBody && !/^application\/([\w.+-]+\+)?json\b/i.test(type ?? '')) {
    next(new AppError('unsupported_media_type', 'Send the body as application/json.'));
    return;
  }
  const parse = request.path.endsWith('/bulk') ? parseMany : parseOne;
  parse(request, response, next);
};

const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });

/** A checked body: the schema stands in the OpenAPI document too. */
export interface BodySchema<T> {
  readonly schema: Readonly<Record<string, unknown>>;
  readonly validate: ValidateFunction<T>;
}

/** Declares the shape of a body; the type parameter must say what the schema says. */
export function bodySchema<T>(schema: Readonly<Record<string, unknown>>): BodySchema<T> {
  return { schema, validate: ajv.compile<T>(schema) };
}

/** The body of a request as its schema says. @throws AppError bad_request with every finding */
export function readBody<T>(request: Request, { validate }: BodySchema<T>): T {
  const body: unknown = request.body ?? null;
  if (validate(body)) return body;
  const errors = (validate.errors ?? []).map(toDetail);
  throw new AppError('bad_request', errors[0]?.detail ?? 'The body is not as this address expects it.', { errors });
}

function toDetail(error: ErrorObject): ErrorDetail {
  const at = error.instancePath === '' ? 'The body' : `"${error.instancePath}"`;
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(error.params['additionalProperty']);
      return { pointer: `${error.instancePath}/${name}`, code: 'unknown_member', detail: `${at} has no member "${name}".` };
    }
    case 'required':
      return {
        pointer: `${error.instancePath}/${String(error.params['missingProperty'])}`,
        code: 'required',
        detail: `${at} needs "${String(error.params['missingProperty'])}".`,
      };
    default:
      return { pointer: error.instancePath, code: error.keyword, detail: `${at} ${error.message ?? 'is wrong'}.` };
  }
}
