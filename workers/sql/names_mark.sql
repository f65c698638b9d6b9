-- Adds entities that rows will name, in the order of refs, in which concurrent workers wait for each other.
INSERT INTO named (ref)
SELECT x.ref FROM unnest($1::bigint[]) AS x(ref) ORDER BY x.ref
ON CONFLICT (ref) DO NOTHING
