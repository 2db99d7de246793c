// The client, and functions that all cases use. Needs NODE_PATH, the folder of the SDK.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');

const hatchet = HatchetClient.init();
// Selects the runs of this program in lists: an engine may have runs of earlier programs.
const PROGRAM = randomUUID();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until a condition returns a value that is true.
async function eventually(condition, what) {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(100)) {
    const value = await condition();
    if (value) return value;
  }
  throw new Error(`timed out: ${what}`);
}

// The name with the namespace of the environment, as the REST API shows it.
const named = (name) => (hatchet.config.namespace ?? '') + name;

// A real engine may not find a new run for up to a second.
const orMissing = (error) => { if (error.response?.status !== 404) throw error; };
const isStatus = async (id, status) => (await hatchet.runs.get_status(id).catch(orMissing)) === status;
const becomes = (id, status) => eventually(() => isStatus(id, status), `${id} is ${status}`);

// Starts a run and returns its reference and its id.
async function start(task, input = {}, options = {}) {
  const ref = typeof task === 'string' ? await hatchet.runNoWait(task, input, options) : await task.runNoWait(input, options);
  return { ref, id: await ref.getWorkflowRunId() };
}

const list = async (by) => (await hatchet.runs.list({ onlyTasks: true, includePayloads: true, ...by })).rows;
const withMetadata = (additionalMetadata) => list({ additionalMetadata, onlyTasks: false });

async function errorOf(promise) {
  try {
    return assert.fail(`succeeded with ${JSON.stringify(await promise)}`);
  } catch (error) {
    return Array.isArray(error) ? error.map(String).join('\n') : String(error?.message ?? error);
  }
}

const logLines = async (id) => ((await hatchet.logs.list(id)).rows ?? []).map((row) => row.message).sort();

// Runs a task that repeats a chunk until the file of its input exists, and returns the other chunks and the id of the run.
// The file contains the latest chunk.
async function chunks(task) {
  const folder = mkdtempSync(join(tmpdir(), 'stream-'));
  try {
    const word = join(folder, 'received');
    const { id } = await start(task, { word });
    const read = [];
    for await (const chunk of hatchet.runs.subscribeToStream(id)) {
      writeFileSync(word, chunk);
      if (chunk !== 'repeated;') read.push(chunk);
    }
    return { read, id };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

module.exports = { PROGRAM, assert, hatchet, sleep, eventually, isStatus, becomes, start, list, withMetadata, errorOf, logLines, chunks, named };
