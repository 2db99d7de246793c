// Connected and disconnected workers.

import { element } from '../dom.js';
import { millis, when } from '../format.js';
import { card, facts, idButton, nothing, status } from '../parts/elements.js';
import { openTrigger } from '../parts/trigger.js';

/** Workers in the list. */
const MAX_WORKERS = 500;
/** Milliseconds without a heartbeat after which a paused worker counts as gone. Workers send one every 4 s. */
const GONE = 30_000;
/** Actions of a worker that are shown unfolded. */
const FEW = 6;

export default {
  title: () => 'Workers',

  async load(api, route, signal) {
    const tenant = `/api/v1/tenants/${api.tenant}`;
    const [list, clock] = await Promise.all([
      api.get(`${tenant}/worker`, { limit: MAX_WORKERS }, signal), api.get(`${tenant}/embedded-counts`, {}, signal),
    ]);
    const workers = list.rows.map((worker) => ({ ...worker, isGone: isGone(worker, clock.atMillis) }));
    return { workers, hasMore: list.pagination.num_pages > 1 };
  },

  draw({ workers, hasMore }, route, page) {
    const [present, gone] = [workers.filter((worker) => !worker.isGone), workers.filter((worker) => worker.isGone)];
    return [
      present.length > 0 ? element('div', { class: 'workers', data: { key: 'present' } }, present.map((worker) => workerCard(worker, page)))
        : nothing('No worker is connected. Runs wait until one registers their task.'),
      gone.length > 0 ? element('details', { data: { key: 'gone' } }, element('summary', null, `${gone.length} disconnected`),
        element('div', { class: 'workers' }, gone.map((worker) => workerCard(worker, page)))) : null,
      hasMore ? element('p', { class: 'quiet' }, `the newest ${workers.length} workers`) : null,
    ];
  },

  keys: { t: (page) => openTrigger(page) },
};

/** A worker that stops pauses itself first, so that a paused worker is gone if its heartbeats have ended. */
function isGone(worker, now) {
  if (worker.status === 'INACTIVE') return true;
  return worker.status === 'PAUSED' && !(worker.lastHeartbeatAt && now - millis(worker.lastHeartbeatAt) < GONE);
}

function workerCard(worker, page) {
  const { metadata: { id }, name, isGone: gone } = worker;
  const isPaused = worker.status === 'PAUSED';
  const pause = page.attempt(async () => {
    await page.api.patch(`/api/v1/workers/${id}`, { isPaused: !isPaused });
    page.notify(isPaused ? `${name} gets runs again.` : `${name} gets no more runs. Its running tasks continue.`);
    page.refresh();
  });
  const button = gone ? null : element('button', { type: 'button', class: 'small', 'aria-label': `${isPaused ? 'Resume' : 'Pause'} ${name}`, on: { click: pause } }, isPaused ? 'Resume' : 'Pause');
  return element('section', { class: 'card worker', 'aria-label': `Worker ${name}`, data: { key: id } },
    element('div', { class: 'line' }, element('h2', null, name), status(gone ? 'INACTIVE' : worker.status), idButton(id, 'Worker id'),
      button ? element('div', { class: 'line last' }, button) : null),
    gone ? null : meters(worker.slotConfig ?? {}),
    facts([
      ['Last heartbeat', worker.lastHeartbeatAt ? when(worker.lastHeartbeatAt) : 'none'], ['Registered', when(worker.metadata.createdAt)],
      ['Runtime', runtimeText(worker.runtimeInfo)], ['System', worker.runtimeInfo?.os],
      ['Labels', worker.labels?.length > 0 ? worker.labels.map((label) => element('span', { class: 'tag' }, `${label.key}: ${label.value}`)) : null],
      ['Workflows', workflowLinks(worker.registeredWorkflows ?? [])],
    ]),
    actions(worker.actions ?? [], id));
}

/** The used slots of each kind. */
function meters(slots) {
  const meter = ([kind, { available, limit }]) => {
    const used = limit - available;
    const text = `${used} of ${limit} ${kind} ${limit === 1 ? 'slot' : 'slots'} used`;
    return element('div', { class: 'slots', data: { key: `slots ${kind}` } }, element('span', null, text),
      element('progress', { value: used, max: Math.max(1, limit), 'aria-label': text }));
  };
  return element('div', { class: 'meters' }, Object.entries(slots).map(meter));
}

/** The SDK, its language and its version. */
function runtimeText(info) {
  if (!info) return null;
  const language = info.language ? `${info.language[0]}${info.language.slice(1).toLowerCase()}` : null;
  const parts = [language && info.languageVersion ? `${language} ${info.languageVersion}` : language ?? info.languageVersion,
    info.sdkVersion ? `SDK ${info.sdkVersion}` : null];
  return parts.filter(Boolean).join(', ') || null;
}

function workflowLinks(workflows) {
  if (workflows.length === 0) return null;
  return workflows.map(({ name }, at) => [at > 0 ? ', ' : null, element('a', { href: `#/workflows/${encodeURIComponent(name)}` }, name)]);
}

function actions(names, id) {
  if (names.length === 0) return null;
  return element('details', { open: names.length <= FEW, data: { key: `actions ${id}` } },
    element('summary', null, names.length === 1 ? '1 action' : `${names.length} actions`),
    element('ul', { class: 'plain' }, [...names].sort().map((name) => element('li', null, element('code', null, name)))));
}
