// Enhances the portal: keeps what is typed while it is typed. Everything works without this file.
'use strict';
(function () {
  const form = document.querySelector('form[data-autosave]');
  const errors = document.getElementById('errors');
  if (errors && !window.location.hash) errors.focus();
  if (!form) return;
  const status = form.querySelector('[data-saved]');
  let timer = 0;
  let dirty = false;
  const say = (text) => { if (status) status.textContent = text; };
  async function save() {
    timer = 0;
    const data = new FormData(form);
    for (const [name, value] of [...data.entries()]) if (value instanceof File) data.delete(name);
    dirty = false;
    try {
      const answer = await fetch(form.dataset.autosave, { method: 'POST', body: data, headers: { Accept: 'application/json' } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { savedAt } = await answer.json();
      say(dirty ? 'Not saved yet' : 'Saved ' + savedAt);
    } catch {
      dirty = true;
      say('Not saved yet. We will try again; keep this page open.');
      if (!timer) timer = window.setTimeout(save, 5000);
    }
  }
  function touch() {
    dirty = true;
    say('Not saved yet');
    window.clearTimeout(timer);
    timer = window.setTimeout(save, 1000);
  }
  form.addEventListener('input', touch);
  form.addEventListener('change', touch);
  form.addEventListener('submit', () => { dirty = false; window.clearTimeout(timer); timer = 0; });
  window.addEventListener('beforeunload', (event) => { if (dirty) event.preventDefault(); });
})();
