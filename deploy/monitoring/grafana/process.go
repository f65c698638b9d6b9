package main

func quantiles(name string) []query {
	rate := `sum by (le) (rate(` + name + `_bucket{@}[$__rate_interval])))`
	return []query{
		{`histogram_quantile(0.5, ` + rate, "median"},
		{`histogram_quantile(0.99, ` + rate, "99 %"},
		{`sum(rate(` + name + `_sum{@}[$__rate_interval])) / sum(rate(` + name + `_count{@}[$__rate_interval]))`, "mean"},
	}
}

// What every program has.
var process = []panel{
	{title: "CPU", says: "Processors used.", unit: "short", width: 8,
		queries: []query{{`sum by (instance) (rate(process_cpu_seconds_total{@}[$__rate_interval]))`, "{{instance}}"}}},
	{title: "Memory", says: "Resident memory, and the limit of the container where there is one.", unit: "bytes", width: 8,
		queries: []query{
			{`max by (instance) (process_resident_memory_bytes{@})`, "{{instance}}"},
			{`min(caseview_memory_limit_bytes{@})`, "limit"},
		}},
	{title: "File descriptors", says: "Open, in per cent of the limit.", unit: "percentunit", width: 8, upTo: 1,
		queries: []query{{`max by (instance) (process_open_fds{@} / process_max_fds{@})`, "{{instance}}"}},
		limits:  []limit{{0.9, yellow}}},
	{title: "Clock", says: "Difference to the clock of Prometheus.", unit: "s", width: 8,
		queries: []query{{`max by (instance) (abs(caseview_clock_seconds{@} - timestamp(caseview_clock_seconds{@})))`, "{{instance}}"}},
		limits:  []limit{{5, yellow}}},
	{title: "Up", says: "Time since the start of each process.", unit: "s", width: 8,
		queries: []query{{`max by (instance) (time() - process_start_time_seconds{@})`, "{{instance}}"}}},
	{kind: list, title: "Versions", says: "Of each process.", unit: "short", width: 8,
		queries: []query{{`caseview_build_info{@}`, ""}}},
}
