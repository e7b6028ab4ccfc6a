module.exports = {
  spec: ['dist/test/**/*.test.js'],
  timeout: 60000,
  slow: 2000,
  'forbid-only': Boolean(process.env.CI),
  require: ['dist/test/support/root-hooks.js'],
};
