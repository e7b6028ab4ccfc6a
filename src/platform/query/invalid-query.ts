import { AppError } from '../errors.ts';
import { suggestion } from '../metadata/suggest.ts';

/** The error for one wrong part of a query. `parameter` is its name, or a pointer below it such as `sort/1`. */
export function invalidQuery(parameter: string, detail: string, fix?: string): AppError {
  return new AppError('invalid_query', detail, {
    errors: [{ pointer: `/${parameter}`, code: 'invalid_query', detail, ...(fix === undefined ? {} : { fix }) }],
  });
}

/**
 * The error for a name that is not among the known ones. `known` must hold only what the caller may see: a hidden
 * name then answers exactly like one that does not exist.
 */
export function unknownName(parameter: string, object: string, what: string, name: string, known: Iterable<string>): AppError {
  return invalidQuery(parameter, `${object} has no ${what} "${name}".`, suggestion(name, known).fix);
}
