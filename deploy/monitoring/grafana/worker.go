package main

// Series of the generation that readers see.
const live = ` and on (namespace, job, instance) (caseview_generation_live{@} == 1)`

var worker = board{
	uid:     "caseview-worker",
	title:   "Caseview / Workers",
	says:    "Workers that fold Kafka's records into the view: state, lag, throughput, latency, database.",
	program: "worker",
	topics:  true,
	rows: []row{
		{"State", []panel{
			{kind: now, title: "Workers ready", says: "Workers whose /ready answers 200.", unit: "short", width: 4,
				queries: []query{{`sum(caseview_ready{@})`, ""}}},
			{kind: now, title: "Largest lag", says: "Age of the last record folded, of the partition that is furthest behind.",
				unit: "s", width: 4, queries: []query{{`max(caseview_lag_seconds{@topic}` + live + `)`, ""}},
				limits: []limit{{60, yellow}, {600, red}}},
			{kind: now, title: "Partitions halted", says: "They wait for an operator: `caseview status` says why.", unit: "short",
				width: 4, queries: []query{{`sum(caseview_partitions{@,state="halted"})`, ""}}, limits: []limit{{1, red}}},
			{kind: now, title: "Partitions without a worker", says: "Partitions of the topics that no worker is assigned.",
				unit: "short", width: 4, queries: []query{{
					`sum(max by (namespace, job, generation, topic) (caseview_topic_partitions{@topic}))` +
						` - count(count by (namespace, job, generation, topic, partition) (caseview_partition_state{@topic}))`, ""}},
				limits: []limit{{1, red}}},
			{kind: now, title: "Parked events", says: "Events that could not be used, neither retried nor skipped.", unit: "short",
				width: 4, queries: []query{{`sum(caseview_parked_events{@})`, ""}}, limits: []limit{{1, yellow}}},
			{kind: now, title: "Events missing", says: "Cases and agents that lack an event for longer than gap-alarm-s.",
				unit: "short", width: 4, queries: []query{{`sum(caseview_gap_alarms{@})`, ""}}, limits: []limit{{1, yellow}}},
			{title: "Partitions by state", says: "All partitions that are assigned to a worker.", unit: "short", width: 12,
				stacked: true, queries: []query{{`sum by (state) (caseview_partitions{@})`, "{{state}}"}}},
			{kind: list, title: "Partitions that are not read", says: "Empty when all is well.", unit: "short", width: 12,
				queries: []query{{`caseview_partition_state{@topic,state!="live"}`, ""}}},
		}},
		{"Lag", []panel{
			{title: "Lag in seconds", says: "Of each partition. 0 also while it is not read: see its state.", unit: "s", width: 12,
				queries: []query{{`max by (generation, topic, partition) (caseview_lag_seconds{@topic})`,
					"{{topic}}/{{partition}}, generation {{generation}}"}},
				limits: []limit{{60, yellow}, {600, red}}},
			{title: "Lag in events", says: "Records between the cursors and the ends of the logs.", unit: "short", width: 12,
				stacked: true, queries: []query{{`sum by (generation, topic) (caseview_lag_events{@topic})`,
					"{{topic}}, generation {{generation}}"}}},
			{title: "Names", says: "Time since a worker's rows showed all changes of the directory.", unit: "s", width: 8,
				queries: []query{{`max by (instance) (caseview_names_lag_seconds{@})`, "{{instance}}"}},
				limits:  []limit{{30, yellow}}},
			{title: "Changes of the directory", says: "Number up to which each worker shows them.", unit: "short", width: 8,
				queries: []query{{`max by (instance) (caseview_directory_number{@})`, "{{instance}}"}}},
			{title: "Time until everything is read", says: "At the present rate; -1: unknown.", unit: "s", width: 8,
				queries: []query{{`max by (instance) (caseview_seconds_left{@})`, "{{instance}}"}}},
		}},
		{"Throughput", []panel{
			{title: "Records read", says: "By topic, in a second.", unit: "cps", width: 8, stacked: true,
				queries: []query{{`sum by (kind) (rate(caseview_records_total{@}[$__rate_interval]))`, "{{kind}}"}}},
			{title: "Rows written", says: "By table, in a second.", unit: "cps", width: 8, stacked: true,
				queries: []query{{`sum by (table) (rate(caseview_rows_total{@}[$__rate_interval]))`, "{{table}}"}}},
			{title: "Records read, by worker", says: "About the last ten seconds.", unit: "cps", width: 8,
				queries: []query{{`sum by (instance) (caseview_records_per_second{@})`, "{{instance}}"}}},
			{title: "Batches", says: "Transactions committed, and events folded in each.", unit: "short", width: 8,
				queries: []query{
					{`sum(rate(caseview_batches_total{@}[$__rate_interval]))`, "batches a second"},
					{`sum(rate(caseview_events_total{@}[$__rate_interval])) / sum(rate(caseview_batches_total{@}[$__rate_interval]))`,
						"events in a batch"},
				}},
			{title: "Events without an effect", says: "Seen before, of cases that were over, of types that this version does not know, or without a time.",
				unit: "cps", width: 8, queries: []query{
					{`sum(rate(caseview_duplicates_total{@}[$__rate_interval]))`, "duplicates"},
					{`sum(rate(caseview_over_total{@}[$__rate_interval]))`, "case was over"},
					{`sum(rate(caseview_unknown_types_total{@}[$__rate_interval]))`, "unknown type"},
					{`sum(rate(caseview_undated_total{@}[$__rate_interval]))`, "undated"},
				}},
			{title: "Rows rendered again", says: "Because the directory changed.", unit: "cps", width: 8,
				queries: []query{{`sum(rate(caseview_rerendered_total{@}[$__rate_interval]))`, "rows"}}},
		}},
		{"Events", []panel{
			{title: "Events parked", says: "By reason, in a second.", unit: "cps", width: 8, stacked: true,
				queries: []query{{`sum by (reason) (rate(caseview_parked_total{@}[$__rate_interval])) > 0`, "{{reason}}"}}},
			{title: "Degraded and incomplete", says: "Cases and agents with a missing event; cases without a snapshot.",
				unit: "short", width: 8, queries: []query{
					{`sum(caseview_degraded{@})`, "degraded"},
					{`sum(caseview_incomplete{@})`, "incomplete"},
					{`sum(caseview_gap_alarms{@})`, "degraded for longer than gap-alarm-s"},
				}},
			{kind: list, title: "Generations", says: "The generation that each worker fills; only the one that is live is seen by readers.",
				unit: "short", width: 8, queries: []query{{
					`count_values by (job, instance) ("generation", caseview_generation{@})` +
						` * on (job, instance) group_left (live) count_values by (job, instance) ("live", caseview_generation_live{@})` +
						` * on (job, instance) group_left (deferred) count_values by (job, instance) ("deferred", caseview_generation_deferred{@})`, ""}}},
		}},
		{"Latency", []panel{
			{title: "Events become visible", says: "From a record's timestamp to its commit, the oldest of each batch.", unit: "s",
				width: 8, queries: quantiles("caseview_visible_seconds"), limits: []limit{{5, yellow}}},
			{title: "Commits", says: "From sending a batch to its acknowledged commit.", unit: "s", width: 8,
				queries: quantiles("caseview_commit_seconds"), limits: []limit{{1, yellow}}},
			{title: "Folding", says: "Decoding and folding a chunk of records, reads of missing rows included.", unit: "s", width: 8,
				queries: quantiles("caseview_fold_seconds")},
		}},
		{"Database", []panel{
			{title: "Batches refused or sent again", says: "Refused by the fence or by a revision; sent again after a lock.", unit: "cps",
				width: 8, queries: []query{
					{`sum(rate(caseview_fenced_total{@}[$__rate_interval]))`, "another claim"},
					{`sum(rate(caseview_refolds_total{@}[$__rate_interval]))`, "another writer"},
					{`sum(rate(caseview_retries_total{@}[$__rate_interval]))`, "sent again"},
				}},
			{title: "Recoveries", says: "Starts from the cursors, by worker.", unit: "cps", width: 8,
				queries: []query{{`sum by (instance) (rate(caseview_recoveries_total{@}[$__rate_interval]))`, "{{instance}}"}}},
			{title: "Claims", says: "Partitions claimed, claims refused, and claims whose last record was no longer in the log.",
				unit: "cps", width: 8, queries: []query{
					{`sum(rate(caseview_claims_total{@}[$__rate_interval]))`, "claimed"},
					{`sum(rate(caseview_claims_refused_total{@}[$__rate_interval]))`, "refused"},
					{`sum(rate(caseview_unproven_total{@}[$__rate_interval]))`, "unproven"},
				}},
		}},
		{"Kafka", []panel{
			{title: "Connections to brokers", says: "A worker without any learns of no newer record.", unit: "short", width: 8,
				queries: []query{{`sum by (instance) (caseview_broker_connections{@})`, "{{instance}}"}}},
			{title: "Rebalances", says: "Assignments by the consumer group within 5 minutes.", unit: "short", width: 8,
				queries: []query{{`sum by (instance) (increase(caseview_rebalances_total{@}[5m]))`, "{{instance}}"}}},
			{title: "Errors of the client", says: "Logged by the Kafka client, in a second.", unit: "cps", width: 8,
				queries: []query{{`sum by (instance) (rate(caseview_consumer_errors_total{@}[$__rate_interval]))`, "{{instance}}"}}},
		}},
		{"Process", append(process, []panel{
			{title: "Cache", says: "Memory of cached states and names; half of the option memory at most.", unit: "bytes", width: 8,
				queries: []query{
					{`sum by (instance) (caseview_cache_bytes{@})`, "{{instance}}"},
					{`max(caseview_memory_option_bytes{@}) / 2`, "half of memory"},
				}},
			{title: "Cached cases", says: "Case states in memory.", unit: "short", width: 8,
				queries: []query{{`sum by (instance) (caseview_cached_cases{@})`, "{{instance}}"}}},
			{title: "Age of the loop", says: "Since a worker's loop began its present turn. Its other gauges are as old.", unit: "s",
				width: 8, queries: []query{{`max by (instance) (caseview_loop_age_seconds{@})`, "{{instance}}"}},
				limits: []limit{{60, red}}},
		}...)},
	},
}
