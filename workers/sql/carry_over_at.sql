-- The cases $1 keep the earlier time at which they were found over, so that their tombstones are not kept afresh.
UPDATE case_state c
   SET over_at = x.over_at
  FROM unnest($1::uuid[], $2::timestamptz[]) AS x(case_id, over_at)
 WHERE c.case_id = x.case_id AND c.over_at > x.over_at
