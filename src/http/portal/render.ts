import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Handlebars from 'handlebars';
import { packageRoot } from '../../platform/root.ts';

type View = Readonly<Record<string, unknown>>;

export interface Renderer {
  /** A whole page, set into `_layout.hbs`. */
  page(name: string, view: View): string;
  /** What `_<name>.hbs` makes, without anything around it. */
  part(name: string, view: View): string;
}

/** Compiles `templates/portal/*.hbs` once. Unknown variables are errors. */
export function makeRenderer(site: { readonly planName: string; readonly planPhone: string }): Renderer {
  const engine = Handlebars.create();
  engine.registerHelper('eq', (left: unknown, right: unknown) => left === right);
  engine.registerHelper('has', (list: unknown, entry: unknown) => (Array.isArray(list) ? list.includes(entry) : list === entry));
  engine.registerHelper('id', (name: string) => name.replaceAll('.', '-'));
  engine.registerHelper('plus', (left: number, right: number) => left + right);
  const directory = join(packageRoot(), 'templates', 'portal');
  const pages = new Map<string, Handlebars.TemplateDelegate>();
  for (const file of readdirSync(directory).filter((entry) => entry.endsWith('.hbs'))) {
    const name = file.slice(0, -'.hbs'.length);
    const text = readFileSync(join(directory, file), 'utf8');
    const compiled = engine.compile(text, { strict: true, knownHelpersOnly: false });
    if (name.startsWith('_') && name !== '_layout') engine.registerPartial(name.slice(1), text);
    pages.set(name, compiled);
  }
  const draw = (name: string, view: View): string => {
    const template = pages.get(name);
    if (template === undefined) throw new Error(`There is no portal page "${name}".`);
    return template({ ...view, planName: site.planName, planPhone: site.planPhone });
  };
  return {
    page: (name, view) => draw('_layout', { title: view['title'], hasErrors: view['hasErrors'] === true, body: draw(name, view) }),
    part: (name, view) => draw(`_${name}`, view),
  };
}
