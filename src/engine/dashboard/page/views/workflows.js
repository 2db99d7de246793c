// The workflows that workers have registered: the list, and one workflow.

import { element } from '../dom.js';
import { isId, json, when } from '../format.js';
import { commandFor, copyButton } from '../parts/command.js';
import { cronTable, loadCrons, newCron } from '../parts/crons.js';
import { openDialog, sendForm } from '../parts/dialog.js';
import { block, card, facts, idButton, nothing, shortJson, status, table } from '../parts/elements.js';
import { dagGraph } from '../parts/graph.js';
import { address, pageOf, pager } from '../parts/pager.js';
import { loadSchedules, scheduleTable } from '../parts/scheduled.js';
import { alternatives, choices, enumeration, propertiesOf, requiredOf, resolve, rulesOf } from '../parts/schema.js';
import { inOneHour, openTrigger } from '../parts/trigger.js';

const PAGE_ROWS = 50;
/** Newest runs of all workflows in which the list looks for the last runs of each. */
const WINDOW = 200;
/** Last runs of a workflow in the list, and of one workflow. */
const [FEW, MANY] = [5, 20];
/** Crons in which the list looks for those of each workflow. */
const MAX_CRONS = 1000;
/** Rate limits in which a workflow looks for those of its tasks. */
const MAX_LIMITS = 1000;
const EPOCH = '1970-01-01T00:00:00Z';
/** Versions that are kept; all are dropped when there are more. */
const MAX_VERSIONS = 1000;

/** Versions by their id. A version never changes. */
const versions = new Map();

export default {
  title: (route) => (route.id ? route.id : 'Workflows'),
  load: (api, route, signal) => (route.id ? loadOne(api, route.id, signal) : loadList(api, route, signal)),
  draw: (data, route, page) => (route.id ? drawOne(data, route, page) : drawList(data, route, page)),
  keys: { t: (page, data) => openTrigger(page, data?.name ? { workflow: data.name } : {}) },
};

const runQuery = (query) => ({ since: EPOCH, only_tasks: false, include_payloads: false, ...query });
const runOf = (row) => ({
  id: row.workflowRunExternalId, status: row.status, createdAt: row.createdAt, duration: row.duration,
});

async function loadVersion(api, workflow, signal) {
  const id = workflow.versions[0].metadata.id;
  if (!versions.has(id)) {
    const version = await api.get(`/api/v1/workflows/${workflow.metadata.id}/versions`, {}, signal);
    if (!version) return null; // The workflow was deleted meanwhile.
    if (versions.size >= MAX_VERSIONS) versions.clear();
    versions.set(version.metadata.id, version);
    return version;
  }
  return versions.get(id);
}

async function loadList(api, { query }, signal) {
  const tenant = `/api/v1/tenants/${api.tenant}`;
  const [list, recent, crons] = await Promise.all([
    api.get(`${tenant}/workflows`, { name: query.get('name'), limit: PAGE_ROWS, offset: (pageOf(query) - 1) * PAGE_ROWS }, signal),
    api.get(`/api/v1/stable/tenants/${api.tenant}/workflow-runs`, runQuery({ limit: WINDOW }), signal),
    api.get(`${tenant}/workflows/crons`, { limit: MAX_CRONS }, signal),
  ]);
  const rows = await Promise.all(list.rows.map(async (workflow) => {
    const version = await loadVersion(api, workflow, signal);
    const id = workflow.metadata.id;
    return {
      id, name: workflow.name, description: workflow.description, isPaused: workflow.isPaused,
      version: version?.version ?? '', registered: version?.metadata.createdAt ?? null, tasks: version?.workflowConfig.Tasks.length ?? 0, fields: fieldNames(version?.inputJsonSchema),
      events: version?.workflowConfig.EventTriggers ?? [],
      crons: crons.rows.filter((cron) => cron.workflowName === workflow.name).map((cron) => cron.cron),
      runs: recent.rows.filter((run) => run.workflowId === id).slice(0, FEW).map(runOf),
    };
  }));
  return { rows, pages: list.pagination.num_pages, seesAll: recent.pagination.num_pages <= 1 };
}

