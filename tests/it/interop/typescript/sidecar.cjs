// HatchetEmbeddedClient.init() with the Rust worker as the sidecar.

const { HatchetEmbeddedClient } = require('@hatchet-dev/typescript-sdk/v1/embedded');

async function main() {
  const hatchet = await HatchetEmbeddedClient.init();
  const task = hatchet.task({ name: 'ts-embedded', fn: async () => ({ text: 'from the sidecar' }) });
  const worker = await hatchet.worker('ts-embedded', { workflows: [task] });
  void worker.start();
  console.log((await task.run({})).text);
  await worker.stop();
  await hatchet.stopEmbedded();
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
