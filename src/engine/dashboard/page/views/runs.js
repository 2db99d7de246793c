// The list of runs: search, filters, pages, and cancelling and replaying of several runs.

import { element } from '../dom.js';
import { duration, isId, since, when } from '../format.js';
import { commandFor } from '../parts/command.js';
import { idButton, nothing, status, table } from '../parts/elements.js';
import { originTag, parentLink, splitMetadata } from '../parts/metadata.js';
import { address, pageOf, pager } from '../parts/pager.js';
import { openTrigger } from '../parts/trigger.js';

const PAGE_ROWS = 50;
/** Runs that one call cancels or replays. */
const BATCH = 500;
const EPOCH = '1970-01-01T00:00:00Z';
const STATUSES = ['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'];
const TIMES = { '15m': ['last 15 minutes', 900], '1h': ['last hour', 3600], '1d': ['last day', 86_400], '7d': ['last 7 days', 604_800] };
/** Milliseconds without a keystroke after which a search starts. */
const TYPING = 250;

/** Ids of the selected runs, of all pages. */
const selected = new Set();
let typing = 0;
/** The previous counters of the engine, for rates. */
let before = null;

export default {
  title: () => 'Runs',

  async load(api, { query }, signal) {
    const stable = `/api/v1/stable/tenants/${api.tenant}`;
    const [filter, totals] = await Promise.all([
      filterOf(api, query, signal), api.get(`/api/v1/tenants/${api.tenant}/embedded-counts`, {}, signal),
    ]);
    if (!filter) return { rows: [], pages: 0, counts: {}, rates: ratesOf(totals), unknown: query.get('name') };
    const { statuses, ...counted } = filter;
    const list = { ...filter, additional_metadata_operator: filter.additional_metadata ? 'AND' : null,
      limit: PAGE_ROWS, offset: (pageOf(query) - 1) * PAGE_ROWS, only_tasks: false, include_payloads: false };
    const [runs, counts] = await Promise.all([
      api.get(`${stable}/workflow-runs`, list, signal), api.get(`${stable}/task-metrics`, counted, signal),
    ]);
    return { rows: runs.rows, pages: runs.pagination.num_pages, rates: ratesOf(totals),
      counts: Object.fromEntries(counts.map((row) => [row.status, row.count])) };
  },

  draw(data, route, page) {
    const { rows, pages, counts, rates, unknown } = data;
    const empty = unknown ? `No workflow has “${unknown}” in its name.` : route.query.size > 0 ? 'No run matches.' : null;
    return [
      filters(route, page), chips(route, counts, rates), bulkBar(data, route, page),
      rows.length > 0 ? list(rows, route, page) : empty ? nothing(empty) : welcome(),
      pager(route, pages),
    ];
  },

  /** Keys of this view. */
  keys: { t: (page) => openTrigger(page, { title: 'Trigger a run' }) },
};

/** The parameters of the REST calls for the filters in the address; null if no workflow has the searched name. */
async function filterOf(api, query, signal) {
  const filter = { since: EPOCH };
  const seconds = TIMES[query.get('time')]?.[1];
  if (seconds) filter.since = new Date(Date.now() - seconds * 1000).toISOString();
  if (STATUSES.includes(query.get('status'))) filter.statuses = [query.get('status')];
  if (query.get('meta')?.includes(':')) filter.additional_metadata = query.get('meta');
  if (isId(query.get('parent') ?? '')) filter.parent_task_external_id = query.get('parent');
  if (isId(query.get('event') ?? '')) filter.triggering_event_external_id = query.get('event');
  const name = query.get('name');
  if (!name) return filter;
  const workflows = await api.get(`/api/v1/tenants/${api.tenant}/workflows`, { name, limit: 1000 }, signal);
  filter.workflow_ids = workflows.rows.map((row) => row.metadata.id);
  return filter.workflow_ids.length > 0 ? filter : null;
}

