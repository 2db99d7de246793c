// Uses each feature of the TypeScript SDK once and prints the results, with the workers and the caller in one process.
// Runs the cases whose names are the arguments, or all.

const { assert, hatchet, sleep } = require('./harness.cjs');

const files = ['features', 'workflows', 'limits', 'manage', 'rust_tasks'].map((file) => require(`./${file}.cjs`));
const TIMEOUT_MS = 60_000;

async function startWorker(name, options) {
  const worker = await hatchet.worker(name, { labels: { zone: name }, ...options });
  worker.start().catch((error) => { console.error(error); process.exit(1); });
  await worker.waitUntilReady(30_000);
  return worker;
}

async function main() {
  const workflows = files.flatMap((file) => file.workflows);
  const narrow = files.flatMap((file) => file.narrow ?? []);
  const workers = [
    await startWorker('ts-a', { workflows, slots: 20 }),
    await startWorker('ts-b', { workflows, slots: 20 }),
    await startWorker('ts-narrow', { workflows: narrow, slots: 1 }),
  ];
  const selected = process.argv.slice(2);
  const cases = files.flatMap((file) => Object.entries(file.cases));
  const chosen = cases.filter(([name]) => selected.length === 0 || selected.includes(name));
  let passed = 0;
  for (const [name, body] of chosen) {
    const begin = Date.now();
    try {
      await Promise.race([body(), sleep(TIMEOUT_MS).then(() => assert.fail('timed out'))]);
      passed += 1;
      console.log(`ok   ${name} ${((Date.now() - begin) / 1000).toFixed(1)}s`);
    } catch (error) {
      console.log(`FAIL ${name}\n${error.stack ?? error}`);
    }
  }
  console.log(`${passed} of ${chosen.length} passed`);
  await Promise.all(workers.map((worker) => worker.stop()));
  process.exit(passed === chosen.length ? 0 : 1);
}

main();
