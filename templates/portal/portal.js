// Enhances the portal: saves what is typed while it is typed, keeps in this browser what could not be saved, and shows the
// questions that an answer leads to at once. Everything works without this file.
'use strict';
(function () {
  const SAVE_AFTER_MS = 1000;
  const RETRY_MS = [2000, 4000, 8000, 15000, 30000];
  const ANSWER_WITHIN_MS = 20000;
  const KEPT_DAYS = 30;
  const KEPT = 'credenza-kept:';
  const form = document.querySelector('form[data-autosave]');
  const errors = document.getElementById('errors');
  for (const part of document.querySelectorAll('[data-without-script]')) part.hidden = true;
  guardSending();

  // A page that the browser took from its memory of the past may be older than what was saved since: it is fetched anew.
  const [navigation] = performance.getEntriesByType('navigation');
  if (form && navigation && navigation.type === 'back_forward') {
    window.location.replace(window.location.pathname + window.location.search);
    return;
  }
  if (errors && !window.location.hash) errors.focus();
  if (!form) return;

  const status = form.querySelector('[data-saved]');
  const live = form.querySelector('[data-live]');
  const hidden = (name) => form.querySelector('input[type=hidden][name="' + name + '"]');
  const prefix = KEPT + form.dataset.draft + ':' + form.dataset.autosave.split('/').at(-2) + ':';
  /** Rises with every change of an answer; `saved` is how far the server has them. */
  let typed = 0;
  let saved = 0;
  let failures = 0;
  let timer = 0;
  let waitMs = SAVE_AFTER_MS;
  let sending = null;
  let leaving = false;
  let composing = false;

  const say = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };
  const answers = () => [...new FormData(form)].filter(([, value]) => typeof value === 'string');
  const viewOf = (pairs) => JSON.parse(pairs.find(([name]) => name === '$seen')[1]).view;

  /* ---------------------------------------------------------------- kept in this browser until the server has it */

  /** False where the browser stores nothing for pages: the words say so. */
  function inStore(work) {
    try {
      work(window.localStorage);
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      return false;
    }
  }
  function keep(pairs) {
    return inStore((store) => store.setItem(prefix + viewOf(pairs), JSON.stringify({ at: Date.now(), pairs })));
  }
  function forget(key) {
    return inStore((store) => store.removeItem(key));
  }
  /** What earlier views of this page could not save, oldest first; what is too old to be wanted goes. */
  function keptBefore() {
    const found = [];
    inStore((store) => {
      for (const key of Object.keys(store).filter((name) => name.startsWith(KEPT))) {
        const entry = JSON.parse(store.getItem(key));
        if (Date.now() - entry.at > KEPT_DAYS * 86400000) store.removeItem(key);
        else if (key.startsWith(prefix)) found.push({ key, ...entry });
      }
    });
    return found.sort((left, right) => left.at - right.at);
  }

  /* ---------------------------------------------------------------- saving */

  /** Sends answers; says whether they were taken, refused for good, or could not be brought to the server now. */
  async function send(pairs, keepalive) {
    const body = new FormData();
    for (const [name, value] of pairs) body.append(name, value);
    const options = { method: 'POST', body, headers: { Accept: 'application/json' }, keepalive, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) };
    let answer;
    try {
      answer = await fetch(form.dataset.autosave, options);
      const said = await answer.json();
      if (answer.ok) return { kind: 'taken', said };
      if (answer.status < 500 && answer.status !== 429 && answer.status !== 408) return { kind: 'refused', why: said.detail };
      return { kind: 'away', afterMs: Number(answer.headers.get('Retry-After')) * 1000 };
    } catch (error) {
      // No connection, no answer in time, or an answer that is none of ours: it is tried again.
      return { kind: 'away', afterMs: 0, why: error };
    }
  }

  function later(ms) {
    window.clearTimeout(timer);
    timer = window.setTimeout(save, ms);
  }

  /** Brings what is typed to the server; answers how that ended. One at a time, in order. */
  function save() {
    window.clearTimeout(timer);
    if (!sending) sending = saveOnce().finally(() => { sending = null; });
    return sending;
  }
  async function saveOnce() {
    const upTo = typed;
    hidden('$number').value = String(Number(hidden('$number').value) + 1);
    const pairs = answers();
    const isKept = keep(pairs);
    const result = await send(pairs, false);
    const where = isKept ? 'What you typed is kept in this browser.' : 'Keep this page open.';
    if (result.kind === 'taken') {
      failures = 0;
      if (typed !== upTo || composing) {
        later(waitMs);
      } else {
        saved = upTo;
        forget(prefix + viewOf(pairs));
        show(result.said, '');
      }
    } else if (result.kind === 'refused') {
      say('Not saved. ' + result.why + ' ' + where);
    } else {
      say('Not saved yet. We will try again. ' + where);
      later(Math.max(result.afterMs || 0, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
      failures += 1;
    }
    return result.kind;
  }

  form.addEventListener('input', (event) => {
    if (event.target.type === 'file') return;
    typed += 1;
    waitMs = SAVE_AFTER_MS;
    keep(answers());
    say('Not saved yet');
    later(waitMs);
  });
  // A choice that was made, or a text that was left, may lead to other questions: they come at once.
  form.addEventListener('change', () => {
    waitMs = 0;
    if (typed !== saved) later(waitMs);
  });
  form.addEventListener('compositionstart', () => { composing = true; });
  form.addEventListener('compositionend', () => { composing = false; });
  window.addEventListener('online', () => { if (typed !== saved) save(); });
  window.addEventListener('pagehide', () => {
    if (typed === saved || leaving) return;
    hidden('$number').value = String(Number(hidden('$number').value) + 1);
    void send(answers(), true); // nobody is left to hear the answer; what is kept here is brought again by the next view
  });
  window.addEventListener('beforeunload', (event) => { if (failures > 0 && !leaving) event.preventDefault(); });

  // A button sends the page only once what is typed is safe: a page that cannot be reached would take the text with it.
  form.addEventListener('submit', async (event) => {
    if (typed === saved && !sending && !leaving) {
      leaving = true;
      return;
    }
    event.preventDefault();
    if (leaving) return;
    leaving = true;
    const { submitter } = event;
    if (sending) await sending;
    const result = typed === saved ? 'taken' : await save();
    if (result === 'away' || (result === 'taken' && typed !== saved)) {
      leaving = false;
      return;
    }
    const action = document.createElement('input');
    action.type = 'hidden';
    action.name = submitter ? submitter.name : 'action';
    action.value = submitter ? submitter.value : 'continue';
    form.append(action);
    form.submit();
  });
  window.addEventListener('pageshow', (event) => { if (event.persisted) window.location.reload(); });

  /* ---------------------------------------------------------------- showing what the server has */

  function show(said, more) {
    const added = said.html === null ? 0 : redraw(said.html);
    if (said.seen !== null) {
      hidden('$seen').value = said.seen;
      hidden('$shape').value = said.shape;
    }
    const questions = added === 0 ? '' : added === 1 ? '. One question was added' : '. ' + added + ' questions were added';
    const elsewhere = live.querySelector('.elsewhere') ? '. Something was answered differently elsewhere: choose above' : '';
    say('Saved ' + said.savedAt + questions + elsewhere + more);
  }

  const block = (node) => (node instanceof HTMLElement ? node.dataset.block : undefined);
  /** What is typed or chosen inside an element. */
  const held = (node) =>
    JSON.stringify(
      [...node.querySelectorAll('input:not([type=file]), select, textarea')]
        .filter((input) => !['radio', 'checkbox'].includes(input.type) || input.checked)
        .map((input) => [input.name, input.value]),
    );

  /** Draws the questions as the server has them, leaving alone whatever is the same; answers how many came. */
  function redraw(html) {
    const next = document.createElement('div');
    next.innerHTML = html;
    const before = new Set([...live.querySelectorAll('[data-block^="question:"]')].map(block));
    const focused = document.activeElement;
    const mark = live.contains(focused) ? { id: focused.id, name: focused.name, value: focused.value, from: focused.selectionStart, to: focused.selectionEnd } : null;
    sync(live, next);
    if (mark && document.activeElement !== focused) refocus(mark);
    return [...live.querySelectorAll('[data-block^="question:"]')].filter((node) => !before.has(block(node))).length;
  }
  function sync(old, next) {
    const known = new Map([...old.children].filter(block).map((node) => [block(node), node]));
    const wanted = [...next.childNodes].map((node) => {
      const same = known.get(block(node));
      if (same === undefined) return node;
      if (node.dataset.shape !== undefined) return same.dataset.shape === node.dataset.shape && held(same) === held(node) ? same : node;
      sync(same, node);
      for (const { name, value } of [...node.attributes]) same.setAttribute(name, value);
      return same;
    });
    for (const node of [...old.childNodes]) if (!wanted.includes(node)) node.remove();
    let at = old.firstChild;
    for (const node of wanted) {
      if (node === at) at = at.nextSibling;
      else old.insertBefore(node, at);
    }
  }
  function refocus({ id, name, value, from, to }) {
    const same = [...live.querySelectorAll('input, select, textarea, button')].filter((node) => (id ? node.id === id : node.name === name && node.value === value));
    if (same.length === 0) return;
    same[0].focus();
    if (typeof from === 'number' && same[0].setSelectionRange) same[0].setSelectionRange(from, to);
  }

  /* ---------------------------------------------------------------- what an earlier view of this page could not save */

  async function putBack(entries) {
    form.inert = true;
    for (const { key, pairs } of entries) {
      const again = pairs.map(([name, value]) => [name, name === '$number' ? String(Number(value) + 1) : name === '$shape' ? '' : value]);
      let result = await send(again, false);
      for (let tries = 0; result.kind === 'away'; tries += 1) {
        say('Not saved yet. What you typed before is kept in this browser; we will try again.');
        await new Promise((resolve) => { window.setTimeout(resolve, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]); });
        result = await send(again, false);
      }
      if (result.kind === 'taken') {
        forget(key);
        hidden('$number').value = again.find(([name]) => name === '$number')[1];
        show(result.said, '. What you typed before is back on this page');
      } else giveBack(key, pairs, result.why);
    }
    form.inert = false;
  }
  /** Lists what can no longer be saved, for copying, until the reader lets it go. */
  function giveBack(key, pairs, why) {
    const box = document.createElement('section');
    box.className = 'notice';
    const line = (tag, text) => box.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
    line('h2', 'What you typed before could not be saved');
    line('p', why);
    for (const [name, value] of pairs) {
      const label = form.querySelector('[name="' + CSS.escape(name) + '"]')?.closest('.field')?.querySelector('label, legend');
      if (!name.startsWith('$') && !name.endsWith('.id') && value.trim() !== '') line('p', (label ? label.firstChild.textContent.trim() : name) + ': ' + value);
    }
    const button = line('button', 'Discard it');
    button.type = 'button';
    button.className = 'secondary';
    button.addEventListener('click', () => { forget(key); box.remove(); });
    form.before(box);
  }
  const entries = keptBefore();
  if (entries.length > 0) void putBack(entries);

  /* ---------------------------------------------------------------- forms that are sent once */

  /** Sends a form once, and only when the server can be reached: what was typed in it stays on the page otherwise. */
  function guardSending() {
    for (const once of document.querySelectorAll('form[data-send]')) {
      let isOnItsWay = false;
      once.addEventListener('submit', async (event) => {
        event.preventDefault();
        if (isOnItsWay) return;
        isOnItsWay = true;
        const words = once.querySelector('[role=status]');
        try {
          await fetch(window.location.pathname, { method: 'HEAD', cache: 'no-store' });
        } catch (error) {
          isOnItsWay = false;
          words.textContent = 'Not sent: we cannot be reached just now. Nothing is lost; press the button again in a moment.';
          return;
        }
        once.submit();
      });
      window.addEventListener('pageshow', (event) => { if (event.persisted) window.location.reload(); });
    }
  }
})();
