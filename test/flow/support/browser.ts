import { DomUtils, parseDocument } from 'htmlparser2';

type Node = ReturnType<typeof parseDocument>['children'][number];
type Tag = Extract<Node, { attribs: unknown }>;

/** What a person types or chooses in one control; several for check boxes. */
export type Given = string | readonly string[];

export interface BrowserFile {
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface Page {
  readonly status: number;
  readonly url: string;
  readonly html: string;
  /** The words a reader sees, white space folded. */
  readonly text: string;
  readonly title: string;
  /** The texts of the error summary's links. */
  readonly errors: readonly string[];
  /** Addresses of links, by their text. */
  readonly links: ReadonlyMap<string, string>;
}

/** A browser without script: follows links and redirects, keeps cookies, and sends only controls that a page shows. */
export interface Browser {
  open(address: string): Promise<Page>;
  /** Presses a button of the page's form after filling it in. Throws when the page has no such control or choice. */
  press(page: Page, button: string, given?: Readonly<Record<string, Given>>, files?: Readonly<Record<string, BrowserFile>>): Promise<Page>;
}

const isTag = (node: Node): node is Tag => 'attribs' in node;

function tags(root: Node | ReturnType<typeof parseDocument>, ...names: readonly string[]): readonly Tag[] {
  return DomUtils.filter((node) => isTag(node) && names.includes(node.name), root).filter(isTag);
}

function words(node: Node | readonly Node[]): string {
  return DomUtils.textContent([node].flat()).replace(/\s+/g, ' ').trim();
}

function readPage(status: number, url: string, html: string): Page {
  const document = parseDocument(html);
  const [main] = DomUtils.filter((node) => isTag(node) && node.attribs['id'] === 'main', document);
  const [summary] = DomUtils.filter((node) => isTag(node) && node.attribs['id'] === 'errors', document);
  return {
    status,
    url,
    html,
    text: words(main ?? document.children),
    title: words(tags(document, 'title')[0] ?? []),
    errors: summary === undefined ? [] : tags(summary, 'a').map((link) => words(link)),
    links: new Map(tags(document, 'a').map((link) => [words(link), new URL(link.attribs['href'] ?? '', url).href])),
  };
}

interface Control {
  readonly kind: 'text' | 'choice' | 'file';
  values: string[];
  readonly options: string[] | null;
}

/** The controls of a form with what they hold now, as a browser would send them. */
function controlsOf(form: Tag): Map<string, Control> {
  const found = new Map<string, Control>();
  for (const tag of tags(form, 'input', 'select', 'textarea')) {
    const name = tag.attribs['name'];
    if (name === undefined) continue;
    const type = tag.attribs['type'] ?? 'text';
    if (tag.name === 'select') {
      const options = tags(tag, 'option');
      const chosen = options.find((option) => 'selected' in option.attribs) ?? options[0];
      found.set(name, { kind: 'choice', values: [chosen?.attribs['value'] ?? ''], options: options.map((option) => option.attribs['value'] ?? '') });
    } else if (type === 'radio' || type === 'checkbox') {
      const known = found.get(name) ?? { kind: 'choice' as const, values: [], options: [] };
      known.options?.push(tag.attribs['value'] ?? 'on');
      if ('checked' in tag.attribs) known.values.push(tag.attribs['value'] ?? 'on');
      found.set(name, known);
    } else if (type === 'file') found.set(name, { kind: 'file', values: [], options: null });
    else found.set(name, { kind: 'text', values: [tag.name === 'textarea' ? DomUtils.textContent(tag) : (tag.attribs['value'] ?? '')], options: null });
  }
  return found;
}

function fill(controls: Map<string, Control>, given: Readonly<Record<string, Given>>, url: string): void {
  for (const [name, value] of Object.entries(given)) {
    const control = controls.get(name);
    if (control === undefined) throw new Error(`${url} has no control "${name}"; it has ${[...controls.keys()].join(', ')}.`);
    const values = [value].flat();
    const odd = control.options === null ? undefined : values.find((entry) => control.options?.includes(entry) !== true);
    if (odd !== undefined) throw new Error(`${url}: "${name}" offers no "${odd}", only ${control.options?.join(', ') ?? ''}.`);
    control.values = values;
  }
}

/** The form that has a button with this text, and what pressing it adds. */
function formWith(page: Page, button: string): { readonly form: Tag; readonly pressed: [string, string] | null } {
  for (const form of tags(parseDocument(page.html), 'form')) {
    const found = tags(form, 'button').find((entry) => words(entry) === button && entry.attribs['aria-hidden'] !== 'true');
    if (found === undefined) continue;
    const name = found.attribs['name'];
    return { form, pressed: name === undefined ? null : [name, found.attribs['value'] ?? ''] };
  }
  throw new Error(`${page.url} has no button "${button}". It says: ${page.text.slice(0, 400)}`);
}

/** Opens a browser with an empty cookie jar: another device. */
export function makeBrowser(userAgent: string): Browser {
  const jar = new Map<string, string>();

  async function request(address: string, init: RequestInit): Promise<Page> {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = new Headers(init.headers);
    headers.set('user-agent', userAgent);
    if (cookie !== '') headers.set('cookie', cookie);
    const response = await fetch(address, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.arrayBuffer();
      return request(new URL(location, address).href, {});
    }
    return readPage(response.status, address, await response.text());
  }

  return {
    open: (address) => request(address, {}),
    press: (page, button, given = {}, files = {}) => {
      const { form, pressed } = formWith(page, button);
      const controls = controlsOf(form);
      fill(controls, given, page.url);
      const pairs: [string, string][] = [...controls].flatMap(([name, control]) =>
        control.kind === 'file' ? [] : control.values.map((value): [string, string] => [name, value]),
      );
      if (pressed !== null) pairs.push(pressed);
      const action = new URL(form.attribs['action'] ?? '', page.url).href;
      if (form.attribs['enctype'] !== 'multipart/form-data') {
        return request(action, { method: 'POST', body: new URLSearchParams(pairs) });
      }
      const body = new FormData();
      for (const [name, value] of pairs) body.append(name, value);
      for (const [name, file] of Object.entries(files)) {
        if (controls.get(name)?.kind !== 'file') throw new Error(`${page.url} takes no file "${name}".`);
        body.append(name, new Blob([new Uint8Array(file.bytes)], { type: file.mediaType }), file.name);
      }
      return request(action, { method: 'POST', body });
    },
  };
}
