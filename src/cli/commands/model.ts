import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { metadataDirectories } from '../../extensions.ts';
import { loadMetadata } from '../../platform/metadata/load.ts';
import type { MetadataSet } from '../../platform/metadata/types.ts';
import { migratePlatform } from '../../platform/schema/migrate.ts';
import { emitTypes } from '../../platform/schema/types-export.ts';
import type { SchemaStep } from '../../platform/schema/types.ts';
import { JSON_OPTION, type Call, type Command } from '../command.ts';
import { openApp, withApp } from '../open-app.ts';
import { printJson } from '../print.ts';

const DIR = '[DIR]';
const DRY: Command['options'] = { 'dry-run': { help: 'Say what would be done, and do nothing.' } };

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
    name: 'metadata check',
    summary: 'Checks every metadata file: shape, references, expressions, rules.',
    usage: DIR,
    example: 'npx credenza metadata check ./my-package',
    positionals: [0, 1],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        await app.store.plan(metadataOf(call));
        if (call.isSet('json')) printJson(call.io, { ok: true, errors: [] });
        else call.io.out('The metadata is in order.\n');
      }),
  },
  {
    name: 'metadata plan',
    summary: 'What applying the metadata would do to the database, step by step.',
    usage: DIR,
    example: 'npx credenza metadata plan ./my-package --json',
    positionals: [0, 1],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const { steps, hash } = await app.store.plan(metadataOf(call));
        printSteps(call, steps, hash);
        return steps.some((step) => step.class === 'refused') ? 1 : 0;
      }),
  },
  {
    name: 'metadata apply',
    summary: 'Brings the database to the metadata; running servers follow within a second.',
    usage: DIR,
    example: 'npx credenza metadata apply ./my-package',
    positionals: [0, 1],
    options: { json: JSON_OPTION, ...DRY },
    run: (call) =>
      withApp(call, async (app) => {
        const set = metadataOf(call);
        if (call.isSet('dry-run')) {
          const plan = await app.store.plan(set);
          printSteps(call, plan.steps, plan.hash);
          return;
        }
        const { steps, hash, version } = await app.store.apply(set, 'system:cli');
        if (call.isSet('json')) printJson(call.io, { steps, hash, version });
        else printSteps(call, steps, hash);
      }),
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
        const text = await emitTypes(model);
        const out = call.option('out');
        if (out === null || out === '-') call.io.out(text);
        else writeFileSync(resolve(call.io.directory, out), text);
      }),
  },
];

function metadataOf({ config, positionals, io }: Call): MetadataSet {
  const packages = [...config.packages, ...positionals.slice(0, 1)].map((directory) => resolve(io.directory, directory));
  return loadMetadata(metadataDirectories(packages));
}

function printSteps(call: Call, steps: readonly SchemaStep[], hash: string): void {
  if (call.isSet('json')) {
    printJson(call.io, { steps, hash });
    return;
  }
  if (steps.length === 0) call.io.out('Nothing to do.\n');
  for (const step of steps)
    call.io.out(
      `${step.class.padEnd(12)}${step.description}${step.lock === null ? '' : ` [${step.lock}]`}${step.fix === undefined ? '' : `\n            ${step.fix}`}\n`,
    );
}