/** Runs and tasks per second since the previous call. */
function ratesOf(now) {
  const then = before;
  before = now;
  const seconds = then && now ? (now.atMillis - then.atMillis) / 1000 : 0;
  if (seconds <= 0) return null;
  const rate = (name) => Math.round((10 * Math.max(0, now[name] - then[name])) / seconds) / 10;
  return { triggered: rate('runsMade'), assigned: rate('tasksAssigned'), finished: rate('runsEnded') };
}

function filters(route, page) {
  const set = (changes) => page.navigate(address(page.route, changes), { replace: true });
  const type = function input() {
    clearTimeout(typing);
    const [name, meta] = ['name', 'meta'].map((key) => this.form.elements[key].value.trim());
    if (isId(name)) page.navigate(`#/runs/${name.toLowerCase()}`);
    else typing = setTimeout(() => { if (page.route.name === 'runs' && !page.route.id) set({ name, meta }); }, TYPING);
  };
  const { query } = route;
  const others = ['parent', 'event'].filter((key) => query.get(key)).map((key) =>
    element('a', { class: 'tag', href: address(route, { [key]: '' }) }, `${key} ${query.get(key).slice(0, 8)} ×`));
  return element('form', { class: 'filters', role: 'search', data: { key: 'filters' }, on: { submit: (event) => event.preventDefault() } },
    element('label', null, element('span', null, 'Search'),
      element('input', { type: 'search', name: 'name', placeholder: 'workflow name or run id', value: query.get('name') ?? '', autocomplete: 'off', spellcheck: 'false', data: { search: true }, on: { input: type } })),
    element('label', null, element('span', null, 'Metadata'),
      element('input', { type: 'search', name: 'meta', placeholder: 'key:value', pattern: '[^:]+:.*', title: 'Write a pair as key:value.', value: query.get('meta') ?? '', autocomplete: 'off', spellcheck: 'false', on: { input: type } })),
    element('label', null, element('span', null, 'Time'),
      element('select', { name: 'time', on: { change: function change() { set({ time: this.value }); } } },
        element('option', { value: '' }, 'any time'),
        Object.entries(TIMES).map(([value, [text]]) => element('option', { value, selected: query.get('time') === value }, text)))),
    others.length > 0 ? element('span', { class: 'line' }, others) : null,
    element('button', { type: 'button', class: 'primary last', title: 'Key: t', on: { click: page.attempt(() => openTrigger(page, { title: 'Trigger a run' })) } }, 'Trigger a run'));
}

function chips(route, counts, rates) {
  const now = route.query.get('status') ?? '';
  const total = STATUSES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const chip = (name, text, count) => element('a', { class: `chip ${name}`, href: address(route, { status: name }), 'aria-current': now === name ? 'true' : null, data: { key: `chip ${name}` } },
    element('b', null, count.toLocaleString()), ` ${text}`);
  return element('div', { class: 'chips', data: { key: 'chips' } },
    element('nav', { 'aria-label': 'Status', title: 'Numbers of tasks' }, chip('', 'tasks', total), STATUSES.map((name) => chip(name, name.toLowerCase(), counts[name] ?? 0))),
    rates ? element('p', { class: 'quiet rates' }, `per second: ${rates.triggered} triggered, ${rates.assigned} assigned, ${rates.finished} finished`) : null);
}

function list(rows, route, page) {
  const ids = rows.map((run) => run.workflowRunExternalId);
  const all = element('input', { type: 'checkbox', 'aria-label': 'Select all runs of this page', checked: ids.every((id) => selected.has(id)),
    on: { change: function change() { select(ids, this.checked, page); } } });
  all.indeterminate = !all.checked && ids.some((id) => selected.has(id));
  return table('Runs', [
    { text: all, class: 'check' }, 'Status', 'Workflow', { text: 'Metadata', class: 'wide' }, 'Triggered', { text: 'Took', class: 'wide' }, { text: 'Id', class: 'wide' },
  ], rows.map((run) => row(run, route, page)));
}

