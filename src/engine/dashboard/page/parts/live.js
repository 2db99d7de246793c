// Log lines and stream chunks of a run.

import { element } from '../dom.js';
import { duration, millis, plainName } from '../format.js';
import { card, nothing } from './elements.js';

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'];
/** Characters of a stream that are shown; older ones are dropped. */
const MAX_STREAM = 100_000;

let filter = { text: '', level: '' };
/** The line at which chunks may be missing, because the stream was interrupted. */
const GAP = '\n— chunks may be missing —\n';

/** The stream of the run in view: {run, tasks, text, isCut, source, state, abort}. `source` is the task and attempt of the
 * latest chunk. A stream starts with the next chunk, as the engine stores none. */
let stream = null;
/** Draws the view; set when it is drawn for the first time. */
let redraw = () => {};

/** Forgets the filter of the log and closes the stream. */
export function leaveRun() {
  filter = { text: '', level: '' };
  stream?.abort.abort();
  stream = null;
}

/** Level of a line; SDKs write `WARN` and `WARNING`. */
const levelOf = (line) => ({ WARNING: 'WARN', CRITICAL: 'ERROR', TRACE: 'DEBUG' })[line.level?.toUpperCase()] ?? line.level?.toUpperCase() ?? '';

/** The log lines of tasks in order of time, or those of one task. Nothing if there are none. `note` stands
 * below them. */
export function logSection(tasks, lines, from, only, note, page) {
  const names = Object.fromEntries(tasks.map((task) => [task.taskExternalId, plainName(task.displayName)]));
  const all = lines.filter((line) => only === null || line.taskExternalId === only)
    .map((line, at) => ({ line, at })).sort((a, b) => millis(a.line.createdAt) - millis(b.line.createdAt) || a.at - b.at).map(({ line }) => line);
  if (all.length === 0 && filter.text === '' && filter.level === '') return null;
  const text = filter.text.toLowerCase();
  const rows = all.filter((line) => line.message.toLowerCase().includes(text) && (filter.level === '' || levelOf(line) === filter.level));
  const set = (key) => function change() {
    filter[key] = this.value;
    page.redraw();
  };
  const controls = [
    element('input', { type: 'search', 'aria-label': 'Search in the log', placeholder: 'search', value: filter.text, on: { input: set('text') } }),
    element('select', { 'aria-label': 'Level', on: { change: set('level') } }, element('option', { value: '' }, 'all levels'),
      LEVELS.map((level) => element('option', { value: level, selected: filter.level === level }, level.toLowerCase()))),
  ];
  const row = (line) => element('li', null,
    element('time', { datetime: line.createdAt, title: new Date(line.createdAt).toLocaleString() }, `+${duration(millis(line.createdAt) - millis(from))}`),
    element('span', { class: `level ${levelOf(line)}` }, levelOf(line).toLowerCase()),
    element('span', null, tasks.length > 1 ? element('span', { class: 'quiet' }, `${names[line.taskExternalId]} `) : null, line.attempt > 1 ? element('span', { class: 'quiet' }, `attempt ${line.attempt} `) : null, line.message));
  return card('Log', { last: controls }, rows.length > 0 ? element('ol', { class: 'logs', tabindex: 0, data: { key: 'log lines', follow: true } }, rows.map(row)) : nothing('No line matches.'),
    rows.length < all.length ? element('p', { class: 'quiet' }, `${rows.length} of ${all.length} lines`) : null, note);
}

/**
 * Opens the stream of a run that has not finished, unless it is open or the engine serves no streams. Called at each
 * refresh, which opens an interrupted stream again.
 */
export function followStream(api, run, tasks, final) {
  const isSame = stream?.run === run;
  if (isSame) stream.tasks = tasks;
  if (final || isSame && ['open', 'unknown'].includes(stream.state)) return;
  stream?.abort.abort();
  const { text, isCut, source, state } = isSame ? stream : { text: '', isCut: false, source: null, state: null };
  const hasGap = text !== '' && state !== 'ended' && !text.endsWith(GAP);
  const own = { run, tasks, text: hasGap ? text + GAP : text, isCut, source, state: 'open', abort: new AbortController() };
  stream = own;
  let isDue = false;
  const draw = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      if (stream === own) redraw();
    });
  };
  const receive = (data, event) => {
    if (event === 'chunk') {
      const chunk = JSON.parse(data);
      const whole = own.text + mark(own, chunk) + chunk.text;
      own.source = { task: chunk.task, attempt: chunk.attempt };
      own.isCut ||= whole.length > MAX_STREAM;
      own.text = whole.slice(-MAX_STREAM);
    } else if (event === 'error') {
      throw new Error(JSON.parse(data).message);
    }
    draw();
  };
  api.stream(`/api/v1/tenants/${api.tenant}/embedded-stream/${run}`, receive, own.abort.signal)
    .then((known) => { own.state = known ? 'ended' : 'unknown'; }, (error) => { own.state = `interrupted: ${error.message}`; })
    .then(draw);
}

/** The line before a chunk of another task or attempt than the previous chunk. It names the task if there are several. */
function mark({ tasks, text, source }, { task, attempt }) {
  if (source?.task === task && source.attempt === attempt) return '';
  const several = tasks.length > 1;
  if (!several && (source ?? { attempt: 1 }).attempt === attempt) return '';
  const found = several ? tasks.find((one) => one.taskExternalId === task) : null;
  const names = [several ? (found ? plainName(found.displayName) : `task ${task.slice(0, 8)}`) : null, !several || attempt > 1 ? `attempt ${attempt}` : null];
  return `${text === '' || text.endsWith('\n') ? '' : '\n'}— ${names.filter(Boolean).join(', ')} —\n`;
}

/** Closes the stream while the page is hidden, as browsers open few connections to one engine. */
export function pauseStream() {
  stream?.abort.abort();
}

/** The stream chunks of the run in view. Nothing if it has sent none, or the engine serves no streams. */
export function streamSection(page) {
  redraw = page.redraw;
  if (!stream?.text) return null;
  return card('Stream', { last: element('span', { class: 'quiet' }, stream.state === 'open' ? 'live' : stream.state) },
    stream.isCut ? element('p', { class: 'quiet' }, `only the newest ${MAX_STREAM.toLocaleString()} characters`) : null,
    element('pre', { class: 'stream', tabindex: 0, data: { key: 'stream', follow: true } }, stream.text));
}
