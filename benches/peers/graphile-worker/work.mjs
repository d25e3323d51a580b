// node work.mjs HOST EVENTS SAMPLES: works a backlog of jobs whose task does nothing, then one job at a time; prints
// {"perSecond", "startMs"}.
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [host, events, samples] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const logger = new Logger(() => () => {});
const connectionString = `postgres://weir@/postgres?host=${encodeURIComponent(host)}`;
const utils = await makeWorkerUtils({ connectionString, logger });
await utils.migrate();

async function fill() {
  const add = `SELECT graphile_worker.add_job('nothing', json_build_object('id', i, 'note', repeat('x', 180)))
    FROM generate_series(1, 1000) i`;
  for (let first = 0; first < events; first += 1000) await utils.withPgClient((client) => client.query(add));
}

// its settings for throughput: jobs are fetched and completed in batches
const preset = {
  worker: { concurrentJobs: 24, maxPoolSize: 10, localQueue: { size: 500, refetchDelay: { durationMs: 10 } }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
};
await fill();
let left = events, done, begun;
const backlog = new Promise((resolve) => { done = resolve; });
const taskList = {
  nothing: async () => { left -= 1; if (left === 0) done(); },
  tell: async () => begun(),
};
const started = performance.now();
let runner = await run({ connectionString, logger, preset, taskList, noHandleSignals: true });
await backlog;
const perSecond = events / ((performance.now() - started) / 1000);
await runner.stop();

// and as it comes where single jobs are to start soon
runner = await run({ connectionString, logger, concurrency: 1, taskList, noHandleSignals: true });
const times = [];
for (let i = 0; i < samples; i++) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  const sent = performance.now();
  const starts = new Promise((resolve) => { begun = resolve; });
  await utils.addJob("tell", { id: i });
  await starts;
  times.push(performance.now() - sent);
}
times.sort((a, b) => a - b);
console.log(JSON.stringify({ perSecond, startMs: times[Math.floor(times.length / 2)] }));
await runner.stop();
process.exit(0);
