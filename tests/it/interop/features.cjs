// Uses the main features through the TypeScript SDK, with worker and caller in one process. Needs NODE_PATH, the folder
// of the SDK.

const assert = require('node:assert/strict');
const { HatchetClient, NonRetryableError } = require('@hatchet-dev/typescript-sdk/v1');

const hatchet = HatchetClient.init();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const echo = hatchet.task({ name: 'ts-echo', fn: async (input) => ({ word: input.word }) });
const flaky = hatchet.task({
  name: 'ts-flaky',
  retries: 2,
  fn: async (_, ctx) => {
    if (ctx.retryCount() < 2) throw new Error(`attempt ${ctx.retryCount()}`);
    return { attempt: ctx.retryCount() };
  },
});
const fatal = hatchet.task({
  name: 'ts-fatal',
  retries: 2,
  fn: async (_, ctx) => {
    throw new NonRetryableError(`fatal in attempt ${ctx.retryCount()}`);
  },
});
const slow = hatchet.task({ name: 'ts-slow', fn: async (_, ctx) => { while (!ctx.cancelled) await sleep(50); return {}; } });
const parent = hatchet.task({
  name: 'ts-parent',
  fn: async (_, ctx) => ({ child: (await ctx.runChild(echo, { word: 'child' })).word }),
});
const onEvent = hatchet.task({ name: 'ts-on-event', onEvents: ['ts:wildcard:*'], fn: async (input) => ({ word: input.word }) });
const dag = hatchet.workflow({ name: 'ts-dag' });
const left = dag.task({ name: 'left', fn: async () => ({ n: 1 }) });
const right = dag.task({ name: 'right', fn: async () => ({ n: 2 }) });
dag.task({
  name: 'both',
  parents: [left, right],
  fn: async (_, ctx) => ({ n: (await ctx.parentOutput(left)).n + (await ctx.parentOutput(right)).n }),
});
const broken = hatchet.workflow({ name: 'ts-broken' });
broken.task({ name: 'boom', fn: async () => { throw new Error('boom'); } });
broken.onFailure({ name: 'rescue', fn: async (_, ctx) => ({ failed: Object.keys(ctx.errors()) }) });

async function eventually(condition, what) {
  for (let n = 0; n < 150; n += 1) {
    const value = await condition();
    if (value) return value;
    await sleep(100);
  }
  throw new Error(`timed out: ${what}`);
}

const cases = {
  run: async () => assert.equal((await echo.run({ word: 'ä<&>' })).word, 'ä<&>'),
  many: async () => {
    const results = await echo.run([...Array(20).keys()].map((n) => ({ word: `${n}` })));
    assert.deepEqual(results.map((r) => r.word), [...Array(20).keys()].map(String));
  },
  retries: async () => assert.equal((await flaky.run({})).attempt, 2),
  fatal: async () => assert.match(String(await fatal.run({}).catch((e) => e)), /fatal in attempt 0/),
  child: async () => assert.equal((await parent.run({})).child, 'child'),
  severalTasks: async () => assert.equal((await dag.run({})).both.n, 3),
  onFailure: async () => {
    const ref = await broken.runNoWait({});
    const id = await ref.getWorkflowRunId();
    await assert.rejects(ref.output);
    const details = await hatchet.runs.get(id);
    assert.equal(details.data?.run?.status ?? details.run.status, 'FAILED');
  },
  cancel: async () => {
    const id = await (await slow.runNoWait({})).getWorkflowRunId();
    const status = async () => hatchet.runs.get_status(id);
    await eventually(async () => (await status()) === 'RUNNING', 'the run is running');
    await hatchet.runs.cancel({ ids: [id] });
    await eventually(async () => (await status()) === 'CANCELLED', 'the run is cancelled');
  },
  events: async () => {
    const { eventId } = await hatchet.events.push('ts:wildcard:x', { word: 'pushed' });
    const rows = async () => (await hatchet.runs.list({ workflowNames: ['ts-on-event'], onlyTasks: true })).rows;
    const row = await eventually(async () => (await rows()).find((r) => r.status === 'COMPLETED'), 'a run');
    assert.equal(row.additionalMetadata.hatchet__event_id, eventId);
  },
  schedules: async () => {
    const created = await hatchet.scheduled.create(echo, { triggerAt: new Date(Date.now() + 86400000), input: { word: 'x' } });
    assert.equal((await hatchet.scheduled.get(created)).metadata.id, created.metadata.id);
    await hatchet.scheduled.delete(created);
  },
  crons: async () => {
    const created = await hatchet.crons.create(echo, { name: 'ts', expression: '0 0 1 1 *', input: { word: 'x' } });
    assert.equal((await hatchet.crons.get(created)).cron, '0 0 1 1 *');
    await hatchet.crons.delete(created);
  },
};

async function main() {
  const workflows = [echo, flaky, fatal, slow, parent, onEvent, dag, broken];
  const worker = await hatchet.worker('ts-worker', { workflows, slots: 20 });
  worker.start().catch((error) => { console.error(error); process.exit(1); });
  await worker.waitUntilReady(30000);
  let failed = 0;
  for (const [name, body] of Object.entries(cases)) {
    try {
      await body();
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}\n${error.stack ?? error}`);
    }
  }
  console.log(`${Object.keys(cases).length - failed} of ${Object.keys(cases).length} passed`);
  await worker.stop();
  process.exit(failed ? 1 : 0);
}

main();
