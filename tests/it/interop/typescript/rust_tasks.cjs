// Tasks of a Rust worker. One of them calls the tasks of this program.

const { IdempotencyCollisionError } = require('@hatchet-dev/typescript-sdk/v1');
const { PROGRAM, assert, hatchet, eventually, becomes, start, withMetadata, errorOf, logLines, chunks } = require('./harness.cjs');

const run = async (name, input = {}, options = {}) => (await hatchet.run(name, input, options))[name];

const cases = {
  rust_task_returns_output_and_metadata: async () => {
    const output = await run('rust-echo', { word: 'ä<&>' }, { additionalMetadata: { who: 'ts' } });
    assert.deepEqual([output.word, output.metadata.who, output.attempt], ['ä<&>', 'ts', 1]);
    assert.equal((await run('rust-flaky')).attempt, 2);
    assert.match(await errorOf(run('rust-fatal')), /fatal in Rust/);
  },
  rust_task_streams_and_logs: async () => {
    const { read, id } = await chunks('rust-stream');
    assert.deepEqual(read, [0, 1, 2, 3, 4].map((n) => `chunk ${n};`));
    await eventually(async () => (await logLines(id)).length === 2, 'the lines are listed');
    assert.deepEqual(await logLines(id), ['first line', 'last line']);
  },
  rust_task_is_cancelled_and_replayed: async () => {
    const { id } = await start('rust-slow');
    await becomes(id, 'RUNNING');
    await hatchet.runs.cancel({ ids: [id] });
    await becomes(id, 'CANCELLED');
    const first = await start('rust-replaced', { word: 'ts' });
    await becomes(first.id, 'RUNNING');
    const second = await start('rust-replaced', { word: 'ts' });
    await becomes(first.id, 'CANCELLED');
    await hatchet.runs.cancel({ ids: [second.id] });
    const echoed = await start('rust-echo');
    await becomes(echoed.id, 'COMPLETED');
    await hatchet.runs.replay({ ids: [echoed.id] });
    await eventually(async () => (await hatchet.runs.get(echoed.id)).tasks[0].output?.attempt === 2, 'the replay has completed');
  },
  rust_task_has_one_run_for_an_idempotency_key: async () => {
    const { id } = await start('rust-once', { word: 'ts' });
    const error = await hatchet.run('rust-once', { word: 'ts' }).catch((e) => e);
    assert(error instanceof IdempotencyCollisionError, String(error));
    assert.equal(error.existingRunExternalId, id);
  },
  events_start_and_continue_rust_workflow: async () => {
    await hatchet.events.push('rust:start', { word: 'go' }, { additionalMetadata: { event: PROGRAM } });
    const completed = async () => {
      await hatchet.events.push('rust:go', { word: 'go' });
      return (await withMetadata({ event: PROGRAM })).find((r) => r.status === 'COMPLETED');
    };
    const row = await eventually(completed, 'the workflow has completed');
    const details = await hatchet.runs.getDetails(row.metadata.id);
    assert.deepEqual(details.taskRuns.second.output, { word: 'go' });
  },
  rust_task_calls_task_of_this_sdk: async () => {
    const call = (task) => run('rust-caller', { task, input: { word: 'back' } }, { additionalMetadata: { who: 'ts' } });
    const { output } = await call('ts-echo');
    assert.deepEqual([output.word, output.priority, output.metadata.who, output.metadata.by], ['back', 3, 'ts', 'rust']);
    assert.match((await call('ts-fatal')).failed, /fatal in attempt 0/);
  },
};

module.exports = { workflows: [], cases };
