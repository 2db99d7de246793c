// Crons and scheduled runs of all workflows.

import { element } from '../dom.js';
import { cronTable, loadCrons, newCron } from '../parts/crons.js';
import { loadSchedules, scheduleTable } from '../parts/scheduled.js';
import { card, nothing } from '../parts/elements.js';
import { inOneHour, openTrigger } from '../parts/trigger.js';

export default {
  title: () => 'Schedules',

  async load(api, route, signal) {
    const [crons, schedules] = await Promise.all([loadCrons(api, {}, signal), loadSchedules(api, {}, signal)]);
    return { crons, schedules };
  },

  draw({ crons, schedules }, route, page) {
    const button = (text, action) => element('button', { type: 'button', class: 'small', on: { click: action } }, text);
    return [
      card('Crons', { last: button('New cron', () => newCron(page)) },
        crons.rows.length > 0 ? cronTable(crons, page, true) : nothing('No crons. A worker declares them, or you create one here.')),
      card('Scheduled runs', { last: button('Schedule a run', () => openTrigger(page, { at: inOneHour() })) },
        schedules.rows.length > 0 ? scheduleTable(schedules, page, true) : nothing('No scheduled runs.')),
    ];
  },

  keys: { t: (page) => openTrigger(page) },
};
