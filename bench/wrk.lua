-- Posts the lines of a file, one JSON body a request, from the first to the last and again from the first.
-- Prints one JSON line with what came of it. For one thread: threads would post the same lines.
local bodies = {}
local at = 0

function init(args)
  for line in io.lines(args[1]) do
    bodies[#bodies + 1] = line
  end
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  if failed > 0 then
    io.write(string.format("connect %d, read %d, write %d, timeout %d\n", errors.connect, errors.read, errors.write, errors.timeout))
  end
  local line = '{"requestCount":%d,"durationSeconds":%.6f,"refusedCount":%d,"failedCount":%d}\n'
  io.write(string.format(line, summary.requests, summary.duration / 1e6, errors.status, failed))
end