/** The names of the input's fields, with a `?` after those that may be left out; null without a schema. */
function fieldNames(schema) {
  if (!schema) return null;
  const resolved = resolve(schema, schema);
  const required = requiredOf(resolved);
  const names = Object.keys(propertiesOf(resolved)).map((name) => (required.includes(name) ? name : `${name}?`));
  if (isUnion(resolved, schema)) names.push('one of several kinds');
  return names.join(', ') || 'none';
}

const isUnion = (resolved, schema) => alternatives(resolved, schema).length > 1;

function drawList({ rows, pages, seesAll }, route, page) {
  const search = element('form', { class: 'filters', role: 'search', data: { key: 'filters' }, on: { submit: (event) => event.preventDefault() } },
    element('label', null, element('span', null, 'Search'), element('input', {
      type: 'search', placeholder: 'workflow name', value: route.query.get('name') ?? '', autocomplete: 'off', spellcheck: 'false',
      data: { search: true }, on: { input: function input() { page.navigate(address(page.route, { name: this.value.trim() }), { replace: true }); } },
    })));
  if (rows.length === 0) {
    return [search, nothing(route.query.get('name') ? 'No workflow matches.' : 'No worker has registered a workflow yet.')];
  }
  return [search, table('Workflows', [
    'Workflow', { text: 'Tasks', class: 'wide' }, { text: 'Input', class: 'wide' }, { text: 'Triggers', class: 'wide' }, { text: 'Version', class: 'wide' }, 'Last runs', '',
  ], rows.map((row) => ({ key: row.id, cells: [
    [element('a', { class: 'name', href: `#/workflows/${encodeURIComponent(row.name)}`, data: { row: true } }, row.name),
      row.isPaused ? [' ', status('PAUSED')] : null,
      row.description ? element('div', { class: 'quiet' }, row.description.split('\n')[0]) : null],
    { content: row.tasks, class: 'wide' },
    { content: row.fields ?? element('span', { class: 'quiet' }, 'no schema'), class: 'wide' },
    { content: [...row.crons.map((cron) => tag(`cron ${cron}`)), ...row.events.map((key) => tag(`event ${key}`))], class: 'wide' },
    { content: [row.version ? `${row.version}, ` : null, when(row.registered)], class: 'short wide' },
    lastRuns(row, seesAll),
    { content: element('button', {
      type: 'button', class: 'small', 'aria-label': `Trigger ${row.name}`, on: { click: () => openTrigger(page, { workflow: row.name }) },
    }, 'Trigger'), class: 'short' },
  ] }))), pager(route, pages)];
}

const tag = (text) => element('span', { class: 'tag' }, text);

/** The last runs as dots with their status as text for screen readers and as a tooltip. */
function lastRuns({ name, runs }, seesAll) {
  if (runs.length === 0) {
    return element('span', { class: 'quiet' }, seesAll ? 'none' : element('a', { href: runsLink(name) }, 'older runs'));
  }
  const dot = (run) => element('a', {
    class: `dot ${run.status}`, href: `#/runs/${run.id}`, title: `${run.status.toLowerCase()}, ${new Date(run.createdAt).toLocaleString()}`,
    'aria-label': `Run ${run.id}: ${run.status.toLowerCase()}`, data: { key: run.id },
  });
  const [newest] = runs;
  return element('span', { class: 'dots' }, [...runs].reverse().map(dot),
    element('span', { class: 'quiet' }, newest.status.toLowerCase(), ' ', when(newest.createdAt)));
}

const runsLink = (name) => `#/runs?${new URLSearchParams({ name })}`;

