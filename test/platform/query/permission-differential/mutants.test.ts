import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { packageRoot } from '../../../../src/platform/root.ts';
import { testServerUrl } from '../../../support/database.ts';

/** Faults as somebody could make them: in which file, what stands there, and what stands there instead. */
const MUTANTS: Readonly<Record<string, readonly [file: string, right: string, wrong: string]>> = {
  'the row rule is left out in expansions': [
    'query/expand',
    'const source = openSource(ctx, path.object);',
    'const source = { ...openSource(ctx, path.object), where: [] };',
  ],
  'the row rule is left out in counts': [
    'query/count',
    'select count(*) as n from ${source.from}${whereSql(source, conditions)}`',
    'select count(*) as n from ${source.from}${whereSql({ ...source, where: [] }, conditions)}`',
  ],
  'sorts do not ask for the grant of the field': [
    'query/sort',
    'const field = readableField(source, isDescending ? entry.slice(1) : entry, `sort/${index}`);',
    'const field = readableField({ ...source, rights: { ...source.rights, readable: new Set(source.object.fields.keys()) } }, isDescending ? entry.slice(1) : entry, `sort/${index}`);',
  ],
  'groups do not ask for the grant of the field': [
    'query/aggregate',
    'const field = readableField(source, name, `groupBy/${index}`);',
    'const field = readableField({ ...source, rights: { ...source.rights, readable: new Set(source.object.fields.keys()) } }, name, `groupBy/${index}`);',
  ],
  'values given in some rows are shown in all': [
    'access/secure.sql',
    'rights.conditional.has(field.name) ? fieldsPredicate(ctx, rights, [field.name], INNER) : null',
    'null',
  ],
  'filters see all rows of related objects': ['access/secure.sql', "table: (name) => secureRelation(ctx, name, 'any'),", 'table: (name) => base.table(name),'],
  'search looks into values that are given in other rows only': [
    'query/filter',
    'return isMasked(source.rights) ? ',
    'return isMasked(source.rights) && source.object.name === source.alias ? ',
  ],
  'formulas do not ask for their inputs': [
    'access/rights',
    'if (!formula.reads.every((path) => isPathOpen(',
    'if (!formula.reads.every((path) => path.steps.length > 0 || isPathOpen(',
  ],
};
const CASES = 1_500;
const SEED = 20_270_301;

const isBuilt = import.meta.filename.endsWith('.js');
/** Where `src`, `test` and `migrations` stand: the package, or what was built of it. */
const tree = resolve(import.meta.dirname, '../../../..');
const ending = isBuilt ? 'js' : 'ts';
const run = promisify(execFile);

describe('the naive evaluator of permissions finds a wrong planner', function () {
  this.timeout(300_000);
  let copy = '';

  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'credenza-mutant-'));
    for (const folder of ['src', 'test', 'migrations']) cpSync(join(tree, folder), join(copy, folder), { recursive: true });
    for (const name of ['package.json', 'node_modules']) symlinkSync(join(packageRoot(), name), join(copy, name));
  });
  after(() => {
    rmSync(copy, { recursive: true });
  });

  for (const [name, [file, right, wrong]] of Object.entries(MUTANTS)) {
    it(name, async () => {
      const path = join(copy, 'src', 'platform', `${file}.${ending}`);
      const text = readFileSync(path, 'utf8');
      expect(text.split(right).length, `what is made wrong stands once in ${file}`).to.equal(2);
      writeFileSync(
        path,
        text.replace(right, () => wrong),
      );
      try {
        const script = join(copy, 'test', 'platform', 'query', 'permission-differential', `run.${ending}`);
        const env = { ...process.env, TEST_DATABASE_URL: await testServerUrl() };
        const loader = isBuilt ? [] : ['--import=tsx'];
        const { stdout } = await run(process.execPath, [...loader, script, String(CASES), String(SEED), '1'], {
          env,
          cwd: packageRoot(),
          maxBuffer: 64_000_000,
        });
        const tally: unknown = JSON.parse(stdout);
        const found = typeof tally === 'object' && tally !== null && 'wrong' in tally && Array.isArray(tally.wrong) ? tally.wrong.length : 0;
        const asked = typeof tally === 'object' && tally !== null && 'cases' in tally ? Number(tally.cases) : 0;
        process.stdout.write(`      found after ${String(asked)} questions\n`);
        expect(found).to.equal(1);
      } finally {
        writeFileSync(path, text);
      }
    });
  }
});
