-- What a rendering of all rows starts with: the number of the last directory change, and the blocks of case_state. A row
-- that is stored behind them was written since, and is rendered by the batch that writes it.
SELECT k.no, pg_relation_size('case_state') / current_setting('block_size')::bigint AS blocks
  FROM ctl.dir_clock k
 WHERE k.gen = $1::integer
