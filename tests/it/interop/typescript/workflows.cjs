// Workflows of several tasks, conditions, events and filters.

const { Or, SleepCondition, UserEventCondition } = require('@hatchet-dev/typescript-sdk/v1');
const { assert, hatchet, eventually, becomes, start, list, errorOf, named } = require('./harness.cjs');

const dag = hatchet.workflow({ name: 'ts-dag' });
const left = dag.task({ name: 'left', fn: async () => ({ n: 1 }) });
const right = dag.task({ name: 'right', fn: async () => ({ n: 2 }) });
dag.task({
  name: 'both',
  parents: [left, right],
  fn: async (_, ctx) => ({ n: (await ctx.parentOutput(left)).n + (await ctx.parentOutput(right)).n }),
});
dag.onSuccess({ fn: async () => ({ succeeded: true }) });

const broken = hatchet.workflow({ name: 'ts-broken' });
const boom = broken.task({ name: 'boom', fn: async () => { throw new Error('boom'); } });
broken.task({ name: 'unreached', parents: [boom], fn: async () => ({}) });
broken.onFailure({ fn: async (_, ctx) => ({ failed: ctx.errors() }) });

const graph = hatchet.workflow({ name: 'ts-graph' });
const ran = async () => ({ ran: true, at: Date.now() });
const begin = graph.task({ name: 'begin', fn: async (input) => ({ length: input.word.length }) });
const slept = graph.task({ name: 'slept', parents: [begin], waitFor: new SleepCondition('1s'), fn: ran });
const called = graph.task({
  name: 'called',
  parents: [begin],
  waitFor: Or(new SleepCondition('60s'), new UserEventCondition('ts:go', "input.word == 'go'")),
  fn: ran,
});
const short = graph.task({ name: 'short', parents: [begin], skipIf: { parent: begin, expression: 'output.length > 3' }, fn: ran });
const long = graph.task({ name: 'long', parents: [begin], skipIf: { parent: begin, expression: 'output.length <= 3' }, fn: ran });
graph.task({
  name: 'join',
  parents: [slept, called, short, long],
  fn: async (_, ctx) => ({ short: (await ctx.parentOutput(short)).ran ?? false, long: (await ctx.parentOutput(long)).ran ?? false }),
});

const stopped = hatchet.workflow({ name: 'ts-stopped' });
const first = stopped.task({ name: 'first', fn: async (input) => ({ word: input.word }) });
stopped.task({
  name: 'second',
  parents: [first],
  waitFor: { sleepFor: '60s' },
  skipIf: { eventKey: 'ts:skip' },
  cancelIf: { parent: first, expression: "output.word == 'cancel'" },
  fn: ran,
});

const echoEvent = async (input, ctx) => ({ word: input.word, filter: ctx.filterPayload(), key: ctx.triggeringEventKey() });
const onEvent = hatchet.task({ name: 'ts-on-event', onEvents: ['ts:exact', 'ts:wildcard:*'], fn: echoEvent });
const filtered = hatchet.task({
  name: 'ts-filtered',
  onEvents: ['ts:filtered'],
  defaultFilters: [{ expression: "input.word == 'default'", scope: 'declared', payload: { from: 'default' } }],
  fn: echoEvent,
});

const states = async (id) => {
  const details = await eventually(async () => {
    const found = await hatchet.runs.getDetails(id);
    return found.done && found;
  }, 'the run has ended');
  return Object.fromEntries(Object.entries(details.taskRuns).map(([name, task]) => [name, task.status]));
};
const runsOf = (triggeringEventExternalId) => list({ triggeringEventExternalId });
const outcomeOf = async ({ eventId }) => {
  const row = await eventually(async () => (await runsOf(eventId)).find((r) => r.status === 'COMPLETED'), 'the run has completed');
  return row.output;
};

