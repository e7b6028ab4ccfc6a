import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { makeInboundMail, type InboundMail } from '../../../src/platform/mail/inbound.ts';
import { policyLookup } from '../../../src/platform/policies/policies.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { inboundOf, makeDesk, type Desk } from './fixtures/desk.ts';

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const PDF = Buffer.from('%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n');
const ZIP = Buffer.from(
  'UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAABAAAAYVBLAQIUABQAAAAAAAAAIQAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAABhUEsFBgAAAAABAAEALwAAAB8AAAAAAA==',
  'base64',
);

interface Sent {
  readonly filename?: string | false;
  readonly contentType?: string;
  readonly content: Buffer | string;
  readonly cid?: string;
}

describe('files that come with a message', () => {
  let desk: Desk;
  let inbound: InboundMail;
  let numbers = 0;
  const files = makeFileStore({ newId: randomUUID, maxBytes: 2_000 });
  before(async () => {
    desk = await makeDesk();
    inbound = inboundOf(desk, { files });
  });
  after(async () => {
    await inbound.close();
    await desk.drop();
  });

  /** Files a message with attachments; answers the record that it became, with those of its files. */
  async function receive(attachments: readonly Sent[], more: Readonly<Record<string, unknown>> = {}) {
    const mail = new MailComposer({
      from: 'ann@practice.example',
      to: 'help@plan.example',
      subject: 'Papers',
      text: 'Here they are.',
      messageId: `<m${String((numbers += 1))}@practice.example>`,
      attachments: [...attachments],
      ...more,
    });
    const raw = await mail.compile().build();
    const filed = await inbound.receive(raw, { from: 'ann@practice.example', to: 'help@plan.example' });
    const query = { object: 'Enclosure', filter: `note == '${filed?.message.id ?? ''}'`, sort: ['createdAt', 'id'], limit: 500 };
    const { data } = await makeReader().list(desk.db, desk.context(), query);
    return { note: await makeReader().get(desk.db, desk.context(), 'Note', filed?.message.id ?? ''), enclosures: data };
  }

  it('are kept byte by byte and linked to the message, under their names', async () => {
    const { note, enclosures } = await receive([
      { filename: 'licence.pdf', content: PDF },
      { filename: '../../photo of Ann.png', content: PNG },
      { filename: 'notes.txt', content: 'Office hours: 9 to 5' },
    ]);
    expect(enclosures.map(({ name, kind, size, why }) => [name, kind, size, why])).to.deep.equal([
      ['licence.pdf', 'application/pdf', PDF.length, null],
      ['photo of Ann.png', 'image/png', PNG.length, null],
      ['notes.txt', 'text/plain', 20, null],
    ]);
    for (const [index, content] of [PDF, PNG, Buffer.from('Office hours: 9 to 5')].entries())
      expect(Buffer.from(await files.read(desk.db, String(enclosures[index]?.['file']))).equals(content)).to.equal(true);
    expect(note).to.include({ body: 'Here they are.', left: null });
    const [kept] = await rows(desk.db, sql`select created_by, media_type from credenza.file where name = 'licence.pdf'`);
    expect(kept).to.deep.equal({ created_by: 'system:test', media_type: 'application/pdf' });
  });

  it('that are refused are noted with the reason, for each file and in the message; the others are kept', async () => {
    const { note, enclosures } = await receive([
      { filename: 'archive.zip', content: ZIP, contentType: 'application/zip' },
      { filename: 'scan.pdf', content: 'MZ this is a program', contentType: 'application/pdf' },
      { filename: 'huge.txt', content: 'x'.repeat(2_001) },
      { filename: 'empty.txt', content: '' },
      { filename: 'good.txt', content: 'kept' },
    ]);
    expect(enclosures.map(({ name, file, why }) => [name, file !== null, why !== null])).to.deep.equal([
      ['archive.zip', false, true],
      ['scan.pdf', false, true],
      ['huge.txt', false, true],
      ['empty.txt', false, true],
      ['good.txt', true, false],
    ]);
    expect(String(enclosures[0]?.['why'])).to.contain('not one of the accepted types').and.to.contain('application/zip');
    expect(String(enclosures[2]?.['why'])).to.contain('larger than 2000 bytes');
    const left = String(note['left']);
    expect(left)
      .to.match(/^Not kept as files/)
      .and.to.contain('archive.zip: ')
      .and.to.contain('empty.txt: The file is empty.')
      .and.not.to.contain('good.txt');
    const [raw] = await rows(desk.db, sql`select raw from credenza.inbound_mail where record_id = ${note.id}::uuid`);
    expect(String(raw?.['raw']), 'the message itself is kept whole').to.contain('archive.zip');
  });

  it('without a name get one; a picture in the text is a file too, and a forwarded message stands in the text', async () => {
    const forwarded = 'From: Bo <bo@practice.example>\r\nSubject: Old\r\n\r\nWords of Bo.\r\n';
    const { note, enclosures } = await receive(
      [
        { filename: false, content: PNG, cid: 'logo@practice', contentType: 'image/png' },
        { filename: false, content: forwarded, contentType: 'message/rfc822' },
      ],
      { html: '<p>See <img src="cid:logo@practice"></p>' },
    );
    expect(enclosures.map(({ name, file }) => [name, file !== null])).to.deep.equal([['attachment-1.png', true]]);
    expect(note['body']).to.contain('Here they are.').and.to.contain('Words of Bo.');
  });

  it('beyond the thirtieth are noted and not kept', async () => {
    const { note, enclosures } = await receive(
      Array.from({ length: 32 }, (_, index) => ({ filename: `f${String(index)}.txt`, content: `file ${String(index)}` })),
    );
    expect(enclosures.filter((entry) => entry['file'] !== null)).to.have.length(30);
    expect(String(note['left'])).to.contain('f31.txt: Only the first 30 files');
  });

  it('of a message that cannot be filed are not kept either', async () => {
    const before = await rows(desk.db, sql`select count(*)::int as n from credenza.file`);
    const engine = makeRecordEngine();
    const failing = makeInboundMail({
      db: desk.db,
      context: (cause) => Promise.resolve(desk.context(cause)),
      engine: {
        ...engine,
        write: (tx, context, object, ...rest) => (object === 'Enclosure' ? Promise.reject(new Error('disk full')) : engine.write(tx, context, object, ...rest)),
      },
      reader: makeReader(),
      policies: policyLookup,
      queue: desk.queue,
      files,
      log: desk.log,
    });
    const raw = await new MailComposer({
      from: 'ann@practice.example',
      to: 'help@plan.example',
      text: 'x',
      attachments: [{ filename: 'a.txt', content: 'only here' }],
    })
      .compile()
      .build();
    const outcome = await failing.receive(raw, { from: 'ann@practice.example', to: 'help@plan.example' }).then(
      () => 'filed',
      (error: unknown) => String(error),
    );
    await failing.close();
    expect(outcome).to.contain('disk full');
    expect(await rows(desk.db, sql`select count(*)::int as n from credenza.file`)).to.deep.equal(before);
  });
});
