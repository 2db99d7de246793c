'use strict';

// Responses are inserted as text only, never as HTML. The token is stored in this tab's session storage and sent in the
// header of each call.

/** Milliseconds between two refreshes. */
const REFRESH_INTERVAL = 2000;
/** Runs in the list. */
const MAX_ROWS = 100;
const byId = (id) => document.getElementById(id);

let token = sessionStorage.getItem('token');
let tenant = '';
/** Id of the run that is shown in detail. */
let chosen = '';
/** The counters of the previous refresh. */
let before = null;
let timer = 0;
/** Number of the latest refresh. */
let round = 0;

/** Creates an element. Children that are not nodes become text. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ''))));
  return element;
}

/** Redraws an element only if its data has changed, which keeps selections and scroll positions. */
const shown = new Map();
function show(id, data, draw) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  byId(id).replaceChildren(...draw(data));
}

class InvalidToken extends Error {}

async function get(path) {
  const response = await fetch(path, { headers: { authorization: `Bearer ${token}` }, cache: 'no-store' });
  if (response.status === 403) throw new InvalidToken('The engine does not accept this token.');
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the engine responded with status ${response.status}`);
  return response.json();
}

/** The tenant is a claim in the second of the token's three base64 parts. */
function tenantOf(text) {
  const part = text.split('.')[1] ?? '';
  return JSON.parse(atob(part.replace(/-/g, '+').replace(/_/g, '/'))).sub;
}

const millis = (time) => new Date(time).getTime();

function length(ms) {
  if (!Number.isFinite(ms)) return '';
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60000) / 1000)} s`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
}

const clock = (time) => new Date(time).toLocaleTimeString();
const status = (name) => make('span', `status ${/^[A-Z]+$/.test(name) ? name : ''}`, name.toLowerCase());

function table(heads, rows) {
  const head = make('tr', '', ...heads.map(([text, kind]) => make('th', kind, text)));
  return make('table', '', make('thead', '', head), make('tbody', '', ...rows));
}

function drawCounts({ tasks, rates }) {
  const tile = (name, value) => make('div', '', make('b', '', value), make('span', 'quiet', name));
  const count = (name) => tasks.find((row) => row.status === name)?.count ?? 0;
  const rate = (name) => (rates ? rates[name].toLocaleString(undefined, { maximumFractionDigits: 1 }) : '–');
  return [
    tile('tasks queued', count('QUEUED')), tile('running', count('RUNNING')), tile('completed', count('COMPLETED')),
    tile('failed', count('FAILED')), tile('cancelled', count('CANCELLED')), tile('triggered / s', rate('runsMade')),
    tile('assigned / s', rate('tasksAssigned')), tile('ended / s', rate('runsEnded')),
  ];
}

function drawRuns({ rows, chosen }) {
  if (rows.length === 0) return [make('p', 'quiet', 'No runs.')];
  const row = (run) => {
    const name = make('button', 'link', run.workflowName ?? run.displayName);
    name.type = 'button';
    name.addEventListener('click', () => choose(run.workflowRunExternalId));
    const line = make('tr', run.workflowRunExternalId === chosen ? 'chosen' : '',
      make('td', 'short', status(run.status)), make('td', '', name),
      make('td', 'short', clock(run.createdAt)),
      make('td', 'short wide', run.duration === undefined ? '' : length(run.duration)),
      make('td', 'short wide', make('span', 'id', run.workflowRunExternalId.slice(0, 8))));
    return line;
  };
  return [table([['status'], ['workflow'], ['triggered'], ['took', 'wide'], ['id', 'wide']], rows.map(row))];
}

function drawWorkers(workers) {
  if (workers.length === 0) return [make('p', 'quiet', 'No workers.')];
  const row = (worker) => {
    const slots = Object.entries(worker.slotConfig ?? {}).map(([kind, slot]) =>
      make('span', 'slots', `${kind} ${slot.limit - slot.available} / ${slot.limit}`));
    return make('tr', '', make('td', 'short', status(worker.status)), make('td', '', worker.name),
      make('td', '', ...slots), make('td', 'short wide', worker.lastHeartbeatAt ? clock(worker.lastHeartbeatAt) : '–'));
  };
  return [table([['status'], ['name'], ['slots in use'], ['heartbeat', 'wide']], workers.map(row))];
}

function block(title, value, kind) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return text && text !== '{}' ? [make('h3', '', title), make('pre', kind, text)] : [];
}

/** A name without the creation time that the engine appends. */
function plainName(displayName) {
  return displayName.replace(/-\d{13}$/, '');
}

/** The time for which a task was running, as a bar within the time of its run. */
function bar(task, from, to) {
  const part = make('i', task.status);
  const whole = Math.max(1, to - from);
  const start = millis(task.startedAt);
  part.style.left = `${(100 * (start - from)) / whole}%`;
  part.style.width = `${(100 * ((task.finishedAt ? millis(task.finishedAt) : to) - start)) / whole}%`;
  return make('div', 'track', part);
}

function drawTask(task, run, from, to, several) {
  const events = run.taskEvents.filter((event) => event.taskId === task.taskExternalId).reverse();
  const steps = events.map((event) => make('li', '', make('time', '', `+${length(millis(event.timestamp) - from)}`),
    make('span', '', event.eventType.toLowerCase().replaceAll('_', ' ') + (event.attempt > 1 ? ` (attempt ${event.attempt})` : '')),
    make('span', event.errorMessage ? 'bad' : '', event.errorMessage || event.message)));
  const logs = (run.logs[task.taskExternalId] ?? []).map((line) => make('li', '', make('time', '', `+${length(millis(line.createdAt) - from)}`),
    make('span', 'quiet', (line.level ?? '').toLowerCase()), make('span', '', line.message)));
  const parts = [];
  if (several) parts.push(make('h3', '', plainName(task.displayName), ' ', status(task.status)));
  if (steps.length) parts.push(make('h3', '', 'Timeline'));
  if (task.startedAt) parts.push(bar(task, from, to));
  if (steps.length) parts.push(make('ol', '', ...steps));
  if (several) parts.push(...block('Output', task.output), ...block('Error', task.errorMessage, 'bad'));
  if (logs.length) parts.push(make('h3', '', 'Logs'), make('ol', 'logs', ...logs));
  return parts;
}

