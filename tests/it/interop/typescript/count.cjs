// A worker with the task `count`, whose recovery times are compared. Needs NODE_PATH, the folder of the SDK.

const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');

const hatchet = HatchetClient.init();
const count = hatchet.task({
  name: 'count',
  executionTimeout: '15s',
  retries: 10,
  fn: async (_, ctx) => ({ attempt: ctx.retryCount() }),
});

hatchet.worker('count', { workflows: [count], slots: 100 }).then((worker) => worker.start());
