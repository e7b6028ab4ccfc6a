import { isAppError } from '../errors.ts';
import type { ReadPath } from '../expression/types.ts';
import { KINDS, metadataPointer, pointerToken } from '../metadata/kinds.ts';
import type { Model } from '../model/types.ts';
import type { Affected } from './types.ts';

const MOST = 100;
/** Members that name the object which what stands beside and below them is about. */
const ABOUT = new Set(['object', 'created', 'updated', 'entered', 'left', 'deleted', 'restored', 'becameTrue', 'to']);

interface Search {
  readonly model: Model;
  readonly object: string;
  readonly field: string | null;
  readonly token: RegExp;
  readonly found: Affected[];
}

/**
 * Everything in the metadata that names a field of an object (or, without a field, the object): lists exactly,
 * expressions by what they read, templates by the word.
 */
export function findMentions(model: Model, object: string, field: string | null): readonly Affected[] {
  const word = field ?? object;
  const search: Search = { model, object, field, token: new RegExp(wholeWord(word)), found: [] };
  for (const { kind, noun } of KINDS) {
    for (const [name, file] of model.source[kind]) {
      const about = kind === 'objects' ? [name] : [];
      walk(search, file, about, (rest) => ({ what: `${noun} ${name}`, pointer: metadataPointer(kind, name, rest) }), '');
    }
  }
  const inTemplate = new RegExp(`\\{\\{[^}]*${wholeWord(word)}[^}]*\\}\\}`);
  for (const [name, text] of model.source.templates) {
    if (inTemplate.test(text)) search.found.push({ what: `template ${name}`, pointer: `templates/${name}.hbs` });
  }
  return search.found.slice(0, MOST);
}

/** A name by itself, not as a part of a kebab-case one; a sort order has a minus before it. */
function wholeWord(word: string): string {
  return `(?<!\\w|\\w-)${word}(?![\\w-])`;
}

type At = (rest: string) => Affected;

function walk(search: Search, node: unknown, about: readonly string[], at: At, path: string): void {
  if (typeof node === 'string') {
    if (names(search, node, about)) search.found.push(at(path));
  } else if (Array.isArray(node)) {
    node.forEach((item: unknown, index) => walk(search, item, about, at, path + pointerToken(index)));
  } else if (typeof node === 'object' && node !== null) {
    const members = Object.entries(node);
    const here = [...about, ...members.flatMap(([key, value]) => objectsNamed(search.model, key, value))];
    for (const [key, value] of members) {
      const place = path + pointerToken(key);
      const below = search.model.objects.has(key) ? [key] : here;
      const isOwnDefinition = path === '/properties' && place === path + pointerToken(search.field ?? '') && about[0] === search.object;
      if (key === search.field && below.includes(search.object) && !isOwnDefinition && typeof value !== 'object') search.found.push(at(place));
      if (search.field === null && key === search.object) search.found.push(at(place));
      if (!isOwnDefinition) walk(search, value, below, at, place);
    }
  }
}

function objectsNamed(model: Model, key: string, value: unknown): readonly string[] {
  if (typeof value !== 'string') return [];
  if (ABOUT.has(key)) return model.objects.has(value) ? [value] : [];
  const dated = key === 'date' ? value.split('.')[0] : undefined;
  return dated !== undefined && model.objects.has(dated) ? [dated] : [];
}

function names(search: Search, text: string, about: readonly string[]): boolean {
  if (!search.token.test(text)) return false;
  const isAbout = about.includes(search.object);
  if (search.field === null) return true;
  if (isAbout && text.split(',').some((part) => part.trim().replace(/^-/, '') === search.field)) return true;
  const readings = [...new Set(about)].flatMap((object) => readsOf(search.model, text, object));
  if (readings.length === 0) return isAbout || text.includes(search.object);
  return readings.some((reads) => reads.some((read) => read.steps.some((step) => step.object === search.object && step.field === search.field)));
}

/** What a text reads as an expression of an object; nothing when it is none. */
function readsOf(model: Model, text: string, object: string): readonly (readonly ReadPath[])[] {
  const record = { kind: 'record', object } as const;
  const uuid = { kind: 'uuid' } as const;
  try {
    return [model.expression(text, object, { user: uuid, subject: uuid, record, each: record, row: { kind: 'json' } }).reads];
  } catch (error) {
    if (isAppError(error, 'invalid_expression')) return [];
    throw error;
  }
}
