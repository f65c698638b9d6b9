-- The partition in which generation $2 is furthest behind generation $1. Topics that it never read do not count: the
-- live one may have cursors of a topic that is no longer used.
SELECT l.topic, l.part, l.next_offset, n.next_offset AS reached, n.state,
       l.next_offset - coalesce(n.next_offset, 0) AS behind
  FROM ctl.cursor l
  LEFT JOIN ctl.cursor n ON n.gen = $2::integer AND n.topic = l.topic AND n.part = l.part
 WHERE l.gen = $1::integer AND coalesce(n.next_offset, 0) < l.next_offset
   AND EXISTS (SELECT FROM ctl.cursor o WHERE o.gen = $2 AND o.topic = l.topic)
 ORDER BY behind DESC, l.topic, l.part
 LIMIT 1
