// Starts the page: sign-in, views by the address, refresh, keys.
//
// The token is stored in this tab's session storage and sent in the header of each call. Responses are inserted as text
// only, never as HTML.

import { Api, InvalidToken, Unreachable } from './api.js';
import { element, patch } from './dom.js';
import { decode, tick } from './format.js';
import { confirmDialog, notify, openDialog, runOnce } from './parts/dialog.js';
import events from './views/events.js';
import run from './views/run.js';
import runs from './views/runs.js';
import schedules from './views/schedules.js';
import workers from './views/workers.js';
import workflows from './views/workflows.js';

/** Milliseconds between two refreshes, and until a failed one is tried again. */
const REFRESH_INTERVAL = 2000;

const TABS = [['runs', 'Runs'], ['workflows', 'Workflows'], ['workers', 'Workers'], ['schedules', 'Schedules'], ['events', 'Events']];
const VIEWS = { runs, workflows, workers, schedules, events };

const byId = (id) => document.getElementById(id);

/** The signed-in client; null without a token. */
let api = null;
let view = runs;
/** The latest data of the view, as an object and as JSON; null before its first response. */
let data = null;
let drawn = '';
/** Time of the latest response. */
let updated = null;
let timer = 0;
/** The latest address of each list, with its filters and page. */
const lists = new Map();
/** Cancels the calls of the current refresh. */
let calls = new AbortController();

/** The part of this page that views use. */
const page = {
  /** The client of the engine. */
  get api() { return api; },
  /** The current route: {name, id, query}. */
  route: routeOf(''),
  /** Changes the address. `replace` adds no entry to the history. */
  navigate(hash, { replace = false } = {}) {
    if (!replace) location.hash = hash;
    else if (hash !== location.hash) {
      history.replaceState(null, '', hash);
      follow();
    }
  },
  /** Loads the data of the view now. */
  refresh,
  /** Draws the view again with its latest data. */
  redraw: draw,
  notify,
  /** Asks for a confirmation with {title, text, action, danger}. Resolves to true or false. */
  ask: confirmDialog,
  /** The error of a call as text. */
  reason: (error) => error.message,
  /** A handler that runs an action, once at a time, and shows its error. */
  attempt(action) {
    return (event) => runOnce(event?.currentTarget ?? {}, () => action(event), (error) => {
      if (error instanceof InvalidToken) logout(error.message);
      else notify(error.message, 'bad');
    });
  },
};

function routeOf(hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [name, id] = path.split('/').map(decode);
  return { name: Object.hasOwn(VIEWS, name) ? name : 'runs', id: id || null, query: new URLSearchParams(query ?? '') };
}

/** Shows the view of the current address. */
function follow() {
  if (takeToken()) return;
  const before = page.route;
  const route = routeOf(location.hash);
  page.route = route;
  if (!route.id) lists.set(route.name, location.hash);
  if (!api) return;
  if (before.name !== route.name || before.id !== route.id || data === null) {
    view.leave?.();
    view = route.name === 'runs' && route.id ? run : VIEWS[route.name];
    data = null;
    drawn = '';
    byId('view').replaceChildren(element('p', { class: 'quiet' }, 'Loading …'));
    showTitle();
    scrollTo(0, 0);
  } else {
    // Filters and links follow the address at once, the data when it has arrived.
    draw();
  }
  patch(byId('tabs'), TABS.map(([name, text]) => element('a', { href: `#/${name}`, 'aria-current': name === route.name ? 'page' : null }, text)));
  refresh();
}

function showTitle() {
  const text = view.title(page.route, data);
  byId('title').textContent = text;
  document.title = `${text} – Hatchet engine`;
}

/** Loads and shows the data of the view, and schedules the next refresh. */
async function refresh() {
  clearTimeout(timer);
  calls.abort();
  const own = new AbortController();
  calls = own;
  let loaded;
  try {
    loaded = await view.load(api, page.route, own.signal);
  } catch (error) {
    if (own.signal.aborted) return;
    if (error instanceof InvalidToken) return logout(error.message);
    showLink(error);
  }
  if (own.signal.aborted) return;
  timer = setTimeout(refresh, REFRESH_INTERVAL);
  if (loaded === undefined) return;
  data = loaded;
  updated = new Date();
  showLink(null);
  const text = JSON.stringify([location.hash, loaded]);
  if (text !== drawn) draw();
  drawn = text;
}

function draw() {
  if (data === null) return;
  try {
    patch(byId('view'), [view.draw(data, page.route, page)]);
    showTitle();
  } catch (error) {
    console.error(error);
    byId('view').replaceChildren(element('p', { class: 'bad', role: 'alert' }, `This view cannot be shown: ${error.message}.`));
  }
}

