function refuse(): never {
  throw new TypeError('The Model is frozen: it is replaced whole, never changed.');
}

/** Freezes plain data, arrays, maps and sets, all the way down. Functions and class instances are left as they are. */
export function deepFreeze<T>(value: T, seen = new WeakSet<object>()): T {
  if (typeof value !== 'object' || value === null || seen.has(value)) return value;
  seen.add(value);
  if (value instanceof Map) {
    for (const member of value.values()) deepFreeze(member, seen);
    for (const method of ['set', 'delete', 'clear']) Object.defineProperty(value, method, { value: refuse });
  } else if (value instanceof Set) {
    for (const method of ['add', 'delete', 'clear']) Object.defineProperty(value, method, { value: refuse });
  } else {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return value;
    for (const member of Object.values(value)) deepFreeze(member, seen);
  }
  return Object.freeze(value);
}
