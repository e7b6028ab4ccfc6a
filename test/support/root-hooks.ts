import { endOfRun } from './database.ts';

/** Mocha's root hooks: at the end, no test may have left a database or a pool behind. */
export const mochaHooks = {
  async afterAll(): Promise<void> {
    const left = await endOfRun();
    if (left.length > 0) throw new Error(`Tests left these databases behind (call drop() in after): ${left.join(', ')}`);
  },
};
