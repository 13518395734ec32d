-- Prints the result of a run as one line of JSON after the word SUMMARY; every script of this folder begins with it.
-- Latencies in ms. failures: answers above 399, and connections that broke or gave no answer in time.

function done(summary, latency)
  local errors = summary.errors
  print(string.format('SUMMARY {"requests": %d, "duration_s": %.6f, "failures": %d, "p50_ms": %.3f, "p99_ms": %.3f}',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
