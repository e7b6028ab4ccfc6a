import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '../../src/platform/errors.ts';
import { packageRoot } from '../../src/platform/root.ts';
import { sourcesBelow, withoutComments } from './sources.ts';

const all = sourcesBelow('src', 'migrations');
const tests = sourcesBelow('test');

/** Where statements may be written (docs/architecture.md). */
const SQL_PLACES = /^src\/platform\/(sql\.ts|query\/|schema\/|jobs\/)|\.sql\.ts$/;

describe('rules of the tree', () => {
  it('the platform and http name no object of the domain', () => {
    const names = readdirSync(join(packageRoot(), 'metadata', 'objects')).map((file) => file.replace(/\.json$/, ''));
    expect(names.length).to.be.greaterThan(15);
    const files = sourcesBelow('src/platform', 'src/http');
    const found = files.flatMap((file) => {
      const code = withoutComments(file.text);
      return names
        .filter((name) => new RegExp(`(?<![\\w-])['"\`]${name}['"\`]|\\b(?:interface|type|class|const|function|new) ${name}\\b|: ${name}\\b(?!\\w)`).test(code))
        .map((name) => `${file.path}: ${name}`);
    });
    expect(found).to.deep.equal([]);
  });

  it('only config.ts reads the environment', () => {
    const found = all.filter((file) => file.path !== 'src/config.ts' && withoutComments(file.text).includes('process.env')).map((file) => file.path);
    expect(found.filter((path) => !path.startsWith('src/cli/'))).to.deep.equal([]);
  });

  it('express is used in http only', () => {
    const found = all.filter((file) => file.packages.includes('express') && !file.path.startsWith('src/http/')).map((file) => file.path);
    expect(found).to.deep.equal([]);
  });

  it('statements are written in their places only', () => {
    const found = all
      .filter((file) => !file.path.startsWith('migrations/') && !SQL_PLACES.test(file.path))
      .filter((file) => /\bsql`|\b(db|tx|trx|knex)\.raw\b|whereRaw\(/.test(withoutComments(file.text)))
      .map((file) => file.path);
    expect(found).to.deep.equal([]);
  });

  it('no file is longer than 400 lines', () => {
    expect([...all, ...tests].filter((file) => file.lines > 400).map((file) => `${file.path}: ${String(file.lines)}`)).to.deep.equal([]);
  });

  it('nothing escapes the type checker or is left for later', () => {
    const wrong = /: any\b|as any\b|<any>|as unknown as|@ts-ignore|@ts-expect-error|eslint-disable/;
    const later = /\b(TODO|FIXME)\b/;
    const files = all
      .filter((file) => wrong.test(withoutComments(file.text)) || /@ts-|eslint-disable/.test(file.text) || later.test(file.text))
      .map((file) => file.path);
    expect(files).to.deep.equal([]);
  });

  it('every error code has its HTTP status, its line in the documents and a test', () => {
    const problem = readFileSync(join(packageRoot(), 'src', 'http', 'problem.ts'), 'utf8');
    const documents = readFileSync(join(packageRoot(), 'docs', 'errors.md'), 'utf8');
    const tested = tests.map((file) => file.text).join('\n');
    for (const code of Object.keys(ERRORS)) {
      expect(problem, `${code} in problem.ts`).to.match(new RegExp(`\\b${code}\\b`));
      expect(documents, `${code} in docs/errors.md`).to.contain(`\`${code}\``);
      expect(tested, `${code} in a test`).to.match(new RegExp(`['"\`]${code}['"\`]`));
    }
  });

  it('no path of a machine and no registry stands in the tree', () => {
    const wrong = new RegExp(['/', 'work', '/main|registry', '\\.npmjs'].join(''));
    expect([...all, ...tests].filter((file) => wrong.test(file.text)).map((file) => file.path)).to.deep.equal([]);
  });
});
