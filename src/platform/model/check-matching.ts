import { metadataPointer } from '../metadata/kinds.ts';
import { fieldAt, objectAt, type CheckScope } from './check-scope.ts';

/** Duplicate rules: objects and fields exist, keys are texts made of the record's own fields, compared fields hold text. */
export function checkMatching(scope: CheckScope): void {
  for (const file of scope.model.matching.values()) {
    const at = (rest: string): string => metadataPointer('matching', file.name, rest);
    const object = objectAt(scope, file.object, at('/object'));
    if (object === null) continue;
    file.rules.forEach((rule, index) => {
      const base = `/rules/${String(index)}`;
      rule.keys.forEach((text, place) => {
        const pointer = at(`${base}/keys/${String(place)}`);
        const key = scope.checkAt(text, object.name, pointer, { kind: 'text' });
        const isOwn = key?.reads.every((read) => read.steps.length === 1 && read.steps[0]?.kind === 'value') !== false;
        if (!isOwn)
          scope.errors.push({
            pointer,
            code: 'wrong_key',
            detail: 'A key is made of stored fields of the record itself: it must not change without the record.',
          });
      });
      rule.compare?.forEach(({ field }, place) => {
        const pointer = at(`${base}/compare/${String(place)}/field`);
        fieldAt(scope, object, field, pointer);
        const found = object.fields.get(field);
        if (found !== undefined && (found.column === null || found.formula !== null || found.ref !== null || typeof found.sortColumn !== 'string'))
          scope.errors.push({ pointer, code: 'wrong_type', detail: `${object.name}.${field} is no stored short text, so it cannot be compared.` });
      });
    });
  }
}
