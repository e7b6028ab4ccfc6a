const Mocha = require('mocha');

/** Mocha's usual report, and at its end the figures alone on a line: `12 passed, 0 failed, 1 skipped`. */
module.exports = class Figures extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      process.stdout.write(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}\n`);
    });
  }
};
