import { migratePlatform } from '../../platform/schema/migrate.ts';
import { emitTypes } from '../../platform/schema/types-export.ts';
import { JSON_OPTION, type Command } from '../command.ts';
import { openApp, withApp } from '../open-app.ts';
import { printJson, writeOut } from '../print.ts';

export const MODEL_COMMANDS: readonly Command[] = [
  {
    name: 'migrate',
    summary: "Brings the platform's own tables up to date.",
    usage: '',
    example: 'npx credenza migrate',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: async (call) => {
      const { app, close } = await openApp(call.config, call.io, 'command');
      try {
        const { applied } = await migratePlatform(app.db);
        if (call.isSet('json')) printJson(call.io, { applied });
        else call.io.out(applied.length === 0 ? 'Nothing to do.\n' : `Applied ${applied.join(', ')}.\n`);
      } finally {
        await close();
      }
    },
  },
  {
    name: 'types',
    summary: 'TypeScript types of all objects.',
    usage: '',
    example: 'npx credenza types --out objects.d.ts',
    positionals: [0, 0],
    options: { out: { value: 'FILE', help: 'Where to write them (default: standard output).' } },
    run: (call) =>
      withApp(call, async (app) => {
        const model = await app.store.current();
        writeOut(call, await emitTypes(model));
      }),
  },
];
