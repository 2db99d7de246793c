// The dialog that triggers a run of a workflow, now or at a given time.

import { element } from '../dom.js';
import { date } from '../format.js';
import { commandFor, showCommand } from './command.js';
import { notify, openDialog, sendForm } from './dialog.js';
import { schemaForm } from './schema_form.js';
import { localTime, parseObject } from './schema_fields.js';

/** Workflows in the choice. */
const MAX_WORKFLOWS = 1000;

const PRIORITIES = [['', 'default'], ['1', '1 (low)'], ['2', '2 (medium)'], ['3', '3 (high)']];

/** Name of the workflow that was triggered last, with which the next choice starts. */
let last;

/** The workflows by name. */
export async function listWorkflows(api, query) {
  const list = await api.get(`/api/v1/tenants/${api.tenant}/workflows`, { limit: MAX_WORKFLOWS, ...query });
  return list.rows.sort((a, b) => a.name.localeCompare(b.name));
}

/** The input schema of a workflow; null if its worker has registered none. */
export async function loadSchema(api, workflow) {
  const version = await api.get(`/api/v1/workflows/${workflow.metadata.id}/versions`);
  return version?.inputJsonSchema ?? null;
}

/**
 * Loads the form of the workflow that the user has chosen in place of `chosen`. Returns null if another one is chosen
 * meanwhile, and on an error: it is shown, and the choice returns to `chosen`. Nothing can be submitted while it loads.
 */
export async function loadChoice(page, workflows, chosen, { choice, submit, problem }) {
  problem.textContent = '';
  const workflow = workflows.find(({ name }) => name === choice.value);
  submit.disabled = true;
  let loaded = null;
  try {
    const schema = await loadSchema(page.api, workflow);
    if (choice.value !== workflow.name) return null;
    loaded = { workflow, form: schemaForm(schema) };
  } catch (error) {
    if (choice.value !== workflow.name) return null;
    choice.value = chosen.name;
    problem.textContent = page.reason(error);
  }
  submit.disabled = false;
  return loaded;
}

/** The time in an hour, with which a scheduled run starts in the dialog. */
export const inOneHour = () => new Date(Date.now() + 3_600_000).toISOString();

/**
 * Opens the dialog. `workflow` is the name to start with, `isFixed` hides the choice of another one, `input`, `metadata`
 * and `priority` are the values to start with, and `at` is a time: the dialog then schedules a run. On success, the page
 * navigates to the new run, or shows a notice about the scheduled one.
 */
export function openTrigger(page, options = {}) {
  return page.attempt(() => open(page, options))();
}

