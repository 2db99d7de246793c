// Concurrency, rate limits, priorities, slots and placement.

const {
  ConcurrencyLimitStrategy, Priority, RateLimitDuration, StickyStrategy, WorkerLabelComparator,
} = require('@hatchet-dev/typescript-sdk/v1');
const { assert, hatchet, sleep, eventually, isStatus, becomes, start } = require('./harness.cjs');
const { echo } = require('./features.cjs');

const STATIC_KEY = 'ts-static';

async function work(input, ctx) {
  for (const end = Date.now() + (input.seconds ?? 0) * 1_000; Date.now() < end && !ctx.cancelled; await sleep(20));
  return { worker: ctx.worker.id(), at: Date.now() };
}
const task = (name, options) => hatchet.task({ name, fn: work, ...options });
const byKey = (limitStrategy, more) => ({ expression: 'input.key', maxRuns: 1, limitStrategy, ...more });

const robin = task('ts-robin', { concurrency: byKey(ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN) });
const replaced = task('ts-replaced', { concurrency: byKey(ConcurrencyLimitStrategy.CANCEL_IN_PROGRESS) });
const refused = task('ts-refused', { concurrency: byKey(ConcurrencyLimitStrategy.CANCEL_NEWEST) });
const debounced = task('ts-debounced', { concurrency: byKey(ConcurrencyLimitStrategy.CANCEL_QUEUED_EXCEPT_NEWEST) });
const dynamic = task('ts-dynamic', {
  concurrency: byKey(ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN, { maxRuns: "input.key == 'two' ? 2 : 1" }),
});
const shared = byKey(ConcurrencyLimitStrategy.GROUP_ROUND_ROBIN, { name: 'ts-shared', isTenantScoped: true });
const sharedOne = task('ts-shared-one', { concurrency: [shared] });
const sharedTwo = task('ts-shared-two', { concurrency: [shared] });
const staticRate = task('ts-static-rate', { rateLimits: [{ staticKey: STATIC_KEY, units: 1 }] });
const dynamicRate = task('ts-dynamic-rate', {
  rateLimits: [{ dynamicKey: "'ts-user-' + input.key", units: 'input.units', limit: 3, duration: RateLimitDuration.HOUR }],
});
const labelled = task('ts-labelled', { desiredWorkerLabels: { zone: { value: 'ts-b', required: true } } });
const grown = task('ts-grown', {
  desiredWorkerLabels: { size: { value: 2, required: true, comparator: WorkerLabelComparator.GREATER_THAN_OR_EQUAL } },
});
const grow = hatchet.task({
  name: 'ts-grow',
  fn: async (_, ctx) => {
    await ctx.worker.upsertLabels({ size: 2 });
    return { worker: ctx.worker.id() };
  },
});
const sticky = hatchet.workflow({ name: 'ts-sticky', sticky: StickyStrategy.HARD });
const first = sticky.task({ name: 'first', fn: work });
sticky.task({ name: 'second', parents: [first], fn: work });
const stickyChild = task('ts-sticky-child', { sticky: StickyStrategy.HARD });
const stickyParent = hatchet.task({
  name: 'ts-sticky-parent',
  sticky: StickyStrategy.HARD,
  fn: async (_, ctx) => ({ parent: ctx.worker.id(), child: (await ctx.runChild(stickyChild, {}, { sticky: true })).worker }),
});

// The worker of these has a single slot.
const ordered = task('ts-ordered');
const releasing = hatchet.task({
  name: 'ts-releasing',
  fn: async (input, ctx) => {
    await ctx.releaseSlot();
    return work(input, ctx);
  },
});
const heavy = task('ts-heavy', { slotCost: 2, scheduleTimeout: '1s' });

// Starts two runs with the same key, the second while the first is running. The first does not end by itself.
async function pair(of, key = 'a') {
  const one = await start(of, { key, seconds: 50 });
  await becomes(one.id, 'RUNNING');
  return [one, await start(of, { key })];
}

const cancel = (...runs) => hatchet.runs.cancel({ ids: runs.map((run) => run.id) });

