-- Posts the lines of a file, one body a request, from the first to the last and again from the first. The fields of its
-- header come from the command line. Prints one JSON line with what came of it. For one thread: threads would post the same lines.
local threads = {}
local bodies = {}
sentCount = 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  for line in io.lines(args[1]) do
    bodies[#bodies + 1] = line
  end
  wrk.method = "POST"
end

function request()
  local body = bodies[sentCount % #bodies + 1]
  sentCount = sentCount + 1
  return wrk.format(nil, nil, nil, body)
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  if failed > 0 then
    io.write(string.format("connect %d, read %d, write %d, timeout %d\n", errors.connect, errors.read, errors.write, errors.timeout))
  end
  local line = '{"requestCount":%d,"durationSeconds":%.6f,"refusedCount":%d,"failedCount":%d,"sentCount":%d}\n'
  io.write(string.format(line, summary.requests, summary.duration / 1e6, errors.status, failed, threads[1]:get("sentCount")))
end
