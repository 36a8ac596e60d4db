// Steady load on the balancer: requests are due at a fixed rate, whatever became of the earlier ones.
//
// In the stack: docker compose --profile load up -d
// By hand:      k6 run -e TARGET=http://127.0.0.1:8080/ -e RATE=300 -e DURATION=5m loadtest/k6/steady.js

import http from "k6/http";
import { check } from "k6";
import { Counter } from "k6/metrics";

const target = __ENV.TARGET || "http://127.0.0.1:8080/";
const rate = Number(__ENV.RATE || 300);

// Who answered, as the client sees it; Prometheus knows it as k6_answers_total{backend}.
const answers = new Counter("answers");

export const options = {
  scenarios: {
    steady: {
      // An open loop: a closed one would ask less while the balancer hangs, and so not see it.
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      duration: __ENV.DURATION || "5m",
      // Enough for answers that take 200 ms; more are made when they take a second, which loses some requests.
      preAllocatedVUs: Math.ceil(rate / 5),
      maxVUs: rate + 50,
    },
  },
  thresholds: {
    // The promise of the balancer: one backend of three may die and no client notices.
    http_req_failed: ["rate==0"],
    // Requests that were due and not sent say nothing of the balancer; the run was not what it claims to be.
    dropped_iterations: ["count==0"],
    http_req_duration: ["p(99)<250"],
  },
  // The address in every series would be one more label of no use.
  systemTags: ["status", "method", "scenario", "expected_response", "error_code"],
  discardResponseBodies: true,
};

export default function () {
  const response = http.get(target, { timeout: "10s" });
  check(response, { "answered 200": (answer) => answer.status === 200 });
  answers.add(1, { backend: response.headers["X-Plimsoll-Backend"] || "none" });
}
