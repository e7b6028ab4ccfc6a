import { checkExpression } from '../expression/check.ts';
import type { ExprSchema, TypedExpression } from '../expression/types.ts';
import { deepFreeze } from './freeze.ts';
import type { Model } from './types.ts';

/** Expressions of requests are many and alike: the most recent are kept. */
export function cachedChecker(schema: ExprSchema): Model['expression'] {
  const limit = 2000;
  const cache = new Map<string, TypedExpression>();
  return (text, object, variables) => {
    const key = JSON.stringify([object, text, variables ?? null]);
    const known = cache.get(key);
    if (known !== undefined) return known;
    const checked = deepFreeze(checkExpression(text, schema, { object, ...(variables === undefined ? {} : { variables }) }));
    const oldest = cache.size >= limit ? cache.keys().next() : undefined;
    if (oldest?.done === false) cache.delete(oldest.value);
    cache.set(key, checked);
    return checked;
  };
}
