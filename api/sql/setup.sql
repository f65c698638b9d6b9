-- For every connection of the API. The statements are a few index look-ups, independent of statistics: one plan
-- for all calls, nested loops, no compiling, no parallel workers. Nothing is ever written.
set plan_cache_mode = force_generic_plan;
set enable_hashjoin = off;
set enable_material = off;
set enable_mergejoin = off;
set enable_seqscan = off;
set jit = off;
set max_parallel_workers_per_gather = 0;
set default_transaction_read_only = on;
-- The API gives up then, too (api/lookup_stream.c): no statement goes on without a waiter.
set statement_timeout = '2s';
