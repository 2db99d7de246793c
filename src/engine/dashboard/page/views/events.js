// The events that programs have pushed, and the runs that they triggered.

import { element } from '../dom.js';
import { json, when } from '../format.js';
import { commandFor, copyButton } from '../parts/command.js';
import { idButton, nothing, table } from '../parts/elements.js';
import { splitMetadata, userMetadata } from '../parts/metadata.js';
import { address, pageOf, pager } from '../parts/pager.js';
import { openPush } from '../parts/push.js';
import { DIGITS, hasUnsafeInteger, parseWithLossy } from '../parts/schema.js';

const PAGE_ROWS = 50;
/** Status of runs by its name in the numbers of an event. */
const COUNTS = { queued: 'QUEUED', running: 'RUNNING', succeeded: 'COMPLETED', failed: 'FAILED', cancelled: 'CANCELLED' };

export default {
  title: () => 'Events',

  async load(api, { query }, signal) {
    const events = `/api/v1/stable/tenants/${api.tenant}/events`;
    const [list, keys] = await Promise.all([
      api.get(events, { keys: query.get('key'), limit: PAGE_ROWS, offset: (pageOf(query) - 1) * PAGE_ROWS }, signal, parseWithLossy),
      api.get(`${events}/keys`, {}, signal),
    ]);
    return { rows: list.rows, pages: list.pagination.num_pages, keys: keys.rows, lossy: list.lossy };
  },

  draw({ rows, pages, keys, lossy }, route, page) {
    return [
      filter(keys, route, page),
      rows.length > 0 ? table('Events', ['Key', { text: 'Runs' }, 'Pushed', { text: 'Payload', class: 'wide' }, { text: 'Id', class: 'wide' }], rows.map((event) => row(event, lossy))) : empty(route),
      pager(route, pages),
    ];
  },

  keys: { t: (page, data) => openPush(page, data?.keys ?? [], page.route.query.get('key') ?? '') },
};

function filter(keys, route, page) {
  const change = function change() {
    page.navigate(address(page.route, { key: this.value }), { replace: true });
  };
  const chosen = route.query.get('key') ?? '';
  return element('form', { class: 'filters', data: { key: 'filters' }, on: { submit: (event) => event.preventDefault() } },
    element('label', null, element('span', null, 'Key'),
      element('select', { name: 'key', data: { search: true }, on: { change } }, element('option', { value: '' }, 'all keys'),
        [...new Set([...keys, chosen])].filter(Boolean).map((key) => element('option', { value: key, selected: key === chosen }, key)))),
    element('button', { type: 'button', class: 'primary last', title: 'Key: t', on: { click: () => openPush(page, keys, chosen) } }, 'Push an event'));
}

function row(event, lossy) {
  const id = event.metadata.id;
  const counts = Object.entries(COUNTS).filter(([name]) => event.workflowRunSummary[name] > 0)
    .map(([name, status]) => element('span', { class: `status ${status}` }, `${event.workflowRunSummary[name]} ${status.toLowerCase()}`));
  const [only, ...others] = event.triggeredRuns ?? [];
  const link = only && others.length === 0 ? `#/runs/${only.workflowRunId}` : `#/runs?event=${id}`;
  const pairs = splitMetadata(event.additionalMetadata).user;
  return { key: id, cells: [
    [element(only ? 'a' : 'span', { class: 'name', href: only ? link : null, data: { row: Boolean(only) } }, event.key),
      event.scope ? element('span', { class: 'tag' }, `scope ${event.scope}`) : null,
      pairs.map(([key, value]) => element('span', { class: 'tag' }, `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`))],
    { content: counts.length > 0 ? element('span', { class: 'line' }, counts) : element('span', { class: 'quiet' }, 'none'), class: 'short' },
    { content: when(event.seenAt), class: 'short' },
    { content: payload(event, lossy), class: 'wide' },
    { content: idButton(id, 'Event id'), class: 'short wide' },
  ] };
}

/** The payload on one line, which opens to JSON and the command that pushes the event again. */
function payload(event, lossy) {
  const isLossy = lossy !== null && hasUnsafeInteger(event.payload);
  const command = isLossy ? null : commandFor('push', {
    key: event.key, scope: event.scope || undefined, input: event.payload, metadata: userMetadata(event.additionalMetadata),
  });
  const text = JSON.stringify(event.payload ?? {});
  return element('details', { data: { key: `payload ${event.metadata.id}` } },
    element('summary', null, element('code', { class: 'cause' }, text)),
    isLossy ? element('p', { class: 'quiet' }, DIGITS) : null,
    element('pre', null, json(event.payload)),
    command === null ? null : copyButton(command, 'Command'));
}

function empty(route) {
  if (route.query.size > 0) return nothing('No event has this key.');
  return element('div', { class: 'nothing' }, element('p', null, 'No events yet.'),
    element('p', { class: 'quiet' }, 'Push one here, from a program, or in a terminal:'), element('pre', null, commandFor('push', { key: 'order:created', input: { id: 1 } })));
}
