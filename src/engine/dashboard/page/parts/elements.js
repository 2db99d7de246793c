// Elements that several views show: statuses, ids, tables, cards, blocks and facts.

import { element } from '../dom.js';
import { json, shortId } from '../format.js';
import { copy } from './command.js';

/** The status of a run, task or worker. */
export function status(name) {
  return element('span', { class: `status ${/^[A-Z]+$/.test(name) ? name : ''}` }, name.toLowerCase());
}

/** An id in short form, which copies the whole id when it is clicked. */
export function idButton(id, what = 'Id') {
  const click = () => copy(id, what);
  return element('button', { type: 'button', class: 'id', title: `Copy ${id}`, 'aria-label': `Copy id ${id}`, on: { click } }, shortId(id));
}

/** A table. `heads` are texts or {text, class}; rows are arrays of cells, or {key, class, cells}. A cell is content, or
 * {content, class}. Cells of the class `wide` are hidden on phones. */
export function table(label, heads, rows) {
  const cell = (tag, properties) => (content) => {
    const { content: inner, class: kind } = content?.content !== undefined ? content : { content };
    return element(tag, { ...properties, class: kind || null }, inner);
  };
  const head = heads.map((item) => cell('th', { scope: 'col' })(item?.text !== undefined ? { content: item.text, class: item.class } : item));
  const body = rows.map((row) => {
    const { key, class: kind, cells } = Array.isArray(row) ? { cells: row } : row;
    return element('tr', { class: kind || null, data: { key } }, cells.map(cell('td')));
  });
  return element('div', { class: 'table', data: { key: `table ${label}` } },
    element('table', { 'aria-label': label }, element('thead', null, element('tr', null, head)), element('tbody', null, body)));
}

/** The beginning of a value as JSON on one line, with the whole as a tooltip. */
export function shortJson(value) {
  const text = JSON.stringify(value);
  // A cut pair of surrogates is no character.
  const beginning = text.length > 60 ? `${text.slice(0, 59).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return element('code', { title: json(value) }, beginning);
}

/** A value as a block of JSON or text, with a note above it. Nothing for an absent value and an empty object. */
export function block(title, value, kind, note) {
  const text = typeof value === 'string' ? value : json(value);
  if (!text || text === '{}') return null;
  const head = element('div', { class: 'line' }, element('h3', null, title),
    element('button', { type: 'button', class: 'small last', on: { click: () => copy(text, title) } }, 'Copy'));
  return element('section', { class: 'block', data: { key: `block ${title}` }, 'aria-label': title }, head, note,
    element('pre', { class: kind ?? null, tabindex: 0 }, text));
}

/** A section with a title. */
export function card(title, properties, ...children) {
  const { last, ...others } = properties ?? {};
  return element('section', { class: 'card', 'aria-label': title, data: { key: `card ${title}` }, ...others },
    element('div', { class: 'line' }, element('h2', null, title), last ? element('div', { class: 'line last' }, last) : null), children);
}

/** Terms and descriptions. Pairs without a description are left out. */
export function facts(pairs) {
  return element('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([term, value]) => element('div', null, element('dt', null, term), element('dd', null, value))));
}

/** A text whose first line opens to the whole text. `key` pairs it with its earlier drawing. */
export function firstLine(text, key) {
  const [first, ...others] = text.trim().split('\n');
  if (others.length === 0) return first;
  return element('details', { class: 'text', data: { key } }, element('summary', null, first), element('pre', null, others.join('\n')));
}

/** A sentence in place of an empty list. */
export const nothing = (text) => element('p', { class: 'quiet nothing' }, text);
