// The attempts of a run's tasks as bars: the time in the queue and the time of execution.

import { element, svg } from '../dom.js';
import { duration, millis, plainName, shorten } from '../format.js';

/** Width of a bar's coordinate system. */
const WIDTH = 1000;
/** Characters of a task's name that fit beside its bar. */
const MAX_NAME = 29;

/** Status of an attempt by the event that ended it. */
const ENDS = {
  FINISHED: 'COMPLETED', FAILED: 'FAILED', TIMED_OUT: 'FAILED', SCHEDULING_TIMED_OUT: 'FAILED', CANCELLED: 'CANCELLED',
  REASSIGNED: 'CANCELLED', SKIPPED: 'CANCELLED', RETRYING: 'FAILED', RETRIED_BY_USER: 'CANCELLED',
};

/** The attempts of a task, oldest first, from its events: {attempt, queued, started, ended, status, taskName}. */
export function attemptsOf(task, events, now = Date.now()) {
  const attempts = [];
  let current = null;
  const begin = (event, at) => {
    current = { attempt: event.attempt, queued: at, started: null, ended: null, status: 'QUEUED', error: '' };
    attempts.push(current);
  };
  for (const event of events.filter((event) => event.taskId === task.taskExternalId).sort((a, b) => a.id - b.id)) {
    const at = millis(event.timestamp);
    if (event.eventType === 'QUEUED') {
      begin(event, at);
      continue;
    }
    if (!current || current.ended !== null && ['ASSIGNED', 'STARTED'].includes(event.eventType)) begin(event, at);
    if (event.eventType === 'ASSIGNED' || event.eventType === 'STARTED') {
      current.started ??= at;
      current.status = 'RUNNING';
      if (event.eventType === 'ASSIGNED') current.worker = event.workerId;
    } else if (event.eventType in ENDS && current.ended === null) {
      current.ended = at;
      current.status = ENDS[event.eventType];
      current.error = event.errorMessage || event.message;
    }
  }
  for (const attempt of attempts) attempt.until = attempt.ended ?? now;
  return attempts;
}

/** The timeline of tasks, or nothing if none of them has been queued. */
export function timeline(tasks, events, now) {
  const lanes = tasks.flatMap((task) => attemptsOf(task, events, now).map((attempt, at, all) => ({ task, attempt, isOnly: all.length === 1 })));
  if (lanes.length === 0) return null;
  const from = Math.min(...lanes.map(({ attempt }) => attempt.queued));
  const to = Math.max(from + 1, ...lanes.map(({ attempt }) => attempt.until));
  const several = tasks.length > 1;
  const lane = ({ task, attempt, isOnly }) => {
    const x = (at) => (WIDTH * (at - from)) / (to - from);
    const part = (start, end, kind) => svg('rect', { x: x(start), width: Math.max(2, x(end) - x(start)), y: 0, height: 10, class: kind });
    const started = attempt.started ?? attempt.until;
    const waited = duration(started - attempt.queued);
    const ran = attempt.started === null ? '' : duration(attempt.until - attempt.started);
    const name = [several ? plainName(task.displayName) : null, `attempt ${attempt.attempt}`].filter(Boolean).join(', ');
    const text = `${name}: ${attempt.status.toLowerCase()}, queued ${waited}${ran ? `, running ${ran}` : ''}`;
    const shown = several ? [shorten(plainName(task.displayName), MAX_NAME), isOnly ? null : `, attempt ${attempt.attempt}`] : name;
    return element('li', { class: 'lane', title: text },
      element('span', { class: 'name' }, shown),
      svg('svg', { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: 'none', role: 'img', 'aria-label': text },
        part(attempt.queued, started, 'waiting'), attempt.started === null ? null : part(attempt.started, attempt.until, attempt.status)),
      element('span', { class: 'took' }, ran || waited));
  };
  return element('div', { class: 'timeline', data: { key: 'timeline' } },
    element('ol', null, lanes.map(lane)),
    element('p', { class: 'quiet axis' }, element('span', null, '0'), element('span', null, duration(to - from))));
}
