// Crons: their table, and the dialog that creates one.

import { element } from '../dom.js';
import { dateAndWhen, when } from '../format.js';
import { commandFor, showCommand } from './command.js';
import { explainCron } from './cron_text.js';
import { openDialog, sendForm } from './dialog.js';
import { idButton, shortJson, status, table } from './elements.js';
import { schemaForm } from './schema_form.js';
import { listWorkflows, loadChoice, loadSchema } from './trigger.js';

/** Crons in a table. */
const MAX_CRONS = 100;
/** Milliseconds without a keystroke after which the times of an expression are loaded. */
const TYPING = 250;

const pathOf = (api, id) => `/api/v1/tenants/${api.tenant}/workflows/crons/${id}`;

/** The newest crons that match the query, with their next times. */
export async function loadCrons(api, query, signal) {
  const list = await api.get(`/api/v1/tenants/${api.tenant}/workflows/crons`, { limit: MAX_CRONS, ...query }, signal);
  const ids = list.rows.map((cron) => cron.metadata.id);
  const times = ids.length > 0 ? await api.get(`/api/v1/tenants/${api.tenant}/embedded-cron-times`, { cron: ids }, signal) : { next: {} };
  const rows = list.rows.map((cron) => ({
    id: cron.metadata.id, name: cron.name, cron: cron.cron, workflow: cron.workflowName, isEnabled: cron.enabled,
    isDeclared: cron.method === 'DEFAULT', input: cron.input, next: times.next[cron.metadata.id] ?? null,
  }));
  return { rows, hasMore: list.pagination.num_pages > 1 };
}

/** The table of crons, with links to their workflows on request. */
export function cronTable({ rows, hasMore }, page, withWorkflow) {
  const heads = ['Cron', 'Next run', { text: 'Input', class: 'wide' }, { text: 'Id', class: 'wide' }, ''];
  return [table('Crons', heads, rows.map((cron) => row(cron, page, withWorkflow))),
    hasMore ? element('p', { class: 'quiet' }, `the newest ${rows.length}`) : null];
}

function row(cron, page, withWorkflow) {
  const label = cron.name || cron.cron;
  const button = (text, action, kind) => element('button', {
    type: 'button', class: `small ${kind ?? ''}`, 'aria-label': `${text} ${label}`, on: { click: page.attempt(action) },
  }, text);
  const enable = async () => {
    await page.api.patch(pathOf(page.api, cron.id), { enabled: !cron.isEnabled });
    page.refresh();
  };
  const runNow = async () => {
    const run = await page.api.post(pathOf(page.api, cron.id), {});
    page.navigate(`#/runs/${run.externalId}`);
  };
  const remove = async () => {
    const declared = cron.isDeclared ? ' Its workflow declares it: the next registration of a worker adds it again.' : '';
    if (!await page.ask({ title: `Delete the cron ${label}?`, text: `It starts no more runs of ${cron.workflow}.${declared}`, action: 'Delete', danger: true })) return;
    await page.api.remove(pathOf(page.api, cron.id));
    page.notify(`The cron ${label} is deleted.`);
    page.refresh();
  };
  return { key: cron.id, cells: [
    [withWorkflow ? element('div', null, workflowLink(cron.workflow)) : null,
      element('div', { class: 'line' }, cron.name ? element('span', { class: 'name' }, cron.name) : null, element('code', { class: 'short' }, cron.cron)),
      element('div', { class: 'quiet' }, explainCron(cron.cron), cron.isDeclared ? ' · declared by the worker' : null)],
    { content: cron.isEnabled ? when(cron.next) : status('DISABLED'), class: 'short' },
    { content: preview(cron.input), class: 'wide' },
    { content: idButton(cron.id, 'Cron id'), class: 'short wide' },
    element('div', { class: 'row-actions' }, button(cron.isEnabled ? 'Disable' : 'Enable', enable), button('Run now', runNow), button('Delete', remove, 'danger')),
  ] };
}

export const workflowLink = (name) => element('a', { class: 'name', href: `#/workflows/${encodeURIComponent(name)}` }, name);

/** The beginning of an input; nothing for an empty one. */
export const preview = (input) => (Object.keys(input ?? {}).length === 0 ? '' : shortJson(input));