const cases = {
  round_robin_queues_the_second_run_of_a_key: async () => {
    const [one, two] = await pair(robin);
    await robin.run({ key: 'b' });
    assert(await isStatus(one.id, 'RUNNING'));
    assert(await isStatus(two.id, 'QUEUED'));
    await cancel(one);
    await two.ref.output;
  },
  cancel_in_progress_and_cancel_newest: async () => {
    let [one, two] = await pair(replaced);
    await becomes(one.id, 'CANCELLED');
    await becomes(two.id, 'COMPLETED');
    [one, two] = await pair(refused);
    await becomes(two.id, 'CANCELLED');
    assert(await isStatus(one.id, 'RUNNING'));
    await cancel(one);
  },
  only_the_newest_waiting_run_is_kept: async () => {
    const [one, two] = await pair(debounced);
    const three = await start(debounced, { key: 'a' });
    await becomes(two.id, 'CANCELLED');
    assert(await isStatus(one.id, 'RUNNING'));
    await cancel(one);
    await becomes(three.id, 'COMPLETED');
  },
  limit_by_expression_and_limit_of_the_tenant: async () => {
    const [one, waiting] = await pair(dynamic, 'one');
    const [two, beside] = await pair(dynamic, 'two');
    await beside.ref.output;
    assert(await isStatus(two.id, 'RUNNING'));
    assert(await isStatus(waiting.id, 'QUEUED'));
    await cancel(one, two);
    await waiting.ref.output;
    const begun = await start(sharedOne, { key: 'a', seconds: 50 });
    await becomes(begun.id, 'RUNNING');
    const other = await start(sharedTwo, { key: 'a' });
    await sharedTwo.run({ key: 'b' });
    assert(await isStatus(other.id, 'QUEUED'));
    await cancel(begun);
    await other.ref.output;
  },
  static_rate_limit_spreads_runs_over_windows: async () => {
    await hatchet.ratelimits.upsert({ key: STATIC_KEY, limit: 2, duration: RateLimitDuration.SECOND });
    const begin = Date.now();
    await staticRate.run(Array(5).fill({}));
    assert(Date.now() - begin > 900);
    const [row] = (await hatchet.ratelimits.list({ search: STATIC_KEY })).rows;
    assert.deepEqual([row.limitValue, row.window], [2, '1 SECOND']);
  },
  dynamic_rate_limit_has_a_key_for_each_user: async () => {
    await dynamicRate.run({ key: 'x', units: 2 });
    const waiting = await start(dynamicRate, { key: 'x', units: 2 });
    await dynamicRate.run({ key: 'y', units: 3 });
    await sleep(500);
    assert(await isStatus(waiting.id, 'QUEUED'));
    await hatchet.runs.cancel({ ids: [waiting.id] });
    // A real engine shows used units after about a second.
    const values = async () => {
      const { rows } = await hatchet.ratelimits.list({ search: 'ts-user-' });
      const left = Object.fromEntries(rows.map((row) => [row.key, row.value]));
      return left['ts-user-x'] === 1 && left['ts-user-y'] === 0;
    };
    await eventually(values, 'the used units are shown');
  },
  higher_priority_runs_first: async () => {
    const one = await start(ordered, { seconds: 50 });
    await becomes(one.id, 'RUNNING');
    const low = await start(ordered, {}, { priority: Priority.LOW });
    const high = await start(ordered, {}, { priority: Priority.HIGH });
    await cancel(one);
    assert((await high.ref.output).at < (await low.ref.output).at);
  },
  slots_are_counted_and_released: async () => {
    const unserved = await start(heavy);
    const released = await start(releasing, { seconds: 50 });
    await becomes(released.id, 'RUNNING');
    await ordered.run({});
    assert(await isStatus(released.id, 'RUNNING'));
    await cancel(released);
    // The REST API shows a schedule timeout as a failure.
    await becomes(unserved.id, 'FAILED');
  },
  labels_select_the_worker: async () => {
    const name = async (id) => (await hatchet.workers.get(id)).name;
    assert.match(await name((await labelled.run({})).worker), /ts-b$/);
    for (const value of ['ts-a', 'ts-b']) {
      const { worker } = await echo.run({}, { desiredWorkerLabels: { zone: { value, required: true } } });
      assert.match(await name(worker), new RegExp(`${value}$`));
    }
    const waiting = await start(grown);
    await echo.run({});
    assert(await isStatus(waiting.id, 'QUEUED'));
    const { worker } = await grow.run({});
    assert.equal((await waiting.ref.output).worker, worker);
  },
  tasks_of_a_sticky_workflow_share_a_worker: async () => {
    for (let n = 0; n < 4; n += 1) {
      const result = await sticky.run({});
      assert.equal(result.first.worker, result.second.worker);
      const family = await stickyParent.run({});
      assert.equal(family.child, family.parent);
    }
  },
};

module.exports = {
  ordered,
  workflows: [
    robin, replaced, refused, debounced, dynamic, sharedOne, sharedTwo, staticRate, dynamicRate, labelled, grown, grow, sticky, stickyChild, stickyParent,
  ],
  narrow: [ordered, releasing, heavy],
  cases,
};
