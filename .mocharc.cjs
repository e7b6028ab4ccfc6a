module.exports = {
  spec: ['dist/test/**/*.test.js'],
  timeout: 60000,
  slow: 2000,
  reporter: 'test/support/reporter.cjs',
  'fail-zero': true,
  'forbid-only': Boolean(process.env.CI),
  require: ['dist/test/support/root-hooks.js'],
};
