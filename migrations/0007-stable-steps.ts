import { createHash } from 'node:crypto';
import type { Knex } from 'knex';

interface Step {
  readonly step: string;
  readonly object?: string;
  readonly once?: string;
  readonly forEach?: unknown;
}

/**
 * Steps that are done once were remembered by their place in the rule, so that a reordered rule did them again. They are
 * remembered by what they make now; what was done under a place of the rules in force is carried over.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  const found = await tx.raw<{ rows: { content: { rules?: Readonly<Record<string, { id?: string; name: string; do: readonly Step[] }>> } }[] }>(
    'select content from metadata_version order by version desc limit 1',
  );
  for (const rule of Object.values(found.rows[0]?.content.rules ?? {})) {
    const counts = new Map<string, number>();
    for (const [index, step] of rule.do.entries()) {
      if (step.step !== 'create' || step.once === undefined) continue;
      const content = `create-${step.object ?? ''}-${hashOf([step.object, step.once, step.forEach ?? null]).slice(0, 16)}`;
      const before = counts.get(content) ?? 0;
      counts.set(content, before + 1);
      const [old, key] = [`${rule.id ?? rule.name}:${String(index)}:`, before === 0 ? content : `${content}-${String(before + 1)}`];
      await tx.raw(`update step_once set key = ? || substr(key, ?::int) where starts_with(key, ?)`, [`${rule.id ?? rule.name}:${key}:`, old.length + 1, old]);
    }
  }
}

/** As `contentHash` of the platform stood when this was written; a migration never changes. */
function hashOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`;
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
