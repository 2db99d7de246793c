// One run: its values, attempts, tasks, relatives, log lines, stream and history.

import { element } from '../dom.js';
import { dateAndWhen, duration, isId, millis, plainName, shortId, since } from '../format.js';
import { commandFor, copyButton, openCommands } from '../parts/command.js';
import { block, card, facts, firstLine, idButton, nothing, status, table } from '../parts/elements.js';
import { dagGraph } from '../parts/graph.js';
import { followStream, leaveRun, logSection, pauseStream, streamSection } from '../parts/live.js';
import { originTag, parentOf, splitMetadata, userMetadata } from '../parts/metadata.js';
import { DIGITS, hasUnsafeInteger, parseWithLossy, tooManyDigits } from '../parts/schema.js';
import { attemptsOf, timeline } from '../parts/timeline.js';
import { openTrigger } from '../parts/trigger.js';

const EPOCH = '1970-01-01T00:00:00Z';
const FINAL = ['COMPLETED', 'FAILED', 'CANCELLED'];
/** Log lines of each task that the engine stores. */
const MAX_LOG_LINES = 1000;
const MAX_CHILDREN = 100;
const MAX_ANCESTORS = 10;

/** Ids of the child runs whose own children are shown. */
const expanded = new Set();

export default {
  title: (route, data) => (data?.run ? nameOf(data) : `Run ${shortId(route.id)}`),

  async load(api, route, signal) {
    if (!isId(route.id)) return { unknown: route.id };
    const details = await api.get(`/api/v1/stable/workflow-runs/${route.id}`, {}, signal, parseWithLossy);
    if (!details) return { unknown: route.id };
    const [logs, ancestors, children, workflow] = await Promise.all([
      loadLogs(api, details.tasks, signal), loadAncestors(api, details.run.additionalMetadata, signal),
      loadChildren(api, details.tasks.map((task) => task.taskExternalId), signal),
      api.get(`/api/v1/workflows/${details.run.workflowId}`, {}, signal),
    ]);
    const final = FINAL.includes(details.run.status);
    followStream(api, details.run.metadata.id, details.tasks, final);
    // The time changes the bars of an unfinished run, which are then drawn again.
    return { ...details, logs, ancestors, children, workflowName: workflow?.name ?? null, final, now: final ? null : Date.now() };
  },

  draw(data, route, page) {
    if (data.unknown) return [nothing(`Run ${data.unknown} was not found.`), element('p', null, element('a', { href: '#/runs' }, 'All runs'))];
    const { run, tasks, taskEvents, final } = data;
    const several = data.shape.length > 1;
    const now = data.now ?? millis(run.finishedAt ?? taskEvents[0]?.timestamp ?? run.createdAt);
    const shown = route.query.get('task');
    const task = tasks.find((item) => item.taskExternalId === shown) ?? null;
    const value = (title, of) => valueBlock(title, of, data.lossy);
    return [
      heading(data, final, page),
      overview(data),
      block('Error', run.errorMessage, 'bad'),
      element('div', { class: 'pair' }, value('Input', inputOf(data)), several ? metadata(run.additionalMetadata) : value('Output', run.output)),
      several ? null : metadata(run.additionalMetadata),
      several ? card('Tasks', {}, dagGraph(graphTasks(data)), taskTable(data)) : null,
      task ? taskCard(task, data) : null,
      lanes(tasks, taskEvents, now),
      relatives(data, page),
      streamSection(page),
      logSection(tasks, data.logs.lines, run.createdAt, task?.taskExternalId ?? null, logNote(data, task), page),
      history(task ? taskEvents.filter((event) => event.taskId === task.taskExternalId) : taskEvents, several, run.createdAt),
    ];
  },

  /** Forgets the filters and the stream of the previous run. */
  leave() {
    leaveRun();
    expanded.clear();
  },

  /** The page is hidden. */
  pause: pauseStream,

  keys: { t: (page, data) => replayChanged(page, data) },
};

function nameOf({ run, workflowName }) {
  return workflowName ?? plainName(run.displayName);
}

/** The input of a run. That of a run with a single task is a member of the task's payload. */
function inputOf({ run, shape }) {
  return shape.length > 1 ? run.input : run.input?.input ?? run.input;
}

