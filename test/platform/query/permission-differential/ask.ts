import type { Knex } from 'knex';
import type { CallContext } from '../../../../src/platform/access/types.ts';
import { isAppError } from '../../../../src/platform/errors.ts';
import { exportRecords } from '../../../../src/platform/import/export.ts';
import { makeReader } from '../../../../src/platform/query/reader.ts';
import type { RecordData } from '../../../../src/platform/query/types.ts';
import { textOf, type Rename } from './plain.ts';
import type { Question } from './questions.ts';

const reader = makeReader();
const MOST_PAGES = 100;

/** What the product says, or how it refuses (a `failure` is no refusal, and differs from any right answer); every name goes through `rename` first. */
export type Said = { readonly answer: unknown } | { readonly code: string; readonly text: string };

export async function ask(db: Knex, ctx: CallContext, question: Question, rename: Rename): Promise<Said> {
  try {
    return { answer: await answer(db, ctx, question, rename) };
  } catch (error) {
    if (!isAppError(error)) return { code: 'failure', text: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    return { code: error.code, text: JSON.stringify([error.message, error.errors, error.extra]) };
  }
}

async function answer(db: Knex, ctx: CallContext, question: Question, rename: Rename): Promise<unknown> {
  if (question.kind === 'search')
    return reader.search(db, ctx, question.text, { limit: question.limit, ...(question.objects === null ? {} : { objects: question.objects.map(rename) }) });
  const object = rename(question.object);
  const paths = (list: readonly string[]): readonly string[] => list.map((path) => path.split('.').map(rename).join('.'));
  const fields = 'fields' in question && question.fields !== null ? { fields: question.fields.map(rename) } : {};
  const filter = 'filter' in question && question.filter !== null ? { filter: textOf(question.filter, rename) } : {};
  const search = 'search' in question && question.search !== null ? { search: question.search } : {};
  switch (question.kind) {
    case 'list': {
      const sort = question.sort.map((entry) => (entry.startsWith('-') ? `-${rename(entry.slice(1))}` : rename(entry)));
      const query = { object, ...fields, ...filter, ...search, sort, expand: paths(question.expand), limit: question.limit };
      const first = await reader.list(db, ctx, { ...query, count: question.count });
      const data: RecordData[] = [...first.data];
      let { next } = first.page;
      for (let page = 1; next !== null; page += 1) {
        if (page > MOST_PAGES) throw new Error('The pages do not end.');
        const more = await reader.list(db, ctx, { ...query, cursor: next });
        if (more.data.length === 0) throw new Error('A page without records.');
        data.push(...more.data);
        ({ next } = more.page);
      }
      return { data, meta: first.meta };
    }
    case 'read':
      return reader.get(db, ctx, object, rename(question.id), { ...fields, expand: paths(question.expand) });
    case 'group': {
      const measures = question.measures.map(({ op, field }, index) => ({ as: `m${String(index)}`, op, ...(field === null ? {} : { field: rename(field) }) }));
      return (await reader.aggregate(db, ctx, { object, ...filter, groupBy: question.groupBy.map(rename), measures })).data;
    }
    case 'export': {
      const file = await exportRecords(db, ctx, { object, format: 'ndjson', ...fields, ...filter, ...search });
      let text = '';
      for await (const part of file.content) text += part.toString('utf8');
      const lines = text.split('\n').filter((line) => line !== '');
      return lines.map((line): unknown => JSON.parse(line));
    }
  }
}
