import { expect } from 'chai';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { checkMetadata } from '../../src/platform/model/check.ts';
import { packageRoot } from '../../src/platform/root.ts';

describe('examples in docs/metadata.md', () => {
  it('pass the product’s own linter, laid over the shipped metadata', () => {
    const text = readFileSync(join(packageRoot(), 'docs', 'metadata.md'), 'utf8');
    const examples = [...text.matchAll(/```json (\S+)\n([\s\S]*?)```/g)];
    expect(examples.length).to.be.greaterThan(5);
    const folder = mkdtempSync(join(tmpdir(), 'credenza-examples-'));
    try {
      for (const [, name = '', json = ''] of examples) {
        const path = join(folder, 'metadata', `${name}.json`);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, json);
      }
      expect(checkMetadata(loadMetadata(metadataDirectories([folder])), EXTENSIONS)).to.deep.equal([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