const cases = {
  tasks_receive_the_outputs_of_their_parents: async () => {
    const result = await dag.run({});
    assert.equal(result.both.n, 3);
    assert.deepEqual(result['on-success-task'], { succeeded: true });
  },
  failed_task_cancels_dependents_and_runs_on_failure_task: async () => {
    const { ref, id } = await start(broken);
    assert.match(await errorOf(ref.output), /boom/);
    assert.deepEqual(await states(id), { boom: 'FAILED', unreached: 'CANCELLED', 'on-failure-task': 'COMPLETED' });
    const details = await hatchet.runs.getDetails(id);
    assert.match(details.taskRuns['on-failure-task'].output.failed.boom, /boom/);
    await becomes(id, 'FAILED');
  },
  conditions_delay_and_skip_tasks: async () => {
    const since = Date.now();
    const { ref, id } = await start(graph, { word: 'longer' });
    const push = async () => {
      // An event has no effect before the condition is in effect.
      await hatchet.events.push('ts:go', { word: 'other' });
      await hatchet.events.push('ts:go', { word: 'go' });
      return (await hatchet.runs.getDetails(id)).done;
    };
    await eventually(push, 'the event ends the wait');
    const result = await ref.output;
    assert.deepEqual(result.join, { short: false, long: true });
    assert(result.slept.at - since >= 1_000 && result.called.at - since < 50_000);
  },
  event_skips_and_output_cancels: async () => {
    const { ref, id } = await start(stopped, { word: 'skip' });
    const push = async () => {
      await hatchet.events.push('ts:skip', {});
      return (await hatchet.runs.getDetails(id)).done;
    };
    await eventually(push, 'the event skips the task');
    assert.deepEqual((await ref.output).second, { skipped: true });
    const cancelled = await start(stopped, { word: 'cancel' });
    assert.deepEqual(await states(cancelled.id), { first: 'COMPLETED', second: 'CANCELLED' });
    await becomes(cancelled.id, 'CANCELLED');
  },
  event_triggers_runs: async () => {
    const event = await hatchet.events.push('ts:exact', { word: 'pushed' }, { additionalMetadata: { m: '1' }, priority: 3 });
    assert.deepEqual(await outcomeOf(event), { word: 'pushed', filter: {}, key: named('ts:exact') });
    const [row] = await runsOf(event.eventId);
    assert.equal(row.additionalMetadata.m, '1');
    assert.equal(row.additionalMetadata.hatchet__event_id, event.eventId);
    const { events } = await hatchet.events.bulkPush('ts:wildcard:x', [{ payload: { word: '1' } }, { payload: { word: '2' } }]);
    assert.deepEqual(await Promise.all(events.map(async (e) => (await outcomeOf(e)).word)), ['1', '2']);
    const { eventId } = await hatchet.events.push('ts:none', {});
    assert.equal((await runsOf(eventId)).length, 0);
  },
  filters_select_events_of_their_scope: async () => {
    const workflowId = (await hatchet.workflows.get(filtered)).metadata.id;
    const created = await hatchet.filters.create({
      workflowId, expression: 'input.word == payload.wanted', scope: 'created', payload: { wanted: 'this' },
    });
    const push = (word, scope) => hatchet.events.push('ts:filtered', { word }, { scope });
    const unmatched = [await push('other', 'declared'), await push('other', 'created'), await push('default', 'other')];
    assert.deepEqual((await outcomeOf(await push('default', 'declared'))).filter, { from: 'default' });
    assert.deepEqual((await outcomeOf(await push('this', 'created'))).filter, { wanted: 'this' });
    for (const { eventId } of unmatched) assert.equal((await runsOf(eventId)).length, 0);
    const id = created.metadata.id;
    const listed = async () => (await hatchet.filters.list({ workflowIds: [workflowId], scopes: ['created'] })).rows;
    assert.deepEqual((await listed()).map((row) => row.metadata.id), [id]);
    assert.equal((await hatchet.filters.update(id, { expression: "input.word == 'changed'" })).expression, "input.word == 'changed'");
    assert.deepEqual((await hatchet.filters.get(id)).payload, { wanted: 'this' });
    await hatchet.filters.delete(id);
    assert.equal((await listed()).length, 0);
  },
  events_are_listed_by_key_and_scope: async () => {
    const { eventId } = await hatchet.events.push('ts:listed', {}, { scope: 'listed' });
    const ids = async (by) => ((await hatchet.events.list(by)).rows ?? []).map((row) => row.metadata.id);
    await eventually(async () => (await ids({ keys: [named('ts:listed')] })).includes(eventId), 'the event is listed by its key');
    await eventually(async () => (await ids({ scopes: ['listed'] })).includes(eventId), 'the event is listed by its scope');
    assert.deepEqual(await ids({ keys: [named('ts:listed')], scopes: ['other'] }), []);
  },
};

module.exports = { workflows: [dag, broken, graph, stopped, onEvent, filtered], cases };
