-- Which of these entities a row has ever named.
SELECT n.ref
  FROM unnest($1::bigint[]) AS x(ref), LATERAL (SELECT ref FROM named WHERE ref = x.ref OFFSET 0) AS n
