import { endOfRun } from '../../../support/database.ts';
import { compareAll } from './compare.ts';

/** For the mutants: `run <cases> <seed> <most>` says as JSON what was found. */
const [cases, seed, most] = process.argv.slice(2).map(Number);
const tally = await compareAll({ cases: cases ?? 0, seed: seed ?? 0, most: most ?? 1 });
await endOfRun();
process.stdout.write(JSON.stringify(tally));