/** The log lines of tasks, and the ids of the tasks with as many as the engine stores. */
async function loadLogs(api, tasks, signal) {
  const query = { limit: MAX_LOG_LINES, order_by_direction: 'DESC' };
  const logs = await Promise.all(tasks.map(async (task) =>
    (await api.get(`/api/v1/stable/tasks/${task.taskExternalId}/logs`, query, signal))?.rows ?? []));
  return {
    lines: logs.flatMap((rows) => rows.reverse()),
    full: tasks.filter((_, at) => logs[at].length >= MAX_LOG_LINES).map((task) => task.taskExternalId),
  };
}

/** Says that older lines may have been deleted. */
function logNote({ logs }, task) {
  const isFull = task ? logs.full.includes(task.taskExternalId) : logs.full.length > 0;
  return isFull ? element('p', { class: 'quiet' }, `only the newest ${MAX_LOG_LINES.toLocaleString()} lines of each task, as the engine stores no more`) : null;
}

/** The parent run, its parent and so on, the first of them first. */
async function loadAncestors(api, metadata, signal) {
  const ancestors = [];
  let id = parentOf(metadata);
  while (id && ancestors.length < MAX_ANCESTORS) {
    const parent = await api.get(`/api/v1/stable/workflow-runs/${id}`, {}, signal);
    if (!parent) break;
    ancestors.unshift({ id, name: plainName(parent.run.displayName), status: parent.run.status });
    id = parentOf(parent.run.additionalMetadata);
  }
  return ancestors;
}

/** The child runs of tasks, oldest first, the children of those that are expanded, and the ids of the tasks with more. */
async function loadChildren(api, tasks, signal) {
  const lists = await Promise.all(tasks.map((task) => api.get(`/api/v1/stable/tenants/${api.tenant}/workflow-runs`,
    { parent_task_external_id: task, since: EPOCH, only_tasks: false, include_payloads: false, limit: MAX_CHILDREN }, signal)));
  const rows = lists.flatMap((list) => list.rows).sort((a, b) => millis(a.createdAt) - millis(b.createdAt));
  const children = await Promise.all(rows.map(async (row) => {
    const own = row.children?.length > 0 ? row.children.map((task) => task.taskExternalId) : [row.taskExternalId];
    const id = row.workflowRunExternalId;
    return { id, name: row.workflowName, status: row.status, startedAt: row.startedAt, duration: row.duration,
      children: expanded.has(id) ? await loadChildren(api, own, signal) : null };
  }));
  return { rows: children, more: tasks.filter((_, at) => lists[at].pagination.num_pages > 1) };
}

function heading(data, final, page) {
  const { run } = data;
  const id = run.metadata.id;
  const change = (action, text) => page.attempt(async () => {
    await page.api.post(`/api/v1/stable/tenants/${page.api.tenant}/tasks/${action}`, { externalIds: [id] });
    page.notify(text);
    page.refresh();
  });
  const button = (text, action, kind) => element('button', { type: 'button', class: kind ?? null, on: { click: action } }, text);
  return element('div', { class: 'heading', data: { key: 'heading' } },
    element('p', { class: 'line' }, status(run.status), idButton(id, 'Run id'), originTag(run.additionalMetadata)),
    element('div', { class: 'actions', role: 'group', 'aria-label': 'Actions' },
      final ? button('Replay', change('replay', 'Replayed.'), 'primary') : null,
      button('Run with changed input', page.attempt(() => replayChanged(page, data))),
      copyButton(id, 'Id'), button('Commands', () => openCommands(commandsOf(data, final)), 'small'),
      // Last, so that a late second click does not hit Replay, which appears when the run is cancelled.
      final ? null : button('Cancel', change('cancel', 'Cancelled.'), 'danger')));
}

/** A value as a block, with a note if it may have lost digits of an integer. */
function valueBlock(title, value, lossy) {
  const note = lossy !== null && hasUnsafeInteger(value) ? element('p', { class: 'quiet' }, DIGITS) : null;
  return block(title, value, null, note);
}

/** An integer that lost its digits, if the input or the user's metadata has one; otherwise null. */
function lossyOf(data) {
  return data.lossy !== null && hasUnsafeInteger([inputOf(data), userMetadata(data.run.additionalMetadata)]) ? data.lossy : null;
}

