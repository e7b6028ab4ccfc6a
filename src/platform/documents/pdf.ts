import { besideModule, makeChild } from '../child.ts';
import { AppError } from '../errors.ts';

/** Turns a document, given as JSON, into PDF bytes. */
export interface PdfRenderer {
  render(json: string): Promise<Uint8Array>;
  /** Ends the child process, if one runs. */
  close(): void;
}

/** Renders in a child process that starts with the first document (`render-child.ts`). */
export function makePdfRenderer(): PdfRenderer {
  const child = makeChild({
    module: besideModule(import.meta.url, 'render-child'),
    failure: 'The document could not be rendered',
    timeoutMs: 30_000,
    memoryMb: 512,
  });
  return {
    async render(json) {
      const pdf = await child.ask(json);
      if (!(pdf instanceof Uint8Array)) throw new AppError('internal', 'The document could not be rendered: the renderer gave no bytes.');
      return pdf;
    },
    close: () => child.close(),
  };
}
