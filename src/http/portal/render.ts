import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Handlebars from 'handlebars';
import { packageRoot } from '../../platform/root.ts';

export type RenderPage = (name: string, view: Readonly<Record<string, unknown>>) => string;

/** Compiles `templates/portal/*.hbs` once; each page is set into `_layout.hbs`. Unknown variables are errors. */
export function makeRenderer(site: { readonly planName: string; readonly planPhone: string }): RenderPage {
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
    if (name.startsWith('_') && name !== '_layout') engine.registerPartial(name.slice(1), text);
    else pages.set(name, engine.compile(text, { strict: true, knownHelpersOnly: false }));
  }
  return (name, view) => {
    const page = pages.get(name);
    const layout = pages.get('_layout');
    if (page === undefined || layout === undefined) throw new Error(`There is no portal page "${name}".`);
    const shared = { ...view, planName: site.planName, planPhone: site.planPhone };
    return layout({ ...shared, title: view['title'], hasErrors: view['hasErrors'] === true, body: page(shared) });
  };
}