/** The commands for this run, with their purpose. */
function commandsOf(data, final) {
  const id = data.run.metadata.id;
  const lossy = lossyOf(data);
  const again = lossy ? null : commandFor('run', { workflow: nameOf(data), input: inputOf(data), metadata: userMetadata(data.run.additionalMetadata) });
  return [
    ['Run it again', again, lossy ? `${tooManyDigits(lossy)}.` : 'A command cannot express this metadata.'],
    ...(final ? [['Replay', commandFor('replay', { id })]] : [['Follow', commandFor('watch', { id })], ['Cancel', commandFor('cancel', { id })]]),
    ['Show', commandFor('get', { id })], ['Log', commandFor('logs', { id })], ['History', commandFor('events', { id })],
  ];
}

/** Opens the form with the input and the user's metadata of this run, for a new run. */
function replayChanged(page, data) {
  if (!data?.run) return null;
  const lossy = lossyOf(data);
  if (lossy) throw new Error(tooManyDigits(lossy));
  return openTrigger(page, { title: 'Run with changed input', workflow: nameOf(data), input: inputOf(data), metadata: userMetadata(data.run.additionalMetadata) });
}

function overview(data) {
  const { run, tasks } = data;
  const attempts = Math.max(...tasks.map((task) => task.attempt), 1);
  const last = tasks.length === 1 ? attemptsOf(tasks[0], data.taskEvents).at(-1) : null;
  const waited = last?.started ? duration(last.started - last.queued) : null;
  const took = run.duration !== undefined ? duration(run.duration) : run.startedAt && !run.finishedAt ? since(run.startedAt) : null;
  return facts([
    ['Workflow', data.workflowName ? element('a', { href: `#/workflows/${encodeURIComponent(data.workflowName)}` }, data.workflowName) : null],
    ['Triggered', dateAndWhen(run.createdAt)],
    ['Started', run.startedAt ? dateAndWhen(run.startedAt) : null],
    ['Finished', run.finishedAt ? dateAndWhen(run.finishedAt) : null],
    [attempts > 1 && tasks.length === 1 ? 'Last attempt took' : 'Took', took], ['Queued for', waited], ['Attempts', attempts > 1 ? attempts : null],
  ]);
}

function metadata(all) {
  const { user, internal } = splitMetadata(all);
  if (user.length + internal.length === 0) return null;
  const pairs = (list) => facts(list.map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]));
  return card('Metadata', {}, user.length > 0 ? pairs(user) : null,
    internal.length > 0 ? element('details', { data: { key: 'internal' } }, element('summary', { class: 'quiet' }, `${internal.length} internal`), pairs(internal)) : null);
}

/** The tasks of a run for the graph. A task that has not been created has the status QUEUED. */
function graphTasks({ run, tasks, shape }) {
  const names = Object.fromEntries(shape.map((node) => [node.stepId, node.taskName]));
  return shape.map((node) => ({
    id: node.taskExternalId, name: node.taskName,
    status: tasks.find((task) => task.taskExternalId === node.taskExternalId)?.status ?? (FINAL.includes(run.status) ? 'CANCELLED' : 'QUEUED'),
    parents: shape.filter((other) => other.childrenStepIds.includes(node.stepId)).map((other) => names[other.stepId]),
    href: `#/runs/${run.metadata.id}?task=${node.taskExternalId}`,
  }));
}

function taskTable({ run, tasks }) {
  return table('Tasks', ['Status', 'Task', 'Attempt', { text: 'Took', class: 'wide' }], tasks.map((task) => ({
    key: task.taskExternalId, cells: [
      { content: status(task.status), class: 'short' },
      element('a', { class: 'name', href: `#/runs/${run.metadata.id}?task=${task.taskExternalId}`, data: { row: true } }, plainName(task.displayName)),
      String(task.attempt),
      { content: task.duration !== undefined ? duration(task.duration) : task.status === 'RUNNING' && task.startedAt ? since(task.startedAt) : '', class: 'short wide' },
    ],
  })));
}

