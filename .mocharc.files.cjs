// Used when files are named (`npm test -- test/x.test.ts`): mocha would add the files of the usual configuration.
const { spec, ...rest } = require('./.mocharc.cjs');
module.exports = rest;
