import { expect } from 'chai';
import { compileTemplate, finishedHtml } from '../../../src/platform/documents/template-engine.ts';
import { AppError } from '../../../src/platform/errors.ts';

const render = (text: string, data: Readonly<Record<string, unknown>> = {}, escape = true): string =>
  compileTemplate('mail/x', text, { escape, htmlNames: ['body'] })(data, { zone: 'America/New_York' });
const refused = (text: string, data: Readonly<Record<string, unknown>> = {}): AppError => {
  try {
    render(text, data);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error(`${text} was not refused.`);
};

describe('template engine', () => {
  it('renders variables, blocks and allow-listed helpers', () => {
    const cases: readonly [string, Readonly<Record<string, unknown>>, string][] = [
      ['Hi {{p.name}}', { p: { name: '<i>' } }, 'Hi &lt;i&gt;'],
      ['{{#if a}}yes{{else}}no{{/if}}', { a: null }, 'no'],
      ['{{#each list}}{{ordinal @index}}.{{this}}{{../mark}} {{/each}}', { list: ['a', 'b'], mark: '!' }, '1.a! 2.b! '],
      ['{{#each list}}{{name}}{{/each}}', { list: [{ name: 'x' }] }, 'x'],
      ['{{#with p}}{{name}}{{/with}}', { p: { name: 'n' } }, 'n'],
      [
        '{{date d}} | {{dateTime i}} | {{date i "yyyy-MM-dd"}}',
        { d: '2026-01-05', i: '2026-01-05T02:00:00.000Z' },
        'January 5, 2026 | January 4, 2026 at 9:00 PM EST | 2026-01-04',
      ],
      ['{{money m}} {{money n}} {{number q}}', { m: '12345678901234567.89', n: 0.5, q: 1234.5 }, '$12,345,678,901,234,567.89 $0.50 1,234.5'],
      ['{{optional a}}|{{default a "d"}}|{{upper b}}', { a: null, b: 'x' }, '|d|X'],
      ['{{#if (and (eq a 1) (not b))}}both{{/if}}', { a: 1, b: false }, 'both'],
      ['{{join list}} {{count list}}', { list: ['a', 'b'] }, 'a, b 2'],
      ['{{lines t}}', { t: 'a<b>\nc' }, 'a&lt;b&gt;<br>c'],
      ['{{body}}{{{body}}}', { body: finishedHtml('<b>') }, '<b><b>'],
      ['{{a}}', { a: '{{b}}' }, '{{b}}'],
      ['{{number}} {{number number}} {{date}}', { number: '1234', date: 'a field of that name' }, '1234 1,234 a field of that name'],
    ];
    for (const [text, data, wanted] of cases) expect(render(text, data), text).to.equal(wanted);
    expect(render('{{a}}', { a: '<&' }, false)).to.equal('<&');
  });

  it('stops at a variable that is not known, wherever it stands, and names it', () => {
    const data = { p: { name: 'n', empty: null }, list: [{ a: 1 }] };
    for (const [text, variable] of [
      ['{{nam}}', 'nam'],
      ['{{p.nam}}', 'p.nam'],
      ['{{p.empty.x}}', 'p.empty.x'],
      ['{{#if nope}}x{{/if}}', 'nope'],
      ['{{#if (eq p.nope 1)}}x{{/if}}', 'p.nope'],
      ['{{#each list}}{{b}}{{/each}}', 'b'],
      ['{{#each nolist}}x{{/each}}', 'nolist'],
      ['{{money p.price}}', 'p.price'],
      ['{{@root.nope}}', '@root.nope'],
    ] as const) {
      const error = refused(text, data);
      expect([text, error.code, error.errors[0]?.code]).to.deep.equal([text, 'rule_failed', 'unknown_variable']);
      expect(error.message).to.contain(`"${variable}"`).and.to.contain('mail/x');
    }
  });

  it('stops at a value that is missing, unless the template says it may be', () => {
    for (const value of [null, '']) expect(refused('{{a}}', { a: value }).errors[0]?.code).to.equal('missing_value');
    expect(refused('{{date a}}', { a: null }).errors[0]?.code).to.equal('missing_value');
    expect(refused('{{a}}', { a: { b: 1 } }).errors[0]?.code).to.equal('helper_input');
    expect(refused('{{money a}}', { a: 'much' }).errors[0]?.code).to.equal('helper_input');
    expect(render('{{a}}{{b}}', { a: 0, b: false })).to.equal('0false');
  });

  it('lets nothing of JavaScript be reached', () => {
    for (const text of [
      '{{constructor}}',
      '{{__proto__}}',
      '{{p.constructor}}',
      '{{p.__proto__.polluted}}',
      '{{toString}}',
      '{{p.hasOwnProperty}}',
      '{{list.constructor}}',
      '{{text.length}}',
      '{{helperMissing}}',
      '{{@root.constructor}}',
      '{{#with p.constructor}}x{{/with}}',
      '{{#each p.__proto__}}x{{/each}}',
    ]) {
      expect(refused(text, { p: { a: 1 }, list: [1], text: 'abc' }).code, text).to.equal('rule_failed');
    }
    expect(Object.prototype).not.to.have.property('polluted');
  });

  it('refuses what templates may not do, with the line', () => {
    for (const text of [
      '\n{{lookup p "a"}}',
      '\n{{> other}}',
      '\n{{{p}}}',
      '\n{{&p}}',
      '\n{{* decorator}}',
      '\n{{#> layout}}{{/layout}}',
      '\n{{log "x"}}',
      '\n{{#raw p}}x{{/raw}}',
      '\n{{"literal"}}',
      '\n{{eval "1"}}',
    ]) {
      const error = refused(text, { p: 1 });
      expect(error.code, text).to.equal('metadata_invalid');
      expect(error.message, text).to.contain('line 2');
    }
    expect(refused('{{#if a}}').code).to.equal('metadata_invalid');
  });

  it('limits what a template can put out', () => {
    const list = Array.from({ length: 2000 }, () => 'x'.repeat(1000));
    expect(refused('{{#each list}}{{this}}{{/each}}', { list }).errors[0]?.code).to.equal('too_long');
  });
});
