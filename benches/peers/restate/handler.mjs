// A virtual object that reads and writes its state: what benches/src/durable.rs lets a function of Weir do.
import * as restate from "@restatedev/restate-sdk";

// the SDK uses it, Node 20 has it not yet
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const counter = restate.object({
  name: "counter",
  handlers: {
    add: async (ctx) => {
      const seen = ((await ctx.get("seen")) ?? 0) + 1;
      ctx.set("seen", seen);
      return seen;
    },
  },
});

restate.serve({ services: [counter], port: Number(process.argv[2]) });
