import { expect } from 'chai';
import { sourcesBelow } from './sources.ts';

/** Import table of docs/architecture.md: each part of the platform, and the parts to its left that it may import. */
const LAYERS: readonly (readonly string[])[] = [
  ['leaf'],
  ['metadata'],
  ['expression'],
  ['calendar'],
  ['model'],
  ['schema', 'access'],
  ['query'],
  ['record'],
  ['policies', 'identity', 'files', 'documents', 'mail', 'forms', 'import', 'analytics', 'webhooks'],
  ['automation'],
];

const layerOf = (part: string): number => LAYERS.findIndex((layer) => layer.includes(part));

/** The part of the platform that a path belongs to. */
function partOf(path: string): string {
  const [, , part = '', ...rest] = path.split('/');
  return rest.length === 0 ? 'leaf' : part;
}

describe('imports', () => {
  const platform = sourcesBelow('src/platform');

  it('looks at the whole platform', () => {
    expect(platform.length).to.be.greaterThan(100);
    expect(platform.flatMap((file) => file.imports).length).to.be.greaterThan(400);
  });

  it('of the platform point to the left only', () => {
    const wrong: string[] = [];
    for (const file of platform) {
      const from = partOf(file.path);
      for (const target of file.imports) {
        if (target.startsWith('migrations/') && from === 'schema') continue;
        const to = partOf(target);
        const isPlatform = target.startsWith('src/platform/');
        const inJobs = from === 'jobs' && to !== 'leaf' && to !== 'jobs';
        const fromJobs = to === 'jobs' && from !== 'jobs' && from !== 'automation' && from !== 'webhooks';
        const ordered = from === to || from === 'jobs' || to === 'jobs' || (layerOf(to) >= 0 && layerOf(to) <= layerOf(from));
        if (!isPlatform || inJobs || fromJobs || !ordered) wrong.push(`${file.path} -> ${target}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('of network modules never name another network module', () => {
    const wrong = sourcesBelow('src/network').flatMap((file) => {
      const own = file.path.split('/').slice(0, 3).join('/');
      return file.imports
        .filter(
          (target) =>
            !target.startsWith('src/platform/') && !target.startsWith(`${own}/`) && !(own === 'src/network/synthetic' && target.startsWith('src/network/npi/')),
        )
        .map((target) => `${file.path} -> ${target}`);
    });
    expect(wrong).to.deep.equal([]);
  });

  it('of http are the platform and itself: no domain module, no knex value', () => {
    const files = sourcesBelow('src/http');
    expect(files.length).to.be.greaterThan(10);
    const wrong = files.flatMap((file) =>
      file.imports.filter((target) => !target.startsWith('src/platform/') && !target.startsWith('src/http/')).map((target) => `${file.path} -> ${target}`),
    );
    expect(wrong).to.deep.equal([]);
    const knex = files.filter((file) => /import (?!type)[^;]*from 'knex'/.test(file.text)).map((file) => file.path);
    expect(knex).to.deep.equal([]);
  });

  it('of the console are types and itself', () => {
    const files = sourcesBelow('src/console');
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((target) => !target.startsWith('src/console/') && !target.startsWith('src/platform/forms/') && !target.startsWith('src/platform/expression/'))
        .filter(
          (target) =>
            !file.text.includes(`export type { FieldDescription, ObjectDescription } from '../http/api/describe.ts'`) || !target.startsWith('src/http/'),
        )
        .map((target) => `${file.path} -> ${target}`),
    );
    expect(wrong).to.deep.equal([]);
  });
});
