import { expect } from 'chai';
import { makeDocuments } from '../../../src/platform/documents/documents.ts';
import { makePdfRenderer, type PdfRenderer } from '../../../src/platform/documents/pdf.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import { compileModel } from '../../../src/platform/model/compile.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { pdfText } from '../../support/pdf-text.ts';

const NOW = '2026-03-02T15:00:00.000Z';
const AGREEMENT = `title: Agreement {{record.number}}
---
<h1>Agreement</h1>
<p>Between {{plan.name}} and <strong>{{record.name}}</strong>, from <em>{{date record.from}}</em>.</p>
<h2>Rates</h2>
<table>
  <thead><tr><th scope="col">Service</th><th scope="col">Rate</th></tr></thead>
  <tbody>{{#each record.rates}}<tr><td>{{service}}</td><td>{{money rate}}</td></tr>{{/each}}</tbody>
</table>
<ul><li>one</li><li>two <strong>bold</strong><ol><li>inner</li></ol></li></ul>
<hr>
<p>Second page<br>and line</p>
<signature name="provider" label="{{record.name}}">
<signature name="plan" label="{{plan.name}}">
`;

describe('documents', () => {
  let renderer: PdfRenderer;
  const plan = { name: 'Example Plan', address: '1 Example Street', phone: '+1 413 555 0100' };
  const modelOf = (text: string): Model =>
    compileModel({
      set: completeIds({ ...emptySet(), templates: new Map([['agreements/test', text]]) }),
      physical: new Map(),
      version: 1,
      schema: 'x',
      extensions: {},
    });
  const render = (text: string, record: Readonly<Record<string, unknown>>, signatures = {}, now = NOW) =>
    makeDocuments({ plan, renderer }).renderDocument({ template: 'agreements/test', model: modelOf(text), data: { record }, now, signatures });
  const refused = async (work: Promise<unknown>): Promise<AppError> => {
    try {
      await work;
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
    throw new Error('It was not refused.');
  };
  const record = {
    number: 'C-0001',
    name: 'Dr. Ann Lee',
    from: '2026-04-01',
    rates: Array.from({ length: 60 }, (_, index) => ({ service: `Service ${index}`, rate: `${index}.5` })),
  };

  before(() => {
    renderer = makePdfRenderer();
  });
  after(() => renderer.close());

  it('makes a tagged PDF of several pages whose text can be read', async () => {
    const { pdf, title, html, signatures } = await render(AGREEMENT, record);
    const source = Buffer.from(pdf).toString('latin1');
    expect(source.slice(0, 5)).to.equal('%PDF-');
    expect(source).to.contain('/StructTreeRoot').and.to.contain('/Marked true').and.to.contain('/Lang (en)');
    for (const role of ['H1', 'H2', 'P', 'Table', 'TH', 'TD', 'L', 'LI']) expect(source, role).to.match(new RegExp(`/S /${role}\\b`));
    const text = pdfText(pdf);
    for (const part of [
      'Agreement',
      'Dr. Ann Lee',
      'April 1, 2026',
      'Service 59',
      '$59.50',
      'inner',
      'Second page',
      'Page 1 of 4',
      'Example Plan · Agreement C-0001',
    ])
      expect(text).to.contain(part);
    expect([title, signatures]).to.deep.equal(['Agreement C-0001', ['provider', 'plan']]);
    expect(html).to.contain('<h1>Agreement</h1>');
  });

  it('gives the same bytes for the same input, also from another process, and other bytes for another', async () => {
    const first = await render(AGREEMENT, record);
    const other = makePdfRenderer();
    const second = await makeDocuments({ plan, renderer: other }).renderDocument({
      template: 'agreements/test',
      model: modelOf(AGREEMENT),
      data: { record },
      now: NOW,
    });
    other.close();
    expect(second.sha256).to.equal(first.sha256);
    expect((await render(AGREEMENT, record, {}, '2026-03-02T15:00:01.000Z')).sha256).not.to.equal(first.sha256);
    expect((await render(AGREEMENT, { ...record, name: 'Dr. Bo Lee' })).sha256).not.to.equal(first.sha256);
  });

  it('shows hostile text literally: it is never markup, code or maths', async () => {
    const hostile = [
      '#eval("1+1")',
      '#read("/document.json")',
      '*bold* _em_ `raw`',
      '$x^2$',
      '\\ \\u{41} @ref <label>',
      '= heading',
      '- item',
      '<b>tag</b>',
      '"quotes" -- --- ...',
      '// comment /* block */',
      '#import "@preview/x:1.0.0"',
      '{{plan.name}}',
      ']) #panic() ([',
    ];
    const { pdf } = await render('<h1>H</h1>{{#each record.lines}}<p>{{this}}</p>{{/each}}', { lines: hostile });
    const shown = pdfText(pdf).split('\n');
    for (const line of hostile) expect(shown, line).to.include(line);
  });

  it('shows signatures where they were given, and an empty line where not', async () => {
    const { pdf } = await render(AGREEMENT, record, { provider: { name: 'Ann Lee', evidence: 'Signed March 3, 2026' } });
    expect(pdfText(pdf)).to.contain('Ann Lee').and.to.contain('Signed March 3, 2026');
    expect(pdfText((await render(AGREEMENT, record)).pdf)).not.to.contain('Signed March');
  });

  it('refuses whatever is not part of documents, with its line', async () => {
    const cases: readonly [string, RegExp][] = [
      ['<p>a</p>\n<div>x</div>', /line 2: <div> is not an element/],
      ['<p>a</p>\n\n<script>alert(1)</script>', /line 3: <script>/],
      ['<p onclick="x">a</p>', /attribute "onclick"/],
      ['<img src="http://169.254.169.254/">', /<img>/],
      ['<p>never closed', /<p> is not closed/],
      ['<h1>a<p>b</p></h1>', /<p> cannot stand in <h1>/],
      ['loose text', /Text cannot stand/],
      ['<table><tr><td>1</td><td>2</td></tr>\n<tr><td>1</td></tr></table>', /line 2: This row has 1 cells, the first has 2/],
      ['<table></table>', /no rows/],
      ['<signature name="A B">', /<signature> needs a name/],
      ['<!doctype html><p>a</p>', /Declarations/],
      ['<ul><li>'.repeat(40), /nested too deeply/],
    ];
    for (const [text, message] of cases) {
      const error = await refused(render(text, {}));
      expect(error.code, text).to.equal('metadata_invalid');
      expect(error.message).to.match(message);
    }
  });

  it('refuses to render with a value that is missing', async () => {
    const error = await refused(render(AGREEMENT, { ...record, name: null }));
    expect(error.code).to.equal('rule_failed');
    expect(error.message).to.contain('agreements/test').and.to.contain('record.name');
  });

  it('goes on after its process died', async () => {
    const fragile = makePdfRenderer();
    expect((await refused(fragile.render('not a document'))).code).to.equal('internal');
    const pdf = await makeDocuments({ plan, renderer: fragile }).renderDocument({
      template: 'agreements/test',
      model: modelOf('<h1>Again</h1>'),
      data: {},
      now: NOW,
    });
    fragile.close();
    expect(pdfText(pdf.pdf)).to.contain('Again');
  });
});