function drawRun(details) {
  if (details.unknown) return [make('p', 'quiet', `Run ${details.unknown} was not found.`)];
  const { run, tasks } = details;
  const from = millis(run.createdAt ?? run.metadata.createdAt);
  const ends = details.taskEvents.map((event) => millis(event.timestamp));
  const to = run.finishedAt ? millis(run.finishedAt) : Math.max(from, ...ends);
  const close = make('button', 'last', 'Close');
  close.type = 'button';
  close.addEventListener('click', () => choose(''));
  const head = make('div', 'line', make('h2', '', plainName(run.displayName)), status(run.status), close);
  const several = details.shape.length > 1;
  const input = several ? run.input : run.input?.input;
  return [
    head, make('p', 'id', run.metadata.id),
    ...block('Error', run.errorMessage, 'bad'), ...block('Input', input), ...block('Output', run.output),
    ...block('Metadata', run.additionalMetadata),
    ...tasks.flatMap((task) => drawTask(task, details, from, to, several)),
  ];
}

async function loadRun(id) {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return { unknown: id };
  const details = await get(`/api/v1/stable/workflow-runs/${encodeURIComponent(id)}`);
  if (!details) return { unknown: id };
  const logs = await Promise.all(details.tasks.map(async (task) =>
    [task.taskExternalId, (await get(`/api/v1/stable/tasks/${task.taskExternalId}/logs`))?.rows ?? []]));
  return { ...details, logs: Object.fromEntries(logs) };
}

function rates(now) {
  const then = before;
  before = now;
  const seconds = then ? (now.atMillis - then.atMillis) / 1000 : 0;
  if (seconds <= 0) return null;
  const rate = (name) => Math.max(0, (now[name] - then[name]) / seconds);
  return { runsMade: rate('runsMade'), tasksAssigned: rate('tasksAssigned'), runsEnded: rate('runsEnded') };
}

/** Loads and shows everything, and schedules the next refresh. A response to an older refresh is ignored. */
async function refresh() {
  clearTimeout(timer);
  const current = ++round;
  const run = chosen;
  const query = new URLSearchParams({ only_tasks: 'false', include_payloads: 'false', since: '1970-01-01T00:00:00Z', limit: MAX_ROWS });
  if (byId('status').value) query.append('statuses', byId('status').value);
  const base = `/api/v1/tenants/${tenant}`;
  const stable = `/api/v1/stable/tenants/${tenant}`;
  try {
    const totals = await get(`${base}/embedded-counts`);
    if (!totals) throw new InvalidToken('This token is for another engine.');
    const [tasks, runs, workers, details] = await Promise.all([
      get(`${stable}/task-metrics`), get(`${stable}/workflow-runs?${query}`), get(`${base}/worker`),
      run ? loadRun(run) : null,
    ]);
    if (current !== round) return;
    byId('login').hidden = true;
    byId('content').hidden = byId('logout').hidden = false;
    show('counts', { tasks, rates: rates(totals) }, drawCounts);
    show('runs', { rows: runs.rows, chosen: run }, drawRuns);
    show('workers', workers.rows, drawWorkers);
    byId('runs-more').textContent = runs.pagination.num_pages > 1 ? `the newest ${runs.rows.length}` : '';
    byId('run').hidden = !run;
    byId('columns').className = run ? 'two' : '';
    if (run) show('run', details, drawRun);
    byId('link').textContent = `live, ${location.host}`;
    byId('link').className = 'quiet';
  } catch (error) {
    if (current !== round) return;
    if (error instanceof InvalidToken) return logout(error.message);
    const why = error instanceof TypeError ? 'the engine does not respond' : error.message;
    byId('link').textContent = `${why}; showing the last data`;
    byId('link').className = 'bad';
  }
  timer = setTimeout(refresh, REFRESH_INTERVAL);
}

function choose(run) {
  chosen = run;
  history.replaceState(null, '', run ? `#${run}` : location.pathname);
  refresh();
}

function login(text) {
  try {
    tenant = tenantOf(text);
    if (!/^[0-9a-f-]{36}$/.test(tenant)) throw new Error('no tenant');
  } catch {
    return logout('This is not a client token: it starts with ey and has two dots.');
  }
  token = text;
  sessionStorage.setItem('token', token);
  refresh();
}

/** Removes the token and everything that was shown with it. */
function logout(why) {
  clearTimeout(timer);
  round += 1;
  token = before = null;
  sessionStorage.removeItem('token');
  for (const id of ['counts', 'runs', 'workers', 'run']) byId(id).replaceChildren();
  shown.clear();
  byId('content').hidden = byId('logout').hidden = true;
  byId('login').hidden = false;
  byId('link').textContent = '';
  byId('login-error').textContent = why;
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('token').value.trim();
  byId('token').value = '';
  login(text);
});
byId('logout').addEventListener('click', () => logout(''));
byId('status').addEventListener('change', refresh);
addEventListener('hashchange', () => choose(location.hash.slice(1)));
chosen = location.hash.slice(1);
if (token) login(token);
else logout('');
