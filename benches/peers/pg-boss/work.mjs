// node work.mjs HOST EVENTS SAMPLES: works a backlog of jobs whose handler does nothing, then one job at a time; prints
// {"perSecond", "startMs"}.
import PgBoss from "pg-boss";

const [host, events, samples] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const boss = new PgBoss({ host, user: "weir", database: "postgres", schema: "boss", supervise: false, schedule: false });
boss.on("error", (error) => { throw error; });
await boss.start();

async function fill(queue) {
  await boss.createQueue(queue);
  for (let first = 0; first < events; first += 1000) {
    const jobs = Array.from({ length: 1000 }, (_, i) => ({ name: queue, data: { id: first + i, note: "x".repeat(180) } }));
    await boss.insert(jobs);
  }
}

// the batch and the workers that were fastest of those tried: it fetches at most twice a second where a batch is small
await fill("backlog");
const started = performance.now();
await new Promise((resolve) => {
  let left = events;
  const work = async (jobs) => { left -= jobs.length; if (left <= 0) resolve(); };
  for (let i = 0; i < 2; i++) boss.work("backlog", { batchSize: 5000, pollingIntervalSeconds: 0.5 }, work);
});
const perSecond = events / ((performance.now() - started) / 1000);
await boss.offWork("backlog");

await boss.createQueue("idle");
let begun;
await boss.work("idle", { pollingIntervalSeconds: 0.5 }, async () => begun());
const times = [];
for (let i = 0; i < samples; i++) {
  await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 500));
  const sent = performance.now();
  const starts = new Promise((resolve) => { begun = resolve; });
  await boss.send("idle", { id: i });
  await starts;
  times.push(performance.now() - sent);
}
times.sort((a, b) => a - b);
console.log(JSON.stringify({ perSecond, startMs: times[Math.floor(times.length / 2)] }));
await boss.stop({ graceful: false, wait: false });
process.exit(0);
