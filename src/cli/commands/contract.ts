import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { clientOf } from '../../http/openapi/client.ts';
import { openApiOf } from '../../http/openapi/document.ts';
import type { Json } from '../../http/openapi/parts.ts';
import { didYouMean } from '../../platform/expression/suggest.ts';
import { UsageError, type Call, type Command } from '../command.ts';
import { withApp } from '../open-app.ts';

const OPTIONS: Command['options'] = {
  permissions: { value: 'A,B', help: 'Permission sets of the caller it is made for (default: administrator).' },
  out: { value: 'FILE', help: 'Where to write it (default: standard output).' },
};

/** The contract of the API as one caller has it: the same that the server answers at /api/v1/client.ts and /api/v1/openapi.json. */
export const CONTRACT_COMMANDS: readonly Command[] = [
  {
    name: 'client',
    summary: 'A TypeScript client of exactly what a permission set may call.',
    usage: '',
    example: 'npx credenza client --permissions recruiting --out credenza.ts',
    positionals: [0, 0],
    options: OPTIONS,
    run: async (call) => write(call, clientOf(await documentFor(call))),
  },
  {
    name: 'openapi',
    summary: 'The OpenAPI 3.1 document of exactly what a permission set may call.',
    usage: '',
    example: 'npx credenza openapi --permissions recruiting --out openapi.json',
    positionals: [0, 0],
    options: OPTIONS,
    run: async (call) => write(call, `${JSON.stringify(await documentFor(call), null, 2)}\n`),
  },
];

const NOBODY = '00000000-0000-7000-8000-000000000000';

function documentFor(call: Call): Promise<Json> {
  const permissionSets = (call.option('permissions') ?? 'administrator').split(',').map((name) => name.trim());
  return withApp(call, async (app) => {
    const caller = { kind: 'user', userId: NOBODY, permissionSets, email: '', name: '' } as const;
    const context = await app.contextFor(caller, { kind: 'command', name: 'client' });
    const known = ['administrator', ...[...context.model.permissions.values()].filter((file) => file.audience === 'staff').map((file) => file.name)];
    for (const name of permissionSets) {
      if (known.includes(name)) continue;
      throw new UsageError(`There is no permission set "${name}" for staff. ${didYouMean(name, known) ?? `Known: ${known.join(', ')}.`}`);
    }
    return openApiOf(context, { publicUrl: app.publicUrl(), sendsMail: app.config.smtpUrl !== null });
  });
}

function write(call: Call, text: string): void {
  const out = call.option('out');
  if (out === null || out === '-') call.io.out(text);
  else writeFileSync(resolve(call.io.directory, out), text);
}
