// The dialog that pushes an event.

import { element } from '../dom.js';
import { commandFor, showCommand } from './command.js';
import { openDialog, sendForm } from './dialog.js';
import { parseObject } from './schema_fields.js';

/** Opens the dialog. `keys` are suggested, and `start` is the key to start with. */
export function openPush(page, keys, start = '') {
  const input = (id, value, placeholder, list) => element('input', { id, value, placeholder, list, autocomplete: 'off', spellcheck: 'false' });
  const area = (id, value) => element('textarea', { id, class: 'json', rows: 4, spellcheck: 'false' }, value);
  const key = input('event-key', start, 'order:created', 'event-keys');
  const data = area('event-payload', '{}');
  const metadata = input('event-metadata', '', '{"key": "value"}');
  const scope = input('event-scope', '', 'none');
  const command = element('div');
  const problem = element('p', { class: 'error', role: 'alert' });
  const submit = element('button', { type: 'submit', class: 'primary' }, 'Push');
  const field = (control, label) => element('div', { class: 'field' }, element('label', { for: control.id }, label), control);

  /** The event of the fields. Throws an error that names the field. */
  function read() {
    const event = { key: key.value.trim(), data: parseObject(data.value, 'the payload') };
    if (event.key === '') throw new Error('the event needs a key');
    if (metadata.value.trim() !== '') event.additionalMetadata = parseObject(metadata.value, 'the metadata');
    if (scope.value.trim() !== '') event.scope = scope.value.trim();
    return event;
  }

  function update() {
    problem.textContent = '';
    let line = null;
    try {
      const { key: of, data: payload, additionalMetadata, scope: within } = read();
      line = commandFor('push', { key: of, scope: within, input: payload, metadata: additionalMetadata });
    } catch {
      // There is no command while a field is invalid.
    }
    showCommand(command, line);
  }

  async function send(submitted) {
    submitted.preventDefault();
    let event = null;
    try {
      event = read();
    } catch (error) {
      problem.textContent = `Not sent: ${error.message}.`;
      return;
    }
    await sendForm(submit, problem, async () => {
      await page.api.post(`/api/v1/tenants/${page.api.tenant}/events`, event);
      dialog.close();
      page.notify(`The event ${event.key} is pushed.`);
      page.refresh();
    });
  }

  const dialog = openDialog('Push an event', element('form', { class: 'trigger', novalidate: true, on: { submit: send, input: update } },
    element('datalist', { id: 'event-keys' }, keys.map((one) => element('option', { value: one }))),
    field(key, 'Key'), field(data, 'Payload, a JSON object'), field(metadata, 'Additional metadata, a JSON object'), field(scope, 'Scope'),
    command, problem,
    element('div', { class: 'actions' }, element('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'), submit)));
  update();
  key.focus();
}
