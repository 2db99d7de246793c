// Runs, failures, children, streams and logs.

const { existsSync, readFileSync } = require('node:fs');
const { NonRetryableError, Priority, IdempotencyCollisionError } = require('@hatchet-dev/typescript-sdk/v1');
const { PROGRAM, assert, hatchet, sleep, eventually, isStatus, becomes, start, withMetadata, errorOf, logLines, chunks } = require('./harness.cjs');

const echo = hatchet.task({
  name: 'ts-echo',
  fn: async (input, ctx) => ({
    word: input.word, metadata: ctx.additionalMetadata(), priority: ctx.priority(), run: ctx.workflowRunId(), worker: ctx.worker.id(),
  }),
});
const flaky = hatchet.task({
  name: 'ts-flaky',
  retries: 2,
  backoff: { factor: 2, maxSeconds: 1 },
  fn: async (_, ctx) => {
    if (ctx.retryCount() < 2) throw new Error(`attempt ${ctx.retryCount()}`);
    return { attempt: ctx.retryCount(), at: Date.now() };
  },
});
const fatal = hatchet.task({
  name: 'ts-fatal',
  retries: 2,
  fn: async (_, ctx) => {
    throw new NonRetryableError(`fatal in attempt ${ctx.retryCount()}`);
  },
});
const waitUntilCancelled = async (_, ctx) => { while (!ctx.cancelled) await sleep(50); return {}; };
const late = hatchet.task({ name: 'ts-late', executionTimeout: '1s', fn: waitUntilCancelled });
const refresh = hatchet.task({
  name: 'ts-refresh',
  executionTimeout: '2s',
  fn: async (_, ctx) => {
    await ctx.refreshTimeout('20s');
    await sleep(2_500);
    return { refreshed: true };
  },
});
const slow = hatchet.task({ name: 'ts-slow', fn: waitUntilCancelled });
const parent = hatchet.task({
  name: 'ts-parent',
  retries: 1,
  fn: async (_, ctx) => {
    const one = await ctx.runChild(echo, { word: 'one' }, { key: 'one', priority: Priority.HIGH, additionalMetadata: { own: 'child' } });
    const many = await ctx.bulkRunChildren(['two', 'three'].map((word) => ({ workflow: echo, input: { word } })));
    if (ctx.retryCount() === 0) throw new Error('the children are created once although the parent is retried');
    return { children: [one, ...many] };
  },
});
const slowParent = hatchet.task({
  name: 'ts-slow-parent',
  fn: async (_, ctx) => ctx.runChild(slow, {}, { additionalMetadata: { childOf: PROGRAM } }),
});
const stream = hatchet.task({
  name: 'ts-stream',
  fn: async (input, ctx) => {
    // Chunks before the subscription of the reader are lost. So the task repeats a chunk until the reader creates the file.
    for (; !existsSync(input.word); await sleep(50)) await ctx.putStream('repeated;');
    for (let n = 0; n < 20; n += 1) await ctx.putStream(`chunk ${n};`);
    // The SDK does not wait until a chunk is sent, and a run that has finished has no stream.
    await eventually(() => readFileSync(input.word, 'utf8') === 'chunk 19;', 'the reader has the last chunk');
    return {};
  },
});
const logs = hatchet.task({
  name: 'ts-logs',
  fn: async (_, ctx) => {
    await ctx.logger.info('first line');
    await ctx.logger.warn('second line');
    return {};
  },
});
const once = hatchet.task({
  name: 'ts-once',
  idempotency: { strategy: 'ttl', expression: "'ts-once:' + input.word", ttlMs: 60_000 },
  fn: async (input) => input,
});
const onceAtATime = hatchet.task({
  name: 'ts-once-at-a-time',
  idempotency: { strategy: 'status', expression: "'ts-once-at-a-time:' + input.word", fallbackTtlMs: 60_000 },
  fn: async (input) => input,
});

const isCollision = (error) => error instanceof IdempotencyCollisionError;

