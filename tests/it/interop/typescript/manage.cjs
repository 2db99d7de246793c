// Management over REST.

const { Priority } = require('@hatchet-dev/typescript-sdk/v1');
const { PROGRAM, assert, hatchet, sleep, eventually, isStatus, becomes, start, list, withMetadata } = require('./harness.cjs');
const { echo, slow } = require('./features.cjs');
const { ordered } = require('./limits.cjs');

const onCron = hatchet.task({ name: 'ts-on-cron', onCrons: ['*/1 * * * * *'], fn: async () => ({ cron: true }) });
const deleted = hatchet.task({ name: 'ts-deleted', description: 'is deleted', fn: async () => ({}) });

const cases = {
  runs_are_listed_with_filters_and_pages: async () => {
    const additionalMetadata = { page: PROGRAM };
    await echo.run(Array(3).fill({}), { additionalMetadata });
    await eventually(async () => (await withMetadata(additionalMetadata)).filter((r) => r.status === 'COMPLETED').length === 3, 'the runs are listed');
    const find = (by) => hatchet.runs.list({ additionalMetadata, onlyTasks: true, ...by });
    const page = await find({ limit: 2, workflowNames: ['ts-echo'], statuses: ['COMPLETED'] });
    assert.equal(page.rows.length, 2);
    assert.equal(page.pagination.num_pages, 2);
    assert.equal((await find({ limit: 2, offset: 2 })).rows.length, 1);
    assert.equal((await find({ statuses: ['FAILED'] })).rows.length, 0);
  },
  runs_are_replayed_by_filter: async () => {
    const additionalMetadata = { replay: PROGRAM };
    const { id } = await start(echo, {}, { additionalMetadata });
    await becomes(id, 'COMPLETED');
    await eventually(async () => (await withMetadata(additionalMetadata)).length === 1, 'the run is listed');
    await hatchet.runs.replay({ filters: { additionalMetadata, statuses: ['COMPLETED'] } });
    await eventually(async () => (await hatchet.runs.get(id)).tasks[0].attempt === 2, 'the run is executed again');
  },
  cron_starts_runs: async () => {
    const rows = () => list({ workflowNames: ['ts-on-cron'] });
    const row = await eventually(async () => (await rows()).find((r) => r.status === 'COMPLETED'), 'a run by the cron');
    assert.deepEqual(row.output, { cron: true });
    const crons = (await hatchet.crons.list({ workflow: onCron })).rows;
    assert.deepEqual(crons.map((cron) => cron.method), ['DEFAULT']);
    await hatchet.crons.delete(crons[0]);
    assert.equal((await hatchet.crons.list({ workflow: onCron })).rows.length, 0);
  },
  cron_is_created_listed_and_deleted: async () => {
    const created = await echo.cron('ts-yearly', '0 0 1 1 *', { word: 'x' }, { additionalMetadata: { c: 'ts' }, priority: Priority.HIGH });
    assert.equal((await hatchet.crons.get(created)).cron, '0 0 1 1 *');
    const listed = async () => (await hatchet.crons.list({ workflow: echo, cronName: 'ts-yearly' })).rows;
    const [row] = await listed();
    assert.deepEqual([row.metadata.id, row.priority, row.additionalMetadata.c], [created.metadata.id, 3, 'ts']);
    await hatchet.crons.delete(created);
    assert.equal((await listed()).length, 0);
  },
  delayed_run_starts: async () => {
    await echo.delay(1, { word: 'delayed' }, { additionalMetadata: { delayed: PROGRAM } });
    const row = await eventually(
      async () => (await withMetadata({ delayed: PROGRAM })).find((r) => r.status === 'COMPLETED'), 'the run has completed',
    );
    assert.equal(row.output.word, 'delayed');
  },
  schedules_are_listed_changed_and_deleted: async () => {
    const day = 86_400_000;
    const create = () => echo.schedule(new Date(Date.now() + day), { word: 'x' }, { additionalMetadata: { s: PROGRAM } });
    const [one, two, three] = [await create(), await create(), await create()];
    assert.equal((await hatchet.schedules.get(one)).metadata.id, one.metadata.id);
    const listed = async () => (await hatchet.schedules.list({ workflow: echo, additionalMetadata: [`s:${PROGRAM}`] })).rows.length;
    assert.equal(await listed(), 3);
    const later = new Date(Date.now() + 2 * day);
    assert.equal(new Date((await hatchet.schedules.update(one, { triggerAt: later })).triggerAt).getTime(), later.getTime());
    const updates = [{ scheduledRun: two, triggerAt: later }];
    assert.deepEqual((await hatchet.schedules.bulkUpdate(updates)).updatedIds, [two.metadata.id]);
    await hatchet.schedules.delete(one);
    const bulk = await hatchet.schedules.bulkDelete({ scheduledRuns: [two, three] });
    assert.deepEqual(bulk.deletedIds.sort(), [two.metadata.id, three.metadata.id].sort());
    assert.equal(await listed(), 0);
  },
  tasks_and_queues_are_counted: async () => {
    const workflowIds = [(await hatchet.workflows.get(echo)).metadata.id];
    const count = async () =>
      (await hatchet.metrics.getTaskStatusMetrics({ since: new Date(Date.now() - 3_600_000).toISOString(), workflow_ids: workflowIds })).completed;
    const before = await count();
    await echo.run({});
    await eventually(async () => (await count()) === before + 1, 'the run is counted');
    assert((await hatchet.metrics.getQueueMetrics()).queues);
    const { id } = await start(slow);
    await becomes(id, 'RUNNING');
    await eventually(async () => (await hatchet.metrics.getTaskStats())['ts-slow']?.running, 'the running task is counted');
    await hatchet.runs.cancel({ ids: [id] });
  },
  expression_is_evaluated_for_debugging: async () => {
    const evaluated = await hatchet.cel.debug({
      expression: "input.word == 'a' && additional_metadata.team == 'b' && payload.n == 1",
      input: { word: 'a' }, additionalMetadata: { team: 'b' }, filterPayload: { n: 1 },
    });
    assert.deepEqual(evaluated, { status: 'SUCCESS', output: true });
    assert.equal((await hatchet.cel.debug({ expression: 'input.word ==', input: {} })).status, 'ERROR');
  },
  workflow_is_listed_and_deleted: async () => {
    assert.equal((await hatchet.workflows.get('ts-deleted')).description, 'is deleted');
    await hatchet.workflows.delete('ts-deleted');
    assert.equal((await hatchet.workflows.list({ name: 'ts-deleted' })).rows.length, 0);
  },
  paused_worker_gets_no_run: async () => {
    const active = async () => (await hatchet.workers.list()).rows.find((w) => w.name.endsWith('ts-narrow') && w.status === 'ACTIVE');
    const { id } = (await eventually(active, 'the worker is active')).metadata;
    await hatchet.workers.pause(id);
    await eventually(() => hatchet.workers.isPaused(id), 'the worker is paused');
    // A real engine may assign runs to the worker for some seconds after the pause.
    const waiting = await eventually(async () => {
      const run = await start(ordered);
      await sleep(1_000);
      return (await isStatus(run.id, 'QUEUED')) && run;
    }, 'a run waits');
    await hatchet.workers.unpause(id);
    await waiting.ref.output;
    const shown = await hatchet.workers.get(id);
    assert.equal(shown.runtimeInfo.language, 'TYPESCRIPT');
  },
};

module.exports = { workflows: [onCron, deleted], cases };