async function loadOne(api, name, signal) {
  const tenant = `/api/v1/tenants/${api.tenant}`;
  const list = await api.get(`${tenant}/workflows`, { name, limit: 1000 }, signal);
  const workflow = list.rows.find((row) => row.name === name || row.metadata.id === name);
  if (!workflow) return { unknown: name };
  const id = workflow.metadata.id;
  const [version, capacity, runs, crons, schedules] = await Promise.all([
    loadVersion(api, workflow, signal), api.get(`${tenant}/workflows/${id}/worker-count`, {}, signal),
    api.get(`/api/v1/stable/tenants/${api.tenant}/workflow-runs`, runQuery({ limit: MANY, workflow_ids: id }), signal),
    loadCrons(api, { workflowId: id }, signal), loadSchedules(api, { workflowId: id }, signal),
  ]);
  if (!version) return { unknown: name };
  const keys = new Set(version.workflowConfig.Tasks.flatMap((task) => task.RateLimits ?? []).map((limit) => limit.Key).filter(Boolean));
  const limits = keys.size > 0 ? await api.get(`${tenant}/rate-limits`, { limit: MAX_LIMITS }, signal) : { rows: [] };
  return {
    id, name: workflow.name, description: workflow.description, isPaused: workflow.isPaused, version,
    slots: capacity ? { free: capacity.freeSlotCount, max: capacity.maxSlotCount } : null,
    runs: runs.rows.map(runOf), crons, schedules, limits: limits.rows.filter((limit) => keys.has(limit.key)),
  };
}

function drawOne(data, route, page) {
  if (data.unknown) {
    return [nothing(`${isId(data.unknown) ? 'Workflow' : 'The workflow'} ${data.unknown} was not found.`),
      element('p', null, element('a', { href: '#/workflows' }, 'All workflows'))];
  }
  const { name, version } = data;
  const config = version.workflowConfig;
  const schema = version.inputJsonSchema;
  return [
    heading(data, page), overview(data),
    card('Tasks', {}, config.Tasks.length > 1 || config.onFailureJob ? dagGraph(graphTasks(config)) : null, taskTable(config)),
    input(schema, data), rateLimits(data.limits),
    events(config.EventTriggers ?? []),
    card('Crons', { last: button('New cron', () => newCron(page, name), 'small') },
      data.crons.rows.length > 0 ? cronTable(data.crons, page, false) : nothing('No crons.')),
    card('Scheduled runs', { last: button('Schedule a run', () => openTrigger(page, { workflow: name, at: inOneHour() }), 'small') },
      data.schedules.rows.length > 0 ? scheduleTable(data.schedules, page, false) : nothing('No scheduled runs.')),
    card('Last runs', { last: element('a', { href: runsLink(name) }, 'All runs') }, data.runs.length > 0 ? runTable(data.runs) : nothing('No runs.')),
  ];
}

const button = (text, click, kind) => element('button', { type: 'button', class: kind ?? null, on: { click } }, text);

function heading({ id, name, isPaused, description }, page) {
  const resume = page.attempt(async () => {
    await page.api.patch(`/api/v1/workflows/${id}`, { pause: { action: 'unpause' } });
    page.notify(`${name} is resumed.`);
    page.refresh();
  });
  const remove = page.attempt(async () => {
    const text = 'Its runs stay in the list of runs. Its crons and scheduled runs are deleted. A worker that registers it again adds a new workflow.';
    if (!await page.ask({ title: `Delete the workflow ${name}?`, text, action: 'Delete', danger: true })) return;
    await page.api.remove(`/api/v1/workflows/${id}`);
    page.notify(`${name} is deleted.`);
    page.navigate('#/workflows');
  });
  return element('div', { class: 'heading', data: { key: 'heading' } },
    element('p', { class: 'line' }, status(isPaused ? 'PAUSED' : 'ACTIVE'), idButton(id, 'Workflow id'), description ? element('span', null, description) : null),
    element('div', { class: 'actions', role: 'group', 'aria-label': 'Actions' },
      button('Trigger', () => openTrigger(page, { workflow: name }), 'primary'),
      isPaused ? button('Resume', resume) : button('Pause', () => openPause(page, id, name)),
      copyButton(commandFor('run', { workflow: name }), 'Command'),
      element('a', { class: 'button', href: runsLink(name) }, 'Runs'), button('Delete', remove, 'danger')));
}

