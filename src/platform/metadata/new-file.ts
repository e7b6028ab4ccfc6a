import { AppError } from '../errors.ts';
import { metadataId, type RandomBytes } from '../ids.ts';
import { KINDS, type KindEntry } from './kinds.ts';
import { suggestion } from './suggest.ts';

/** The kind that a word on the command line means: `rule`, `rules`, `value-set`. @throws AppError bad_request with a suggestion */
export function kindNamed(word: string): KindEntry {
  const wanted = word.toLowerCase().replaceAll(' ', '-');
  const found = KINDS.find((entry) => [entry.schema, entry.folder, entry.noun.replaceAll(' ', '-')].includes(wanted));
  if (found !== undefined) return found;
  const { fix } = suggestion(
    wanted,
    KINDS.map((entry) => entry.schema),
  );
  throw new AppError('bad_request', `"${word}" is not a kind of metadata. ${fix ?? ''}`.trim());
}

/** The least that a file of a kind may hold, with its ids; what it names by way of example is to be replaced. */
export function newFile(entry: KindEntry, name: string, random?: RandomBytes): Readonly<Record<string, unknown>> {
  const wanted = entry.kind === 'objects' ? /^[A-Z][A-Za-z0-9]{0,59}$/ : /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
  if (!wanted.test(name)) {
    const example = entry.kind === 'objects' ? 'PascalCase, such as License' : 'kebab-case, such as license-expiring';
    throw new AppError('bad_request', `"${name}" cannot name ${article(entry.noun)}: such names are ${example}.`);
  }
  const words = name.replaceAll('-', ' ').replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2');
  const title = words.charAt(0).toUpperCase() + words.slice(1).toLowerCase();
  const $schema = `../schema/${entry.schema}.json`;
  const id = metadataId(random);
  if (entry.kind !== 'objects') return { $schema, id, name, ...CONTENT[entry.kind](title) };
  const field = { title: 'Name', type: 'string', 'x-id': metadataId(random) };
  return {
    $schema,
    title,
    'x-object': { id, plural: `${title}s`, name: '{name}', search: ['name'] },
    type: 'object',
    properties: { name: field },
    required: ['name'],
  };
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

const OBJECT = 'Name';

const CONTENT: Readonly<Record<Exclude<KindEntry['kind'], 'objects'>, (title: string) => Readonly<Record<string, unknown>>>> = {
  valueSets: (title) => ({ label: title, values: [{ code: 'first', label: 'First' }] }),
  paths: () => ({
    object: OBJECT,
    field: 'status',
    initial: 'open',
    states: [
      { name: 'open', label: 'Open', kind: 'open' },
      { name: 'done', label: 'Done', kind: 'won' },
    ],
    transitions: [{ name: 'finish', label: 'Finish', from: ['open'], to: 'done' }],
  }),
  forms: (title) => ({ title, object: OBJECT, pages: [{ name: 'first', title, sections: [{ title, fields: [{ field: 'name' }] }] }] }),
  views: (title) => ({ label: title, object: OBJECT, columns: ['name'] }),
  layouts: () => ({ object: OBJECT, highlights: ['name'], sections: [{ title: 'Details', fields: ['name'] }], related: [] }),
  rules: (title) => ({ label: title, on: { created: OBJECT }, do: [{ step: 'update', values: { name: 'name' } }] }),
  policies: (title) => ({
    label: title,
    keys: { kind: 'text' },
    match: 'first',
    results: { value: 'text?' },
    versions: [{ effective: '2026-01-01', approvedBy: 'Who approved it', rows: [{ band: 'any', when: 'true', then: { value: null } }] }],
  }),
  calendars: (title) => ({ label: title, zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5], holidays: ['us-federal'] }),
  permissions: (title) => ({ label: title, audience: 'staff', objects: { [OBJECT]: { read: true } } }),
  mailboxes: (title) => ({
    label: title,
    address: 'name@plan.example',
    creates: {
      thread: { object: OBJECT, values: { name: 'mail.subject' } },
      message: { object: OBJECT, reference: 'thread', values: { name: 'mail.text' } },
    },
  }),
  imports: (title) => ({ label: title, targets: { [OBJECT]: { key: ['name'], fields: { name: "col('Name')" } } }, requires: ['Name'] }),
  matching: (title) => ({ label: title, object: OBJECT, rules: [{ name: 'same-name', label: 'Same name', keys: ['name'], action: 'report' }] }),
  reports: (title) => ({ label: title, stages: [{ label: 'All', object: OBJECT, filter: 'true' }] }),
};
