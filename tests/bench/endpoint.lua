-- For wrk: asks for many agents with their tokens. The file named by BENCH_REQUESTS has one line a request: path, tab,
-- token. With BENCH_TRACES each has a traceparent of its own. Each thread goes through the list from a place of its own,
-- so that threads do not ask for the same agents.
local threads = 0

function setup(thread)
    thread:set("place", threads)
    threads = threads + 1
end

function init(args)
    requests = {}
    for line in io.lines(os.getenv("BENCH_REQUESTS")) do
        local path, token = line:match("^(%S+)\t(%S+)$")
        local fields = {["Authorization"] = "Bearer " .. token}
        if os.getenv("BENCH_TRACES") then
            fields["traceparent"] = string.format("00-%032x-%016x-01", #requests + 1, #requests + 1)
        end
        requests[#requests + 1] = wrk.format("GET", path, fields)
    end
    at = math.floor(#requests * place / 8) % #requests
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        "BENCH requests=%d us=%d p50_us=%d p99_us=%d connect=%d read=%d write=%d status=%d timeout=%d bytes=%d\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect, e.read, e.write, e.status, e.timeout, summary.bytes))
end
