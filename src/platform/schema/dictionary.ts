import type { FieldModel, Model, ObjectModel } from '../model/types.ts';
import { wordsOf } from '../model/fields.ts';

/** The data dictionary: every object with its fields, relations, path, keys and checks, as Markdown. Reads only the Model. */
export function dictionaryOf(model: Model): string {
  const objects = [...model.objects.values()].sort((left, right) => (left.label < right.label ? -1 : 1));
  const contents = objects.map((object) => `- [${text(object.label)}](#${object.name.toLowerCase()}): ${String(object.fields.size)} fields`);
  const head = ['# Data dictionary', `Version ${String(model.version)} of the metadata, ${String(objects.length)} objects.`, contents.join('\n')];
  return `${[...head, ...objects.map((object) => objectPart(model, object))].join('\n\n')}\n`;
}

function objectPart(model: Model, object: ObjectModel): string {
  const fields = [...object.fields.values()].map((field) => [
    `\`${field.name}\``,
    text(field.label),
    typeWords(field),
    text(remarks(field)),
    text(field.help ?? ''),
  ]);
  const parts = [`<a id="${object.name.toLowerCase()}"></a>`, `## ${text(object.label)} (\`${object.name}\`)`];
  if (object.description !== null) parts.push(text(object.description));
  parts.push(table(['Field', 'Label', 'Type', 'Properties', 'Meaning'], fields));
  const lists = [...object.toMany.values()].map((relation) => [`\`${relation.name}\``, `\`${relation.object}\``, `\`${relation.via}\``]);
  if (lists.length > 0) parts.push('### Related lists', table(['List', 'Object', 'By its field'], lists));
  if (object.path !== null) parts.push('### Path', pathPart(object));
  const keys = object.unique.map((names) => `- Unique together: ${names.map((name) => `\`${name}\``).join(', ')}`);
  const checks = object.checks.map(({ name, message }) => `- ${text(name)}: ${text(message)}`);
  if (keys.length + checks.length > 0) parts.push('### What always holds', [...keys, ...checks].join('\n'));
  const rules = [...model.rules].filter(([, rule]) => objectOfRule(rule.on) === object.name).map(([name, rule]) => `- \`${name}\`: ${text(rule.label ?? '')}`);
  if (rules.length > 0) parts.push('### Rules on its records', rules.join('\n'));
  return parts.join('\n\n');
}

function pathPart(object: ObjectModel): string {
  const { path } = object;
  if (path === null) return '';
  const transitions = [...path.transitions.values()].map((transition) => [
    text(transition.label),
    transition.from.join(', '),
    transition.to,
    text(transition.guards.map((guard) => guard.message).join(' ')),
  ]);
  return table(['Step', 'From', 'To', 'Refused with'], transitions);
}

function objectOfRule(on: object): string | null {
  const [named] = ['created', 'updated', 'entered', 'left', 'deleted', 'restored', 'becameTrue'].flatMap((key) => (key in on ? [Reflect.get(on, key)] : []));
  return typeof named === 'string' ? named : null;
}

function typeWords(field: FieldModel): string {
  if (field.ref !== null) return `Reference to ${field.ref.to.map((name) => `[${name}](#${name.toLowerCase()})`).join(' or ')}`;
  const computed = field.kind === 'formula' || field.kind === 'rollup' ? `, ${field.kind === 'formula' ? 'computed' : 'counted from related records'}` : '';
  return `${wordsOf(field.valueKind)}${computed}`;
}

function remarks(field: FieldModel): string {
  const values = field.values?.values.filter((value) => value.active !== false).map((value) => `${value.code} (${value.label})`) ?? [];
  const formula = field.formula === null ? [] : [`= ${field.formula.text}`];
  const words = [
    field.required ? 'required' : '',
    field.unique ? 'unique' : '',
    field.readOnly && field.formula === null ? 'read only' : '',
    field.sensitive ?? '',
    field.maxLength === null ? '' : `at most ${String(field.maxLength)} characters`,
    field.minimum === null ? '' : `at least ${String(field.minimum)}`,
    field.maximum === null ? '' : `at most ${String(field.maximum)}`,
  ].filter((word) => word !== '');
  return [words.join(', '), values.join(', '), ...formula].filter((part) => part !== '').join('; ');
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}

/** Text as it may stand in a cell: people write what they like. */
function text(value: string): string {
  return value.replaceAll(/[\\|<>[\]`*_]/g, String.raw`\$&`).replaceAll(/\s+/g, ' ');
}
