import { expect } from 'chai';
import { join } from 'node:path';
import { compileTemplate } from '../../../src/platform/documents/template-engine.ts';
import { splitFrontMatter } from '../../../src/platform/mail/templates.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { packageRoot } from '../../../src/platform/root.ts';

describe('shipped templates', () => {
  const templates = loadMetadata([join(packageRoot())]).templates;

  it('has mail and agreements', () => {
    expect([...templates.keys()].filter((name) => name.startsWith('mail/')).length).to.be.greaterThan(5);
    expect([...templates.keys()].some((name) => name.startsWith('agreements/'))).to.equal(true);
  });

  for (const [name, text] of templates) {
    if (!/^(?:mail|agreements|letters)\//.test(name)) continue;
    it(`${name} compiles: only known helpers and blocks, front matter as it should be`, () => {
      if (name === 'mail/_layout') return void compileTemplate(name, text, { escape: true, htmlNames: ['body'] });
      const isMail = name.startsWith('mail/') && !name.endsWith('.txt');
      const { values, body } = isMail ? splitFrontMatter(name, text, ['subject', 'preheader']) : { values: new Map<string, string>(), body: text };
      if (isMail) expect(values.get('subject')).to.be.a('string').and.not.to.equal('');
      for (const part of [...values.values(), body]) compileTemplate(name, part, { escape: true });
    });
  }
});
