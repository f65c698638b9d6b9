-- The blocks of case_state. What is stored behind them later is rendered by the batch that writes it.
SELECT pg_relation_size('case_state') / current_setting('block_size')::bigint AS blocks
