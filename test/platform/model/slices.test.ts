import { expect } from 'chai';
import { EXTENSIONS, metadataDirectories } from '../../../src/extensions.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { compileModel, compileModelInSlices } from '../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import { atOnce, inSlices, type Steps } from '../../../src/platform/model/slices.ts';
import { setOf, objectFile } from '../schema/builders.ts';

describe('work in slices', () => {
  it('lets others have their turn between its parts, and has the result of the work at once', async () => {
    const parts: string[] = [];
    function* work(): Steps<number> {
      for (let part = 0; part < 3; part += 1) {
        // Longer than a slice.
        for (const from = performance.now(); performance.now() - from < 6;);
        parts.push(`part ${String(part)}`);
        yield;
      }
      return 7;
    }
    const sliced = inSlices(work());
    setImmediate(() => parts.push('other'));
    expect(await sliced).to.equal(7);
    expect(parts.filter((part) => part !== 'other')).to.deep.equal(['part 0', 'part 1', 'part 2']);
    expect(parts.indexOf('other')).to.be.below(parts.indexOf('part 2'));
    expect(atOnce(work())).to.equal(7);
  });

  it('compiles to the same Model, frozen as well, while others have their turn', async () => {
    const set = completeIds(loadMetadata(metadataDirectories([])));
    const input = { set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'test', extensions: EXTENSIONS };
    const whole = compileModel(input);
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const model = await compileModelInSlices(input);
    isOver = true;
    expect(turns).to.be.above(1);
    expect(model.hash).to.equal(whole.hash);
    expect([...model.objects.keys()]).to.deep.equal([...whole.objects.keys()]);
    for (const [name, object] of model.objects)
      expect(JSON.stringify([...object.fields]), name).to.equal(JSON.stringify([...(whole.objects.get(name)?.fields ?? [])]));
    expect(Object.isFrozen(model)).to.equal(true);
    for (const object of model.objects.values()) for (const field of object.fields.values()) expect(Object.isFrozen(field), field.name).to.equal(true);
  });

  it('reports what is wrong with the metadata as compiling at once does', async () => {
    const set = completeIds(setOf({ Garden: objectFile('Garden', { name: { type: 'string' }, twice: { type: 'number', 'x-formula': 'name * 2' } }) }));
    const input = { set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'test', extensions: {} };
    const found = await compileModelInSlices(input).then(
      () => 'compiled',
      (error: unknown) => String(error),
    );
    expect(() => compileModel(input)).to.throw(found.replace(/^\w*: /, '').slice(0, 40));
    expect(found).to.contain('twice');
  });
});