/** Opens the dialog that creates a cron, of the given workflow or of one that the user chooses. */
export function newCron(page, workflow) {
  return page.attempt(() => open(page, workflow))();
}

async function open(page, workflow) {
  const { api } = page;
  const opener = document.activeElement;
  const workflows = await listWorkflows(api, workflow === undefined ? {} : { name: workflow });
  let chosen = workflow === undefined ? workflows[0] : workflows.find(({ name }) => name === workflow);
  if (!chosen) {
    page.notify('No worker has registered a workflow yet.', 'bad');
    return;
  }
  let form = schemaForm(await loadSchema(api, chosen));
  if (document.querySelector('dialog[open]')) return; // It was opened twice.
  let typing = 0;
  const text = (id, placeholder) => element('input', { id, placeholder, autocomplete: 'off', spellcheck: 'false' });
  const choice = element('select', { id: 'cron-workflow', on: { change: () => choose() } },
    workflows.map(({ name }) => element('option', { value: name, selected: name === chosen.name }, name)));
  const name = text('cron-name', 'nightly');
  const expression = text('cron-expression', '30 9 * * 1-5');
  const times = element('div', { class: 'hint', id: 'cron-times', 'aria-live': 'polite' });
  const problem = element('p', { class: 'error', role: 'alert' });
  const place = element('div', null, form.node);
  const command = element('div');
  const submit = element('button', { type: 'submit', class: 'primary' }, 'Create');
  const field = (input, label, hint) => element('div', { class: 'field' }, element('label', { for: input.id }, label), input, hint);

  async function choose() {
    const loaded = await loadChoice(page, workflows, chosen, { choice, submit, problem });
    if (!loaded) return;
    ({ workflow: chosen, form } = loaded);
    place.replaceChildren(form.node);
    update();
  }

  /** Shows the command that does the same, unless a field is invalid. */
  function update() {
    problem.textContent = '';
    const { input, error } = form.peek();
    const isComplete = !error && name.value.trim() !== '' && expression.value.trim() !== '';
    const values = { workflow: chosen.name, name: name.value.trim(), expression: expression.value.trim(), input };
    showCommand(command, isComplete ? commandFor('cron', values) : null);
  }

  /** Shows the next times of the expression, or the error of the engine. */
  async function showTimes() {
    const value = expression.value.trim();
    if (value === '') {
      times.replaceChildren();
      return;
    }
    let lines;
    try {
      const found = await api.get(`/api/v1/tenants/${api.tenant}/embedded-cron-times`, { expression: value });
      lines = [element('p', null, explainCron(value)), element('ul', null, found.times.map((time) => element('li', null, dateAndWhen(time))))];
    } catch (error) {
      lines = [element('p', { class: 'error' }, page.reason(error))];
    }
    if (expression.value.trim() === value) times.replaceChildren(...lines);
  }
  expression.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(showTimes, TYPING);
  });

  async function send(event) {
    event.preventDefault();
    const checked = form.value();
    const missing = name.value.trim() === '' ? 'the cron needs a name' : expression.value.trim() === '' ? 'the cron needs an expression' : checked.error;
    problem.textContent = missing ? `Not sent: ${missing}.` : '';
    if (missing) return;
    const sent = { workflow: chosen.name, name: name.value.trim(), expression: expression.value.trim() };
    await sendForm(submit, problem, async () => {
      await api.post(`/api/v1/tenants/${api.tenant}/workflows/${encodeURIComponent(sent.workflow)}/crons`, {
        cronName: sent.name, cronExpression: sent.expression, input: checked.input, additionalMetadata: {},
      });
      dialog.close();
      page.notify(`The cron ${sent.name} of ${sent.workflow} is created.`);
      page.refresh();
    }, [choice]);
  }

  const dialog = openDialog(workflow === undefined ? 'New cron' : `New cron of ${workflow}`, element('form', { class: 'trigger', novalidate: true, on: { submit: send, input: update } },
    workflow === undefined ? field(choice, 'Workflow') : null, field(name, 'Name'),
    field(expression, 'Expression: minute, hour, day, month, weekday', times), place, command, problem,
    element('div', { class: 'actions' }, element('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'), submit)));
  dialog.addEventListener('close', () => {
    clearTimeout(typing);
    opener?.focus();
  });
  name.focus();
}
