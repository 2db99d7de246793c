// Dialogs and short notices.

import { element } from '../dom.js';

/**
 * Opens a modal dialog, which closes with Escape or its button and returns the focus to the element that had it.
 * Returns the dialog; it is removed from the page when it closes.
 */
export function openDialog(title, ...children) {
  const before = document.activeElement;
  const close = element('button', { type: 'button', class: 'icon', 'aria-label': 'Close', on: { click: () => dialog.close() } }, '×');
  const dialog = element('dialog', { 'aria-label': title },
    element('header', null, element('h2', null, title), close), element('div', { class: 'body' }, children));
  dialog.addEventListener('close', () => {
    dialog.remove();
    before?.focus?.();
  });
  // A click on the backdrop has the dialog itself as its target.
  dialog.addEventListener('mousedown', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Whether the action of a button is running. A property, because others set and remove the attribute `disabled`. */
const busy = Symbol('busy');

/** Runs the action of a button, once at a time, and passes its error to `fail`. The button is disabled meanwhile. */
export async function runOnce(button, action, fail) {
  if (button[busy]) return;
  button[busy] = true;
  button.setAttribute?.('disabled', '');
  try {
    await action();
  } catch (error) {
    fail(error);
  } finally {
    button[busy] = false;
    button.removeAttribute?.('disabled');
    // A disabled button loses the focus.
    if (document.activeElement === document.body) button.focus?.();
  }
}

/**
 * Sends the form of a dialog with `action`, once at a time. Its button and the elements `locked` are disabled meanwhile.
 * An error is shown in `problem`. Nothing is sent while the button is disabled.
 */
export async function sendForm(button, problem, action, locked = []) {
  if (button.disabled || button[busy]) return;
  problem.textContent = '';
  for (const one of locked) one.disabled = true;
  await runOnce(button, action, (error) => { problem.textContent = error.message; });
  for (const one of locked) one.disabled = false;
}

/** Asks for a confirmation. Resolves to true if the user confirms. */
export function confirmDialog({ title, text, action, danger }) {
  return new Promise((resolve) => {
    let confirmed = false;
    const confirm = () => {
      confirmed = true;
      dialog.close();
    };
    const yes = element('button', { type: 'button', class: danger ? 'danger' : 'primary', on: { click: confirm } }, action);
    const no = element('button', { type: 'button', on: { click: () => dialog.close() } }, 'Back');
    const dialog = openDialog(title, element('p', null, text), element('div', { class: 'actions' }, no, yes));
    dialog.addEventListener('close', () => resolve(confirmed));
    yes.focus();
  });
}

/** Shows a notice for some seconds. `kind` is `good` or `bad`; notices of kind `bad` stay until they are closed. */
export function notify(text, kind = 'good') {
  const close = element('button', { type: 'button', class: 'icon', 'aria-label': 'Close', on: { click: () => notice.remove() } }, '×');
  const notice = element('div', { class: `notice ${kind}` }, element('span', null, text), close);
  document.getElementById('notices').append(notice);
  if (kind !== 'bad') setTimeout(() => notice.remove(), 5000);
}
