// Scheduled runs: their table, and the dialog that changes the time of one.

import { element } from '../dom.js';
import { dateAndWhen } from '../format.js';
import { preview, workflowLink } from './crons.js';
import { openDialog, sendForm } from './dialog.js';
import { idButton, table } from './elements.js';
import { localTime } from './schema_fields.js';

/** Scheduled runs in a table. */
const MAX_SCHEDULES = 100;

const pathOf = (api, id) => `/api/v1/tenants/${api.tenant}/workflows/scheduled/${id}`;

/** The next scheduled runs that match the query, the earliest first. The engine lists the latest first. */
export async function loadSchedules(api, query, signal) {
  const path = `/api/v1/tenants/${api.tenant}/workflows/scheduled`;
  const filter = { statuses: 'SCHEDULED', ...query };
  // Pages of one row: their number is that of all rows.
  const total = (await api.get(path, { ...filter, limit: 1 }, signal)).pagination.num_pages;
  const list = await api.get(path, { ...filter, limit: MAX_SCHEDULES, offset: Math.max(0, total - MAX_SCHEDULES) }, signal);
  const rows = list.rows.map((run) => ({ id: run.metadata.id, workflow: run.workflowName, at: run.triggerAt, input: run.input }));
  return { rows: rows.reverse(), total };
}

/** The table of scheduled runs, with links to their workflows on request. */
export function scheduleTable({ rows, total }, page, withWorkflow) {
  const heads = ['Starts', { text: 'Input', class: 'wide' }, { text: 'Id', class: 'wide' }, ''];
  return [table('Scheduled runs', heads, rows.map((run) => row(run, page, withWorkflow))),
    total > rows.length ? element('p', { class: 'quiet' }, `the next ${rows.length} of ${total.toLocaleString()}`) : null];
}

function row(run, page, withWorkflow) {
  const button = (text, click, kind) => element('button', {
    type: 'button', class: `small ${kind ?? ''}`, 'aria-label': `${text} the run of ${run.workflow}`, on: { click },
  }, text);
  const remove = page.attempt(async () => {
    if (!await page.ask({ title: 'Delete the scheduled run?', text: `${run.workflow} does not start at this time.`, action: 'Delete', danger: true })) return;
    await page.api.remove(pathOf(page.api, run.id));
    page.notify('The scheduled run is deleted.');
    page.refresh();
  });
  return { key: run.id, cells: [
    [withWorkflow ? element('div', null, workflowLink(run.workflow)) : null, dateAndWhen(run.at)], { content: preview(run.input), class: 'wide' },
    { content: idButton(run.id, 'Id of the scheduled run'), class: 'short wide' },
    element('div', { class: 'row-actions' }, button('Change time', () => change(page, run)), button('Delete', remove, 'danger')),
  ] };
}

function change(page, run) {
  const time = element('input', { id: 'schedule-at', type: 'datetime-local', step: '1', value: localTime(run.at) });
  const problem = element('p', { class: 'error', role: 'alert' });
  const button = element('button', { type: 'submit', class: 'primary' }, 'Change');
  const submit = async (event) => {
    event.preventDefault();
    if (time.value === '') {
      problem.textContent = 'Not sent: the time is incomplete.';
      return;
    }
    await sendForm(button, problem, async () => {
      await page.api.patch(pathOf(page.api, run.id), { triggerAt: new Date(time.value).toISOString() });
      dialog.close();
      page.refresh();
    });
  };
  const dialog = openDialog(`Change the time of ${run.workflow}`, element('form', { novalidate: true, on: { submit } },
    element('div', { class: 'field' }, element('label', { for: 'schedule-at' }, 'Starts at (your local time)'), time), problem,
    element('div', { class: 'actions' }, element('button', { type: 'button', on: { click: () => dialog.close() } }, 'Back'), button)));
}