/** Asks how the workflow treats its runs while it is paused. */
function openPause(page, id, name) {
  const choice = (key, label) => {
    const select = element('select', { id: `pause-${key}` }, element('option', { value: 'QUEUE' }, 'wait until the workflow is resumed'),
      element('option', { value: 'DROP' }, 'are dropped'));
    return { select, node: element('div', { class: 'field' }, element('label', { for: `pause-${key}` }, label), select) };
  };
  const [crons, scheduled] = [choice('crons', 'Runs of crons'), choice('scheduled', 'Scheduled runs')];
  const ttl = element('input', { id: 'pause-ttl', value: '7d', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'pause-ttl-hint' });
  const problem = element('p', { class: 'error', role: 'alert' });
  const pause = element('button', { type: 'submit', class: 'primary' }, 'Pause');
  const submit = (event) => {
    event.preventDefault();
    return sendForm(pause, problem, async () => {
      await page.api.patch(`/api/v1/workflows/${id}`, { pause: {
        action: 'pause', pausedWorkflowCronRunQueueBehavior: crons.select.value,
        pausedWorkflowScheduledRunQueueBehavior: scheduled.select.value, pausedWorkflowQueueTTL: ttl.value.trim(),
      } });
      dialog.close();
      page.notify(`${name} is paused.`);
      page.refresh();
    });
  };
  const dialog = openDialog(`Pause ${name}`, element('form', { novalidate: true, on: { submit } },
    element('p', null, 'Running tasks continue. New runs wait until the workflow is resumed.'),
    crons.node, scheduled.node,
    element('div', { class: 'field' }, element('label', { for: 'pause-ttl' }, 'Waiting runs are cancelled after'), ttl,
      element('p', { class: 'hint', id: 'pause-ttl-hint' }, 'a duration such as 30m, 24h, 7d or 2w')),
    problem, element('div', { class: 'actions' }, button('Back', () => dialog.close()), pause)));
}

function overview({ version, slots }) {
  const config = version.workflowConfig;
  const { idempotency } = config;
  return facts([
    ['Version', [version.version ? `${version.version} ` : null, idButton(version.metadata.id, 'Version id'), ' registered ', when(version.metadata.createdAt)]],
    [config.Tasks.length > 1 ? 'Free slots, summed over its tasks' : 'Free slots', slots ? `${slots.free} of ${slots.max}` : null],
    ['Default priority', config.DefaultPriority], ['Sticky', config.Sticky?.toLowerCase()],
    ['Idempotency', idempotency ? `${idempotency.expression}, by ${idempotency.method.toLowerCase()}${idempotency.method === 'TTL' ? ` of ${idempotency.ttlMs} ms` : ''}` : null],
    ['Concurrency', (config.concurrency ?? []).map(concurrencyText).join('; ')],
  ]);
}

const concurrencyText = ({ Expression, MaxRuns, LimitStrategy }) =>
  `${MaxRuns ?? 1} per ${Expression}${LimitStrategy ? `, ${LimitStrategy.toLowerCase().replaceAll('_', ' ')}` : ''}`;

function graphTasks(config) {
  const tasks = config.onFailureJob ? [...config.Tasks, config.onFailureJob] : config.Tasks;
  return tasks.map((task) => ({ id: task.ReadableId, name: task.ReadableId, parents: task.Parents ?? [] }));
}

function taskTable(config) {
  const rows = config.Tasks.map((task) => taskRow(task, ''));
  if (config.onFailureJob) rows.push(taskRow(config.onFailureJob, 'runs after a failure'));
  return table('Tasks', ['Task', 'Limits', { text: 'Concurrency, rate limits', class: 'wide' }, { text: 'Starts after', class: 'wide' }], rows);
}

function taskRow(task, note) {
  const backoff = task.RetryBackoffFactor ? `, backoff × ${task.RetryBackoffFactor}${task.RetryBackoffMaxSeconds ? ` up to ${task.RetryBackoffMaxSeconds} s` : ''}` : '';
  const limits = [
    task.Timeout ? `timeout ${task.Timeout}` : null, task.ScheduleTimeout ? `schedule timeout ${task.ScheduleTimeout}` : null,
    task.Retries ? `${task.Retries} ${task.Retries === 1 ? 'retry' : 'retries'}${backoff}` : null,
    ...Object.entries(task.slotRequests ?? {}).map(([kind, units]) => `${units} ${units === 1 ? 'slot' : 'slots'} ${kind}`),
  ];
  const rates = (task.RateLimits ?? []).map((limit) =>
    `${limit.UnitsExpr || limit.Units || 1} of ${limit.KeyExpr || limit.Key}${limit.LimitExpr ? ` (${limit.LimitExpr} per ${(limit.Duration ?? 'minute').toLowerCase()})` : ''}`);
  const labels = Object.values(task.DesiredWorkerLabels ?? {}).map((label) =>
    `worker label ${label.Key} ${label.Comparator?.toLowerCase().replaceAll('_', ' ') ?? 'equal'} ${label.StrValue ?? label.IntValue}${label.Required ? '' : ' preferred'}`);
  const conditions = (task.TriggerConditions ?? []).map(conditionText);
  return { key: task.ReadableId, cells: [
    [element('span', { class: 'name' }, task.ReadableId), element('div', { class: 'quiet' }, [note, task.Action].filter(Boolean).join(' · '))],
    lines(limits.filter(Boolean)),
    { content: lines([...(task.concurrency ?? []).map(concurrencyText), ...rates, ...labels]), class: 'wide' },
    { content: lines([...(task.Parents ?? []), ...conditions]), class: 'wide' },
  ] };
}

