import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/platform/root.ts';
import { referenceText } from './sample-world.ts';

// Writes docs/expressions.md anew: `npx tsx test/platform/expression/write-reference.ts`.
writeFileSync(join(packageRoot(), 'docs', 'expressions.md'), referenceText());