async function open(page, { workflow, isFixed = workflow !== undefined, input, metadata, priority, at, title }) {
  const { api } = page;
  const opener = document.activeElement;
  const workflows = await listWorkflows(api, isFixed ? { name: workflow } : {});
  const named = (wanted) => workflows.find(({ name }) => name === wanted);
  const first = workflow === undefined ? named(last) ?? workflows[0] : named(workflow);
  if (!first) {
    notify(workflow ? `The engine does not know the workflow ${workflow}.` : 'No worker has registered a workflow yet.', 'bad');
    return;
  }
  let chosen = first;
  let form = schemaForm(await loadSchema(api, chosen), input);
  if (document.querySelector('dialog[open]')) return; // It was opened twice.

  const choice = element('select', { id: 'trigger-workflow', on: { change: () => choose() } },
    workflows.map(({ name }) => element('option', { value: name, selected: name === chosen.name }, name)));
  const paused = element('p', { class: 'quiet' });
  const place = element('div');
  const metadataText = element('textarea', { id: 'trigger-metadata', class: 'json', rows: 2, spellcheck: 'false', placeholder: '{"key": "value"}' },
    metadata && Object.keys(metadata).length > 0 ? JSON.stringify(metadata) : '');
  const priorityChoice = element('select', { id: 'trigger-priority' },
    PRIORITIES.map(([value, text]) => element('option', { value, selected: value === String(priority ?? '') }, text)));
  const time = element('input', { id: 'trigger-at', type: 'datetime-local', step: '1', value: at ? localTime(at) : '' });
  const more = element('details', { open: Boolean(metadataText.value || priority || at) },
    element('summary', null, 'Metadata, priority, time'),
    field('trigger-metadata', 'Additional metadata, a JSON object', metadataText),
    field('trigger-priority', 'Priority', priorityChoice),
    field('trigger-at', 'At (your local time; empty: now)', time));
  const command = element('div');
  const problem = element('p', { class: 'error', role: 'alert' });
  const submit = element('button', { type: 'submit', class: 'primary', title: 'Key: Ctrl+Enter' }, 'Trigger');
  const content = element('form', { class: 'trigger', novalidate: true, on: { submit: send, input: update, keydown: press } },
    isFixed ? null : field('trigger-workflow', 'Workflow', choice), paused, place, more, command, problem,
    element('div', { class: 'actions' }, element('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'), submit));

  async function choose() {
    const loaded = await loadChoice(page, workflows, chosen, { choice, submit, problem });
    if (!loaded) return;
    ({ workflow: chosen, form } = loaded);
    show();
  }

  function show() {
    place.replaceChildren(form.node);
    paused.textContent = chosen.isPaused ? 'This workflow is paused: its runs wait until it is resumed.' : '';
    update();
  }

  /** The values beside the input. Throws an error that names the field. */
  function options() {
    const result = {};
    if (metadataText.value.trim() !== '') result.metadata = parseObject(metadataText.value, 'the metadata');
    if (time.validity.badInput) throw new Error('the time is incomplete');
    if (time.value !== '') result.at = new Date(time.value).toISOString();
    if (priorityChoice.value !== '') result.priority = Number(priorityChoice.value);
    return result;
  }

  function update() {
    problem.textContent = '';
    submit.textContent = time.value === '' ? 'Trigger' : 'Schedule';
    showCommand(command, commandOf());
  }

  /** The command that does the same; null while a field is invalid. */
  function commandOf() {
    const { input: entered, error } = form.peek();
    try {
      const values = options();
      return error ? null : commandFor(values.at ? 'schedule' : 'run', { workflow: chosen.name, input: entered, ...values });
    } catch {
      return null;
    }
  }

  function press(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !submit.disabled) content.requestSubmit();
  }

  async function send(event) {
    event.preventDefault();
    const checked = form.value();
    let values = null;
    try {
      values = options();
      problem.textContent = checked.error ? `Not sent: ${checked.error}.` : '';
    } catch (error) {
      more.open = true;
      problem.textContent = `Not sent: ${error.message}.`;
      return;
    }
    if (checked.error) return;
    const { name } = chosen;
    await sendForm(submit, problem, async () => {
      const run = await start(api, name, checked.input, values);
      last = name;
      dialog.close();
      if (run) {
        page.navigate(`#/runs/${run}`);
      } else {
        const isPast = new Date(values.at) < new Date();
        notify(isPast ? `${name} starts now, because the time is in the past.` : `${name} is scheduled for ${date(values.at)}.`);
        page.refresh();
      }
    }, [choice]);
  }

  const dialog = openDialog(title ?? (at ? `Schedule a run${isFixed ? ` of ${chosen.name}` : ''}` : `Trigger ${isFixed ? chosen.name : 'a run'}`), content);
  dialog.addEventListener('close', () => opener?.focus());
  show();
  content.querySelector('.schema-form :is(input, select, textarea)')?.focus();
}

function field(id, label, input) {
  return element('div', { class: 'field' }, element('label', { for: id }, label), input);
}

/** Starts the run and returns its id, or schedules it and returns null. */
async function start(api, workflow, input, { metadata, priority, at }) {
  if (at) {
    const path = `/api/v1/tenants/${api.tenant}/workflows/${encodeURIComponent(workflow)}/scheduled`;
    await api.post(path, { triggerAt: at, input, additionalMetadata: metadata, priority });
    return null;
  }
  const path = `/api/v1/stable/tenants/${api.tenant}/workflow-runs/trigger`;
  const run = await api.post(path, { workflowName: workflow, input, additionalMetadata: metadata, priority });
  return run.run.metadata.id;
}