function row(run, route, page) {
  const id = run.workflowRunExternalId;
  const box = element('input', { type: 'checkbox', 'aria-label': `Select run ${id}`, checked: selected.has(id), on: { change: function change() { select([id], this.checked, page); } } });
  const pairs = splitMetadata(run.additionalMetadata).user.filter(([, value]) => typeof value === 'string').slice(0, 3);
  const error = run.errorMessage ? element('div', { class: 'cause bad' }, run.errorMessage.split('\n')[0]) : null;
  const took = run.duration !== undefined ? duration(run.duration) : run.status === 'RUNNING' && run.startedAt ? since(run.startedAt) : '';
  return {
    key: id, class: selected.has(id) ? 'chosen' : null,
    cells: [
      { content: box, class: 'check' }, { content: status(run.status), class: 'short' },
      { content: [element('a', { href: `#/runs/${id}`, class: 'name', data: { row: true } }, run.workflowName ?? run.displayName),
        run.retryCount > 0 ? element('span', { class: 'tag' }, `attempt ${run.attempt}`) : null,
        parentLink(run.additionalMetadata), originTag(run.additionalMetadata), error] },
      { content: pairs.map(([key, value]) => element('a', { class: 'tag', href: address(route, { meta: `${key}:${value}` }), title: `Only runs with ${key}: ${value}` }, `${key}: ${value}`)), class: 'wide' },
      { content: when(run.createdAt), class: 'short' }, { content: took, class: 'short wide' }, { content: idButton(id), class: 'short wide' },
    ],
  };
}

function select(ids, chosen, page) {
  for (const id of ids) {
    if (chosen) selected.add(id);
    else selected.delete(id);
  }
  page.redraw();
}

function bulkBar({ pages }, route, page) {
  if (selected.size === 0) return null;
  const button = (text, action, kind) => element('button', { type: 'button', class: kind ?? null, on: { click: action } }, text);
  const everything = async () => {
    const filter = await filterOf(page.api, route.query);
    const ids = filter && await page.api.get(`/api/v1/stable/tenants/${page.api.tenant}/workflow-runs/external-ids`, filter);
    select(ids ?? [], true, page);
  };
  return element('div', { class: 'bulk', role: 'region', 'aria-label': 'Selected runs', data: { key: 'bulk' } },
    element('b', null, `${selected.size.toLocaleString()} selected`),
    pages > 1 ? button('Select all that match', page.attempt(everything), 'small') : null,
    button('Cancel', page.attempt(() => change(page, 'cancel')), 'small danger'),
    button('Replay', page.attempt(() => change(page, 'replay')), 'small'),
    button('Clear', () => select([...selected], false, page), 'small'));
}

async function change(page, action) {
  const ids = [...selected];
  const texts = { cancel: 'Runs that have finished do not change.', replay: 'They run again under the same ids, and their results are lost.' };
  const runs = ids.length === 1 ? '1 run' : `${ids.length.toLocaleString()} runs`;
  const name = action === 'cancel' ? 'Cancel' : 'Replay';
  if (!await page.ask({ title: `${name} ${runs}?`, text: texts[action], action: `${name} ${runs}`, danger: action === 'cancel' })) return;
  let changed = 0;
  for (let at = 0; at < ids.length; at += BATCH) {
    const response = await page.api.post(`/api/v1/stable/tenants/${page.api.tenant}/tasks/${action}`, { externalIds: ids.slice(at, at + BATCH) });
    changed += response.ids.length;
  }
  selected.clear();
  // The engine returns the ids of runs that have finished, too.
  page.notify(action === 'cancel' ? `Of ${runs}, those that had not finished are cancelled.` : `Replayed ${changed.toLocaleString()} of ${runs}.`);
  page.refresh();
}

function welcome() {
  return element('div', { class: 'nothing' }, element('p', null, 'No runs yet.'),
    element('p', { class: 'quiet' }, 'Start a worker, then trigger a run here or in a terminal:'),
    element('pre', null, commandFor('run', { workflow: 'TASK', input: {} })));
}