const cases = {
  run_by_task_and_by_name: async () => {
    assert.equal((await echo.run({ word: 'ä<&>' })).word, 'ä<&>');
    assert.equal((await hatchet.run('ts-echo', { word: 'name' }))['ts-echo'].word, 'name');
  },
  run_without_waiting_status_and_details: async () => {
    const { ref, id } = await start(echo, { word: 'later' });
    assert.equal((await ref.output).word, 'later');
    await becomes(id, 'COMPLETED');
    const details = await hatchet.runs.getDetails(id);
    assert(details.done);
    assert.equal(details.taskRuns['ts-echo'].output.word, 'later');
    assert.equal((await hatchet.runRef(id).output)['ts-echo'].word, 'later');
  },
  many: async () => {
    const words = [...Array(50).keys()].map(String);
    assert.deepEqual((await echo.run(words.map((word) => ({ word })))).map((r) => r.word), words);
    const results = await echo.runMany(words.slice(0, 3).map((word) => ({ input: { word }, opts: { additionalMetadata: { word } } })));
    assert.deepEqual(results.map((r) => r.metadata.word), ['0', '1', '2']);
  },
  metadata_and_priority: async () => {
    const output = await echo.run({}, { additionalMetadata: { who: PROGRAM }, priority: Priority.HIGH });
    assert.equal(output.metadata.who, PROGRAM);
    assert.equal(output.priority, 3);
    await eventually(async () => (await withMetadata({ who: PROGRAM })).length === 1, 'the run is listed');
  },
  failed_task_is_retried_after_backoff: async () => {
    const begin = Date.now();
    const output = await flaky.run({});
    assert.equal(output.attempt, 2);
    assert(output.at - begin >= 1_800, 'no backoff');
  },
  fatal_failure_is_not_retried: async () => assert.match(await errorOf(fatal.run({})), /fatal in attempt 0/),
  execution_timeout_fails_run_unless_refreshed: async () => {
    assert.match(await errorOf(late.run({})), /exceeded timeout of 1s/);
    assert((await refresh.run({})).refreshed);
  },
  cancel_by_id_and_by_filter: async () => {
    const { id } = await start(slow);
    await becomes(id, 'RUNNING');
    await hatchet.runs.cancel({ ids: [id] });
    await becomes(id, 'CANCELLED');
    const other = await start(slow, {}, { additionalMetadata: { filter: PROGRAM } });
    await becomes(other.id, 'RUNNING');
    await eventually(async () => (await withMetadata({ filter: PROGRAM })).length === 1, 'the run is listed');
    await hatchet.runs.cancel({ filters: { additionalMetadata: { filter: PROGRAM } } });
    await becomes(other.id, 'CANCELLED');
  },
  replay: async () => {
    const { ref, id } = await start(echo, { word: 'again' });
    await ref.output;
    await becomes(id, 'COMPLETED');
    await hatchet.runs.replay({ ids: [id] });
    const replayed = async () => {
      const [task] = (await hatchet.runs.get(id)).tasks;
      return task.attempt === 2 && task.status === 'COMPLETED';
    };
    await eventually(replayed, 'the replay has completed');
  },
  stream_is_complete_and_in_order: async () => {
    assert.deepEqual((await chunks(stream)).read, [...Array(20).keys()].map((n) => `chunk ${n};`));
  },
  log_lines: async () => {
    const { ref, id } = await start(logs);
    await ref.output;
    await eventually(async () => (await logLines(id)).length === 2, 'the lines are listed');
    assert.deepEqual(await logLines(id), ['first line', 'second line']);
    const levels = (await hatchet.logs.list(id)).rows.map((row) => row.level).sort();
    assert.deepEqual(levels, ['INFO', 'WARN']);
  },
  child_runs_are_created_once_and_inherit_metadata: async () => {
    const { ref, id } = await start(parent, {}, { additionalMetadata: { who: 'ts-parent', own: 'parent' } });
    const { children } = await ref.output;
    assert.deepEqual(children.map((child) => child.word), ['one', 'two', 'three']);
    assert.deepEqual(children.map((child) => child.metadata.who), Array(3).fill('ts-parent'));
    assert.deepEqual(children.map((child) => child.metadata.own), ['child', 'parent', 'parent']);
    assert.equal(children[0].priority, 3);
    const parentTaskExternalId = (await hatchet.runs.get(id)).tasks[0].taskExternalId;
    const listed = async () => (await hatchet.runs.list({ parentTaskExternalId })).rows.length === 3;
    await eventually(listed, 'the children are listed');
  },
  cancelled_child_ends_the_wait_of_its_parent: async () => {
    const { id } = await start(slowParent);
    const child = await eventually(async () => (await withMetadata({ childOf: PROGRAM }))[0], 'the child is listed');
    await becomes(child.metadata.id, 'RUNNING');
    await hatchet.runs.cancel({ ids: [child.metadata.id] });
    await becomes(child.metadata.id, 'CANCELLED');
    await eventually(async () => !(await isStatus(id, 'RUNNING')), 'the parent has ended');
  },
  idempotency_key_refuses_a_second_run: async () => {
    const { id } = await start(once, { word: 'key' });
    const error = await once.run({ word: 'key' }).catch((e) => e);
    assert(isCollision(error), String(error));
    assert.equal(error.existingRunExternalId, id);
    await onceAtATime.run({ word: 'key' });
    const starts = () => onceAtATime.run({ word: 'key' }).then(() => true, (e) => { assert(isCollision(e), String(e)); });
    await eventually(starts, 'the key is released with the end of the run');
  },
};

module.exports = {
  echo,
  slow,
  workflows: [echo, flaky, fatal, late, refresh, slow, parent, slowParent, stream, logs, once, onceAtATime],
  cases,
};
