// Copies texts, and builds the commands of the `runner` that do the same as the page.

import { element } from '../dom.js';
import { notify, openDialog } from './dialog.js';

/** Copies a text. Without access to the clipboard, which pages at plain IP addresses do not have, shows it selected. */
export async function copy(text, what = 'Text') {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${what} copied.`);
  } catch {
    const area = element('textarea', { readonly: true, rows: 4, class: 'code', 'aria-label': what }, text);
    openDialog(`Copy: ${what}`, area);
    area.select();
  }
}

/** A button that copies a text. */
export function copyButton(text, label) {
  return element('button', { type: 'button', class: 'small', title: text, on: { click: () => copy(text, label) } }, `Copy ${label.toLowerCase()}`);
}

/** A word of a POSIX shell. */
function quote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The command for an action: `run` {workflow}, `schedule` {workflow, at}, `cron` {workflow, name, expression} and `push`
 * {key, scope}, each with {input, metadata, priority}; `get`, `watch`, `cancel`, `replay`, `logs` or `events` {id} of a run.
 * Null if the command cannot express the metadata: its values are texts, and its keys have no `=`.
 */
export function commandFor(kind, { workflow, at, name, expression, key, scope, input, metadata, priority, id } = {}) {
  const option = (flag, value) => (value === undefined ? [] : [flag, String(value)]);
  const given = Object.entries(metadata ?? {});
  if (given.some(([of, value]) => of === '' || of.includes('=') || typeof value !== 'string')) return null;
  const pairs = given.flatMap(([of, value]) => ['--metadata', `${of}=${value}`]);
  const values = [...option('--input-json', input && JSON.stringify(input)), ...pairs, ...option('--priority', priority)];
  const words = {
    run: ['run', workflow, ...values],
    schedule: ['scheduled', 'create', workflow, ...option('--at', at), ...values],
    cron: ['cron', 'create', workflow, name, expression, ...values],
    push: ['events', 'push', key, ...option('--scope', scope), ...values],
  }[kind] ?? ['runs', kind, id];
  return ['runner', ...words.map((word) => quote(String(word))), '--embedded'].join(' ');
}

/** Shows the command that does the same as a dialog, with a button that copies it. Shows nothing for null. */
export function showCommand(place, command) {
  place.className = 'command';
  place.replaceChildren(...(command === null ? [] : [
    element('code', { tabindex: 0, 'aria-label': 'Command that does the same' }, command), copyButton(command, 'Command')]));
}

/** Opens a list of commands: purpose, command, and the reason if the command is null. */
export function openCommands(list) {
  openDialog('Commands', element('p', { class: 'quiet' }, 'In the worker’s folder, these commands do the same in a terminal.'),
    list.map(([purpose, command, reason]) => element('section', { class: 'block', 'aria-label': purpose },
      element('div', { class: 'line' }, element('h3', null, purpose),
        command === null ? null : element('button', { type: 'button', class: 'small last', 'aria-label': `Copy: ${purpose}`, on: { click: () => copy(command, 'Command') } }, 'Copy')),
      command === null ? element('p', { class: 'quiet' }, reason) : element('pre', { tabindex: 0 }, command))));
}
