import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { boundHeap } from '../../src/cli/heap.ts';
import { readConfig } from '../../src/cli/open-app.ts';
import { makeApp } from '../../src/main.ts';
import { serve } from './child.ts';

/** The product's web server as it runs in production: permissions, validation, history, audit and events on. */
boundHeap();
await serve(async () => {
  const config = readConfig(process.env);
  if (config.databaseUrl === null) throw new Error('The benchmark gives DATABASE_URL.');
  const app = makeApp({ ...config, databaseUrl: config.databaseUrl });
  const { url } = await app.start({ web: true, work: process.env['BENCH_WORKER'] === 'yes' });
  if (url === null) throw new Error('The web server did not start.');
  return {
    url,
    importFile: async (object, file) => {
      const context = await app.contextFor({ kind: 'system', name: 'bench' }, { kind: 'command', name: 'import' });
      const request = { object, map: null, fileName: basename(file), content: createReadStream(file), rules: 'all' } as const;
      const result = await app.importer.run(app.db, context, request, (row) => {
        throw new Error(`Line ${String(row.line)} was rejected: ${row.reason}`);
      });
      return result.created;
    },
    stop: () => app.stop(),
  };
});