/** Shows the state of the connection, the error of the latest refresh, and the time of the last data. */
function showLink(error) {
  const isGone = error instanceof Unreachable;
  byId('link').className = isGone ? 'gone' : 'live';
  const text = isGone ? 'disconnected' : `live, ${location.host}`;
  if (byId('link').textContent !== text) byId('link').textContent = text;
  document.body.classList.toggle('stale', error !== null);
  byId('gone').hidden = error === null;
  if (error === null) return;
  const rest = isGone ? ' and continues when the engine is back' : '';
  byId('gone').textContent = `${error.message}.${updated ? ` This page shows the data of ${updated.toLocaleTimeString()}${rest}.` : ''}`;
}

/** Signs in with the token of a link, `#token=…`, which is removed from the address. Returns whether there was one. */
function takeToken() {
  const token = /^#token=([^&]*)/.exec(location.hash)?.[1];
  if (token === undefined) return false;
  history.replaceState(null, '', `${location.pathname}#/runs`);
  login(decode(token));
  return true;
}

function login(token) {
  try {
    api = new Api(token);
  } catch (error) {
    return logout(error.message);
  }
  sessionStorage.setItem('token', token);
  check();
}

/** Shows the page if the engine accepts the token; tries again while the engine does not respond. */
async function check() {
  clearTimeout(timer);
  const own = api;
  try {
    const known = await own.get(`/api/v1/tenants/${own.tenant}`);
    if (own !== api) return;
    if (!known) return logout('This token is for another engine.');
  } catch (error) {
    if (own !== api) return;
    if (error instanceof InvalidToken) return logout(error.message);
    showLink(error);
    timer = setTimeout(check, REFRESH_INTERVAL);
    return;
  }
  byId('login').hidden = true;
  for (const id of ['main', 'tabs', 'keys', 'logout']) byId(id).hidden = false;
  data = null;
  follow();
}

/** Removes the token and loads the page again, so that no data of the modules stays. */
function logout(why) {
  sessionStorage.removeItem('token');
  if (why) sessionStorage.setItem('login-error', why);
  location.reload();
}

/** Shows the form for the token, with the reason of the latest sign-out. */
function showLogin() {
  byId('login').hidden = false;
  byId('login-error').textContent = sessionStorage.getItem('login-error') ?? '';
  sessionStorage.removeItem('login-error');
}

const KEYS = [['/', 'search'], ['j', 'next row'], ['k', 'previous row'], ['Enter', 'open the row'], ['t', 'trigger a run; in Events, push an event'],
  ['Escape', 'close, or back to the list'], ['?', 'this list']];

function showKeys() {
  openDialog('Keys', element('dl', { class: 'keys' }, KEYS.map(([key, text]) =>
    element('div', null, element('dt', null, element('kbd', null, key)), element('dd', null, text)))));
}

/** Moves the focus to the next or previous row. */
function moveRow(step) {
  const rows = [...document.querySelectorAll('#view [data-row]')];
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

function press(event) {
  if (!api || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const typing = event.target.closest?.('input:not([type=checkbox]), select, textarea');
  if (event.key === 'Escape') {
    if (typing) typing.blur();
    else if (page.route.id) page.navigate(lists.get(page.route.name) || `#/${page.route.name}`);
    return;
  }
  if (typing) return;
  const own = view.keys?.[event.key];
  if (event.key === 'j') moveRow(1);
  else if (event.key === 'k') moveRow(-1);
  else if (event.key === '/') document.querySelector('#view [data-search]')?.focus();
  else if (event.key === '?') showKeys();
  else if (own) page.attempt(() => own(page, data))(null);
  else return;
  event.preventDefault();
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('token').value.trim();
  byId('token').value = '';
  login(text);
});
byId('logout').addEventListener('click', () => logout(''));
byId('keys').addEventListener('click', showKeys);
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').focus();
});
document.addEventListener('visibilitychange', () => {
  if (!api) return;
  clearTimeout(timer);
  calls.abort();
  if (document.hidden) view.pause?.();
  else if (byId('main').hidden) check();
  else refresh();
});
addEventListener('hashchange', () => {
  // A field with the focus keeps its text when the view is drawn, so that typing is not disturbed.
  if (document.activeElement.matches('#view input, #view textarea')) document.activeElement.blur();
  follow();
});
addEventListener('keydown', press);
setInterval(() => tick(byId('view')), 1000);
if (!takeToken()) {
  const token = sessionStorage.getItem('token');
  if (token) login(token);
  else showLogin();
}
