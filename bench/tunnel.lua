-- Prints one JSON line with what came of it, the median latency in microseconds included.
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  local line = '{"requestCount":%d,"durationSeconds":%.6f,"refusedCount":%d,"failedCount":%d,"medianMicroseconds":%.1f}\n'
  io.write(string.format(line, summary.requests, summary.duration / 1e6, errors.status, failed, latency:percentile(50)))
end
