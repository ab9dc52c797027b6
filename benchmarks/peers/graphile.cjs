// graphile-worker as its documentation tunes it for throughput. Arguments: folder of node_modules, verb, …
//   install DSN     make its schema
//   work DSN        work until SIGTERM: local queue of 1000, 100 slots, completions batched
//   add JOBS DSN    add jobs in one call of addJobs; prints the seconds it took

const { createRequire } = require("node:module");
const [folder, verb, ...rest] = process.argv.slice(2);
const { Logger, makeWorkerUtils, run, runMigrations } = createRequire(`${folder}/`)("graphile-worker");

const connectionString = rest.at(-1);
const logger = new Logger(() => () => {}); // a line for each job would cost it a third of its speed

async function work() {
  const runner = await run({
    connectionString,
    logger,
    taskList: { noop: async () => {} },
    preset: {
      worker: {
        concurrentJobs: 100,
        maxPoolSize: 20,
        localQueue: { size: 1000 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  await runner.promise;
}

async function add(count) {
  const utils = await makeWorkerUtils({ connectionString, logger });
  const specs = Array.from({ length: count }, (_, n) => ({ identifier: "noop", payload: { n } }));
  const started = performance.now();
  await utils.addJobs(specs);
  console.log((performance.now() - started) / 1000);
  await utils.release();
}

const verbs = { install: () => runMigrations({ connectionString, logger }), work, add: () => add(Number(rest[0])) };
verbs[verb]().catch((error) => {
  console.error(error);
  process.exit(1);
});
