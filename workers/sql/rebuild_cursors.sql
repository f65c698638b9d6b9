-- The cursors of a generation. Names of its rows are shown up to dir_no, -1: nothing is rendered yet.
SELECT topic, part, next_offset, state, reason, dir_no,
       complete_at IS NOT NULL AND complete_at > now() - interval '30 s' AS complete
  FROM ctl.cursor
 WHERE gen = $1::integer
 ORDER BY topic, part
