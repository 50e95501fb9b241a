-- With BENCH_TOKENS (a file, one token a line) each request carries the next token of it. The requests are written once, before
-- the run. At the end one line of JSON with what was counted.

local requests = {}
local file = os.getenv("BENCH_TOKENS")

if file then
  function init()
    for token in io.lines(file) do
      requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. token, Host = wrk.headers["Host"] })
    end
  end

  local turn = 0
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"bytes":%d,"refused":%d,"broken":%d,"p50Micros":%d,"p99Micros":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