function taskCard(task, { run, lossy }) {
  return card(`Task ${plainName(task.displayName)}`, { last: element('a', { class: 'button small', href: `#/runs/${run.metadata.id}` }, 'Close') },
    element('p', { class: 'line' }, status(task.status), idButton(task.taskExternalId, 'Task id')),
    block('Task error', task.errorMessage, 'bad'), valueBlock('Outputs of its parents', task.input?.parents, lossy), valueBlock('Task output', task.output, lossy));
}

function lanes(tasks, events, now) {
  const node = timeline(tasks, events, now);
  if (!node) return null;
  const worker = events.find((event) => event.workerId)?.workerId;
  return card('Attempts', { last: worker ? element('a', { class: 'quiet', href: '#/workers' }, `worker ${shortId(worker)}`) : null }, node, failures(tasks, events));
}

/** The errors of attempts that were retried. */
function failures(tasks, events) {
  const failed = tasks.flatMap((task) => attemptsOf(task, events).slice(0, -1).filter((attempt) => attempt.error && attempt.status === 'FAILED')
    .map((attempt) => element('li', null, element('b', null, `${tasks.length > 1 ? `${plainName(task.displayName)}, ` : ''}attempt ${attempt.attempt}: `), element('span', { class: 'bad' }, firstLine(attempt.error, `error of attempt ${attempt.attempt}`)))));
  return failed.length > 0 ? element('ul', { class: 'failures' }, failed) : null;
}

function relatives({ run, ancestors, children, workflowName }, page) {
  if (ancestors.length === 0 && children.rows.length === 0) return null;
  const line = (item, current) => [status(item.status),
    current ? element('b', { 'aria-current': 'page' }, item.name) : element('a', { href: `#/runs/${item.id}`, class: 'name' }, item.name),
    element('span', { class: 'id' }, shortId(item.id)),
    item.duration !== undefined ? element('span', { class: 'quiet' }, duration(item.duration)) : null];
  const branch = ({ rows, more }) => element('ul', null,
    rows.map((child) => element('li', { data: { key: child.id } }, element('span', { class: 'node' }, expander(child, page), line(child)), child.children ? branch(child.children) : null)),
    more.length > 0 ? element('li', { class: 'quiet' }, `only the newest ${MAX_CHILDREN} of each task; all of `,
      more.map((task, at) => [at > 0 ? ', ' : null, element('a', { href: `#/runs?parent=${task}` }, `task ${shortId(task)}`)])) : null);
  const own = element('li', null, element('span', { class: 'node' }, line({ id: run.metadata.id, name: workflowName ?? plainName(run.displayName), status: run.status, duration: run.duration }, true)),
    children.rows.length > 0 ? branch(children) : null);
  const tree = ancestors.reduceRight((inner, item) => element('li', null, element('span', { class: 'node' }, line(item)), element('ul', null, inner)), own);
  return card('Parents and children', {}, element('ul', { class: 'tree' }, tree));
}

function expander(child, page) {
  const open = expanded.has(child.id);
  const click = () => {
    if (open) expanded.delete(child.id);
    else expanded.add(child.id);
    page.refresh();
  };
  return element('button', { type: 'button', class: 'icon', 'aria-expanded': String(open), 'aria-label': `Children of ${child.name}`, on: { click } }, open ? '▾' : '▸');
}

function history(events, several, from) {
  const name = (event) => event.eventType.toLowerCase().replaceAll('_', ' ');
  const line = (event) => element('li', { data: { key: `event ${event.id}` } },
    element('time', { datetime: event.timestamp, title: new Date(event.timestamp).toLocaleString() }, `+${duration(millis(event.timestamp) - millis(from))}`),
    element('span', null, name(event), event.attempt > 1 ? element('span', { class: 'quiet' }, ` attempt ${event.attempt}`) : null),
    element('span', { class: event.errorMessage ? 'bad' : '' }, several ? element('span', { class: 'quiet' }, `${plainName(event.taskDisplayName)} `) : null, firstLine(event.errorMessage || event.message, `text ${event.id}`),
      event.eventType === 'ASSIGNED' && event.workerId ? `worker ${shortId(event.workerId)}` : null));
  return card('History', {}, events.length > 0 ? element('ol', { class: 'events', tabindex: 0, data: { key: 'history lines' } }, events.toSorted((a, b) => millis(a.timestamp) - millis(b.timestamp) || a.id - b.id).map(line)) : nothing('No events.'));
}
