// Durations, times, ids and JSON as text.

import { element } from './dom.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const millis = (time) => new Date(time).getTime();

/** Milliseconds as text, such as `230 ms`, `4.56 s`, `1m 10s`, `3h 5m` or `2d 4h`. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return '';
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE) return `${Math.floor(ms / 10) / 100} s`;
  const parts = ms < HOUR ? [[MINUTE, 'm'], [SECOND, 's']] : ms < DAY ? [[HOUR, 'h'], [MINUTE, 'm']] : [[DAY, 'd'], [HOUR, 'h']];
  const [[large, first], [small, second]] = parts;
  return `${Math.floor(ms / large)}${first} ${Math.floor((ms % large) / small)}${second}`;
}

/** Date and time in the language of the browser. */
export function date(time) {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** Distance from now, such as `12 s ago` or `in 3 min`. */
export function relative(time, now = Date.now()) {
  const distance = millis(time) - now;
  const size = Math.abs(distance);
  if (size < SECOND) return 'now';
  const [unit, name] = [[DAY, 'd'], [HOUR, 'h'], [MINUTE, 'min'], [SECOND, 's']].find(([ms]) => size >= ms);
  const text = `${Math.floor(size / unit)} ${name}`;
  return distance < 0 ? `${text} ago` : `in ${text}`;
}

/** An element with the distance from now, and the date as its tooltip. `tick` updates it. */
export function when(time) {
  return time ? element('time', { datetime: time, title: date(time), data: { relative: true } }, relative(time)) : '–';
}

/** An element with date and distance. */
export function dateAndWhen(time) {
  return time ? element('span', null, date(time), ' ', element('span', { class: 'quiet' }, '(', when(time), ')')) : '–';
}

/** An element with the time that has passed since a time. `tick` updates it. */
export function since(time) {
  return element('time', { datetime: time, data: { since: true } }, elapsed(time));
}

/** The time since a time in whole seconds. */
const elapsed = (time) => duration(Math.max(1, Math.floor((Date.now() - millis(time)) / SECOND)) * SECOND);

/** Updates the elements of `when` and `since`. */
export function tick(root) {
  for (const node of root.querySelectorAll('time[data-relative]')) setText(node, relative(node.dateTime));
  for (const node of root.querySelectorAll('time[data-since]')) setText(node, elapsed(node.dateTime));
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const shortId = (id) => id.slice(0, 8);

export const isId = (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);

/** The decoded text of a part of an address; the text itself if its escapes are invalid. */
export function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** JSON on several lines. */
export const json = (value) => JSON.stringify(value, null, 2);

/** A name without its middle if it is longer than `max`: names of one workflow often begin alike. */
export function shorten(name, max) {
  const half = Math.floor((max - 1) / 2);
  return name.length <= max ? name : `${name.slice(0, half)}…${name.slice(-half)}`;
}

/** A name without the creation time that the engine appends. */
export const plainName = (displayName) => displayName.replace(/-\d{13}$/, '');
