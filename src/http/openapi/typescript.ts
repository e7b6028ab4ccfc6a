import type { Json } from './parts.ts';

/** JSON Schema, as far as the document uses it, to a TypeScript type. Names of components are names of types. */
export function typeOf(schema: unknown, indent = ''): string {
  const node = members(schema);
  const target = node['$ref'];
  if (typeof target === 'string') return target.includes('/$defs/') ? 'unknown' : typeName(target.slice(target.lastIndexOf('/') + 1));
  if ('const' in node) return literal(node['const']);
  if (Array.isArray(node['enum'])) return union(node['enum'].map(literal));
  for (const key of ['oneOf', 'anyOf']) {
    const options = node[key];
    if (Array.isArray(options)) return union(options.map((option) => typeOf(option, indent)));
  }
  const type = node['type'];
  if (Array.isArray(type)) return union(type.map((single) => typeOf({ ...node, type: single }, indent)));
  switch (type) {
    case 'string':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'null':
      return 'null';
    case 'array':
      return `readonly ${itemType(members(node['items']), indent)}[]`;
    case 'object':
      return objectType(node, indent);
    default:
      return 'unknown';
  }
}

function objectType(node: Json, indent: string): string {
  const required = Array.isArray(node['required']) ? node['required'] : [];
  const inner = `${indent}  `;
  const lines = Object.entries(members(node['properties'])).map(([name, schema]) => {
    const note = comment(members(schema), inner);
    return `${note}${inner}readonly ${propertyName(name)}${required.includes(name) ? '' : '?'}: ${typeOf(schema, inner)};`;
  });
  const rest = node['additionalProperties'];
  if (lines.length === 0)
    return rest === false
      ? 'Readonly<Record<string, never>>'
      : `Readonly<Record<string, ${rest === true || rest === undefined ? 'unknown' : typeOf(rest, indent)}>>`;
  return `{\n${lines.join('\n')}\n${indent}}`;
}

/** What a reader should know of a member, before it. */
export function comment(schema: Json, indent: string): string {
  const words = [schema['title'], schema['description']].filter((part) => typeof part === 'string');
  return words.length === 0 ? '' : `${indent}/** ${words.join(': ').replaceAll('*/', '* /').replaceAll(/\s+/g, ' ')} */\n`;
}

function union(options: readonly string[]): string {
  const all = [...new Set(options)];
  return all.includes('unknown') ? 'unknown' : all.length === 0 ? 'never' : all.join(' | ');
}

function itemType(items: Json, indent: string): string {
  const type = typeOf(items, indent);
  const isJoined = ['oneOf', 'anyOf', 'enum'].some((key) => key in items) || Array.isArray(items['type']) || items['type'] === 'array';
  return isJoined && type.includes(' ') ? `(${type})` : type;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? quoted(value) : JSON.stringify(value);
}

/** Text as the client's source has it. */
export function quoted(text: string): string {
  return /['\\\p{Cc}\u2028\u2029]/u.test(text) ? JSON.stringify(text) : `'${text}'`;
}

/** What the client's own code names; an object of such a name gets an ending. */
const TAKEN: ReadonlySet<string> = new Set(
  'BodyInit Client ClientOptions Error Headers JSON Kind Object ProblemError Promise Readonly Record Sent String URL Uint8Array'.split(' '),
);

export function typeName(component: string): string {
  return TAKEN.has(component) ? `${component}_` : component;
}

export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name);
}

/** The members of a JSON object, none of anything else. */
export function members(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};
}
