import { inflateSync } from 'node:zlib';

/** Reads the text out of the PDFs that the product makes (Type 0 fonts with ToUnicode maps), run by run, as a reader's copy would. */
export function pdfText(pdf: Uint8Array): string {
  const source = Buffer.from(pdf).toString('latin1');
  const objects = new Map<string, string>();
  for (const match of source.matchAll(/(?:^|\n)(\d+) 0 obj\r?\n([\s\S]*?)\r?\nendobj/g)) objects.set(match[1] ?? '', match[2] ?? '');
  const streamOf = (id: string): string => {
    const match = /^([\s\S]*?)stream\r?\n([\s\S]*)\r?\nendstream/.exec(objects.get(id) ?? '');
    const [, dictionary = '', bytes = ''] = match ?? [];
    return dictionary.includes('/FlateDecode') ? inflateSync(Buffer.from(bytes, 'latin1')).toString('latin1') : bytes;
  };
  const pages = [...objects.values()].filter((body) => /\/Type \/Page\b/.test(body));
  return pages.map((page) => pageText(page, objects, streamOf)).join('\n');
}

function pageText(page: string, objects: ReadonlyMap<string, string>, streamOf: (id: string) => string): string {
  const fonts = new Map<string, ReadonlyMap<number, string>>();
  for (const [, name = '', id = ''] of page.matchAll(/\/(f\d+) (\d+) 0 R/g))
    fonts.set(name, unicodeMap(streamOf(/\/ToUnicode (\d+) 0 R/.exec(objects.get(id) ?? '')?.[1] ?? '')));
  const content = streamOf(/\/Contents (\d+) 0 R/.exec(page)?.[1] ?? '');
  let font: ReadonlyMap<number, string> = new Map();
  let text = '';
  for (const [token, , name] of content.matchAll(/(\/(f\d+) [\d.]+ Tf)|\((?:\\[\s\S]|[^\\()])*\)|<[0-9A-Fa-f]+>|\bBT\b/g)) {
    if (token === 'BT') text += '\n';
    else if (name !== undefined) font = fonts.get(name) ?? new Map();
    else text += decode(token, font);
  }
  return text.trim();
}

function decode(token: string, font: ReadonlyMap<number, string>): string {
  const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
  const bytes = token.startsWith('<')
    ? Buffer.from(token.slice(1, -1), 'hex')
    : Buffer.from(
        token
          .slice(1, -1)
          .replace(/\\([0-7]{1,3}|[\s\S])/g, (_all, code: string) => (/^[0-7]/.test(code) ? String.fromCharCode(parseInt(code, 8)) : (escapes[code] ?? code))),
        'latin1',
      );
  let text = '';
  for (let index = 0; index + 1 < bytes.length; index += 2) text += font.get(bytes.readUInt16BE(index)) ?? '\uFFFD';
  return text;
}

function unicodeMap(cmap: string): ReadonlyMap<number, string> {
  const map = new Map<number, string>();
  const text = (hex: string): string => Buffer.from(hex, 'hex').swap16().toString('utf16le');
  for (const [, body = ''] of cmap.matchAll(/beginbfchar([\s\S]*?)endbfchar/g))
    for (const [, code = '', to = ''] of body.matchAll(/<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>/g)) map.set(parseInt(code, 16), text(to));
  for (const [, body = ''] of cmap.matchAll(/beginbfrange([\s\S]*?)endbfrange/g)) {
    for (const [, from = '', through = '', to = ''] of body.matchAll(/<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>/g)) {
      for (let code = parseInt(from, 16), step = 0; code <= parseInt(through, 16); code += 1, step += 1)
        map.set(code, String.fromCodePoint((text(to).codePointAt(0) ?? 0) + step));
    }
  }
  return map;
}
