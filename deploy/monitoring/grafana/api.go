package main

var api = board{
	uid:     "caseview-api",
	title:   "Caseview / API",
	says:    "Processes that answer List Active Cases: state, requests, latency, database, connections, tokens.",
	program: "api",
	rows: []row{
		{"State", []panel{
			{kind: now, title: "Processes ready", says: "Whose /ready answers 200.", unit: "short", width: 4,
				queries: []query{{`sum(caseview_ready{@})`, ""}}},
			{kind: now, title: "Requests", says: "In a second.", unit: "reqps", width: 4,
				queries: []query{{`sum(rate(caseview_api_requests_total{@}[$__rate_interval]))`, ""}}},
			{kind: now, title: "Unavailable", says: "Share of requests with 503, lists that are too long included.", unit: "percentunit",
				width: 4, queries: []query{{
					`sum(rate(caseview_api_requests_total{@,status="503"}[$__rate_interval]))` +
						` / sum(rate(caseview_api_requests_total{@}[$__rate_interval]))`, ""}},
				limits: []limit{{0.01, yellow}, {0.1, red}}},
			{kind: now, title: "Latency, 99 %", says: "One request in a hundred takes longer.", unit: "s", width: 4,
				queries: []query{quantiles("caseview_api_request_seconds")[1]}, limits: []limit{{0.25, yellow}, {1, red}}},
			{kind: now, title: "Usable keys", says: "Of the process that has the fewest; 0: it refuses every token.", unit: "short",
				width: 4, queries: []query{{`min(caseview_api_keys{@})`, ""}}},
			{kind: now, title: "Certificate ends in", says: "Only where the API speaks TLS itself.", unit: "s", width: 4,
				queries: []query{{`min(caseview_api_certificate_expiry_timestamp_seconds{@} - time())`, ""}}},
		}},
		{"Requests", []panel{
			{title: "Answers by status", says: "In a second.", unit: "reqps", width: 12, stacked: true,
				queries: []query{{`sum by (status) (rate(caseview_api_requests_total{@}[$__rate_interval])) > 0`, "{{status}}"}}},
			{title: "Refused", says: "503, and of these lists that are longer than allowed.", unit: "reqps", width: 12,
				queries: []query{
					{`sum(rate(caseview_api_requests_total{@,status="503"}[$__rate_interval]))`, "503"},
					{`sum(rate(caseview_api_long_lists_total{@}[$__rate_interval]))`, "list too long"},
				}},
		}},
		{"Latency", []panel{
			{title: "Requests", says: "From the header read to the answer made.", unit: "s", width: 12,
				queries: quantiles("caseview_api_request_seconds"), limits: []limit{{1, yellow}}},
			{title: "Statements", says: "From sending a statement to its answer.", unit: "s", width: 12,
				queries: quantiles("caseview_api_statement_seconds")},
		}},
		{"Database", []panel{
			{title: "Statements", says: "In a second, and distinct questions in each.", unit: "short", width: 8, queries: []query{
				{`sum(rate(caseview_api_batches_total{@}[$__rate_interval]))`, "statements a second"},
				{`sum(rate(caseview_api_batched_requests_total{@}[$__rate_interval])) / sum(rate(caseview_api_batches_total{@}[$__rate_interval]))`,
					"questions in a statement"},
			}},
			{title: "Waiting for the database", says: "Requests, in per cent of max-waiting.", unit: "percentunit", width: 8, upTo: 1,
				queries: []query{{`max by (instance) (caseview_api_waiting{@} / caseview_api_waiting_max{@})`, "{{instance}}"}},
				limits:  []limit{{0.9, red}}},
			{title: "Connections and errors", says: "Processes with a database connection; failed statements and connections.",
				unit: "short", width: 8, queries: []query{
					{`sum(caseview_api_database_connections{@})`, "connected"},
					{`sum(rate(caseview_api_database_errors_total{@}[$__rate_interval]))`, "errors a second"},
				}},
		}},
		{"Connections of clients", []panel{
			{title: "Open", says: "By process.", unit: "short", width: 8,
				queries: []query{{`sum by (instance) (caseview_api_connections{@})`, "{{instance}}"}}},
			{title: "Threads in use", says: "In per cent of the option threads.", unit: "percentunit", width: 8, upTo: 1,
				queries: []query{{`max by (instance) (caseview_api_connections_active{@} / caseview_api_threads{@})`, "{{instance}}"}},
				limits:  []limit{{0.9, yellow}}},
			{title: "Closed or not accepted", says: "Silent connections closed to make room; requests that no thread took within 10 s; connections that could not be accepted.",
				unit: "cps", width: 8, queries: []query{
					{`sum(rate(caseview_api_connections_shed_total{@}[$__rate_interval]))`, "closed to make room"},
					{`sum(rate(caseview_api_connections_unserved_total{@}[$__rate_interval]))`, "no thread in time"},
					{`sum(rate(caseview_api_accept_failures_total{@}[$__rate_interval]))`, "not accepted"},
				}},
		}},
		{"Tokens", []panel{
			{title: "Age of the key set", says: "Time since it was last read.", unit: "s", width: 8,
				queries: []query{{`max by (instance) (caseview_api_key_set_age_seconds{@})`, "{{instance}}"}},
				limits:  []limit{{1800, yellow}}},
			{title: "Failed reads of the key set", says: "In a second; the old set stays in force.", unit: "cps", width: 8,
				queries: []query{{`sum by (instance) (rate(caseview_api_key_set_failures_total{@}[$__rate_interval]))`, "{{instance}}"}}},
			{title: "Remembered tokens", says: "Verified tokens that are not verified again.", unit: "short", width: 8,
				queries: []query{{`sum by (instance) (caseview_api_remembered_tokens{@})`, "{{instance}}"}}},
		}},
		{"Process", process},
	},
}
