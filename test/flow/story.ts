import type { World } from './support/world.ts';

/** What the chapters tell each other. */
export interface Story {
  world(): World;
  /** Remembers a record's id or a link under a name. */
  keep(name: string, value: unknown): void;
  /** What was kept. Throws when nothing was. */
  id(name: string): string;
}

export function makeStory(world: () => World): Story {
  const kept = new Map<string, string>();
  return {
    world,
    keep: (name, value) => {
      if (typeof value !== 'string' || value === '') throw new Error(`Nothing to keep as "${name}": ${JSON.stringify(value)}`);
      kept.set(name, value);
    },
    id: (name) => {
      const found = kept.get(name);
      if (found === undefined) throw new Error(`The story has no "${name}" yet.`);
      return found;
    },
  };
}