function conditionText(condition) {
  const { Action, EventKey, SleepDuration, ParentReadableId, Expression } = condition;
  const what = EventKey ? `event ${EventKey}` : SleepDuration ? `${SleepDuration}` : `output of ${ParentReadableId}`;
  return `${Action.toLowerCase()} on ${what}${Expression && Expression !== 'true' ? ` if ${Expression}` : ''}`;
}

const lines = (texts) => texts.map((text) => element('div', null, text));

/** The fields of the input, and the schema itself. */
function input(schema, { name }) {
  if (!schema) return card('Input', {}, nothing('The worker has registered no schema: any JSON object is accepted.'));
  const whole = resolve(schema, schema);
  const required = requiredOf(whole);
  const rows = Object.entries(propertiesOf(whole)).map(([field, property]) => {
    const resolved = resolve(property, schema);
    const values = 'const' in resolved ? JSON.stringify(resolved.const) : enumeration(resolved, schema)?.map((one) => JSON.stringify(one.value)).join(' or ');
    const rules = values || rulesOf(resolved) || choices(resolved, schema).map((one) => one.title ?? rulesOf(one)).filter(Boolean).join(' or ');
    return { key: field, cells: [
      [element('span', { class: 'name' }, field), required.includes(field) ? element('span', { class: 'mark', title: 'required' }, ' *') : null],
      [rules || 'JSON', resolved.default !== undefined ? element('div', { class: 'quiet' }, 'default ', shortJson(resolved.default)) : null],
      { content: resolved.description ?? '', class: 'wide' },
    ] };
  });
  const union = isUnion(whole, schema) ? nothing('It is of one of several kinds: see the JSON Schema.') : null;
  return card('Input', {}, rows.length > 0 ? table(`Input of ${name}`, ['Field', 'Type', { text: 'Description', class: 'wide' }], rows) : union ?? nothing('No fields.'),
    rows.length > 0 ? union : null,
    element('details', { data: { key: 'schema' } }, element('summary', null, 'JSON Schema'), block('Schema', json(schema))));
}

/** The rate limits of the tasks, with the units that are left. */
function rateLimits(limits) {
  if (limits.length === 0) return null;
  return card('Rate limits', {}, table('Rate limits', ['Key', 'Left', 'Refilled'], limits.map((limit) => ({ key: limit.key, cells: [
    element('span', { class: 'name' }, limit.key), `${limit.value} of ${limit.limitValue} per ${limit.window.replace(/^1 /, '').toLowerCase()}`, when(limit.lastRefill),
  ] }))));
}

function events(keys) {
  if (keys.length === 0) return null;
  return card('Event triggers', {}, element('ul', { class: 'plain' }, keys.map((key) => element('li', { class: 'line' },
    // A pattern is no key.
    key.includes('*') ? element('code', null, key) : [element('a', { href: `#/events?${new URLSearchParams({ key })}` }, key),
      copyButton(commandFor('push', { key, input: {} }), 'Command')]))));
}

function runTable(runs) {
  return table('Last runs', ['Status', 'Run', 'Triggered'], runs.map((run) => ({ key: run.id, cells: [
    { content: status(run.status), class: 'short' }, element('a', { href: `#/runs/${run.id}`, data: { row: true } }, run.id.slice(0, 8)), when(run.createdAt),
  ] })));
}
