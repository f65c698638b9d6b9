-- How far these partitions of the case and the agent topic show changes after their dir_no.
SELECT agents, part, change_no, everything, stage, organization_id, id
  FROM names_progress
 WHERE part = ANY (CASE WHEN agents THEN $2::integer[] ELSE $1::integer[] END)
