/** Layers, cycles and orphans; the finer import table is held by test/architecture. */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: ['types\\.ts$', '^src/console/', '\\.mjs$'] }, to: {} },
    { name: 'platform-knows-no-domain', severity: 'error', from: { path: '^src/platform' }, to: { path: '^src/(network|http|cli|console|main)' } },
    { name: 'http-knows-no-domain', severity: 'error', from: { path: '^src/http' }, to: { path: '^src/(network|cli|console|main)' } },
    {
      name: 'no-dev-dependencies',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/console' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'not-to-unresolvable', severity: 'error', from: { pathNot: '^src/console' }, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/console' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
