// The phases of loadtest/scenarios/restart.yaml for k6: steady load while one backend of three is killed and comes back.
//
// k6 sends and judges; it cannot kill. Run beside it, with the same times:
//   sleep 30; docker compose kill backend-1; sleep 75; docker compose start backend-1
//
// k6 run -e TARGET=http://127.0.0.1:8080/work/2 -e RATE=150 -e BEFORE=30 -e OUTAGE=75 loadtest/k6/restart.js

import http from "k6/http";
import { Counter, Rate } from "k6/metrics";
import exec from "k6/execution";

const target = __ENV.TARGET || "http://127.0.0.1:8080/work/2";
const rate = Number(__ENV.RATE || 150);
const backend = __ENV.BACKEND || "backend-1";

// In seconds. While a backend returns, its share grows, and nothing is demanded of it.
const lengths = {
  before: Number(__ENV.BEFORE || 30),
  outage: Number(__ENV.OUTAGE || 75),
  return: Number(__ENV.RETURN || 20),
  after: Number(__ENV.AFTER || 40),
};

// Who answered, as the client sees it.
const answers = new Counter("answers");

// The share of the backend in question, in each phase a sub-metric of its own.
const share = new Rate("share");

// One scenario after another: each phase has its own name in the results.
function scenarios() {
  const phases = {};
  let begin = 0;
  for (const [name, length] of Object.entries(lengths)) {
    phases[name] = {
      // An open loop: a closed one would ask less while the balancer hangs, and so not see it.
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      startTime: `${begin}s`,
      duration: `${length}s`,
      preAllocatedVUs: Math.ceil(rate / 5),
      maxVUs: rate + 50,
    };
    begin += length;
  }
  return phases;
}

export const options = {
  scenarios: scenarios(),
  thresholds: {
    http_req_failed: ["rate==0"],
    // Requests that were due and not sent say nothing of the balancer; the run was not what it claims to be.
    dropped_iterations: ["count==0"],
    http_req_duration: ["p(99)<500"],
    "share{scenario:before}": ["rate>0.31", "rate<0.36"],
    // Requests of the first moment may still meet the one that was killed by hand a little late.
    "share{scenario:outage}": ["rate<0.02"],
    "share{scenario:after}": ["rate>0.31", "rate<0.36"],
  },
  // The address in every series would be one more label of no use.
  systemTags: ["status", "method", "scenario", "expected_response", "error_code"],
  discardResponseBodies: true,
};

export default function () {
  const response = http.get(target, { timeout: "10s" });
  const name = response.headers["X-Plimsoll-Backend"] || response.headers["X-Server"] || "none";
  answers.add(1, { backend: name, phase: exec.scenario.name });
  share.add(name === backend);
}
