-- What a drop of these schemas ($1) would break or take with it: objects elsewhere that depend on their tables and views,
-- and relations in them that are not ours ($2).
SELECT string_agg(DISTINCT name, ', ' ORDER BY name) AS names
  FROM (SELECT coalesce(view.oid::regclass::text, pg_describe_object(d.classid, d.objid, d.objsubid)) AS name
          FROM pg_class ours
          JOIN pg_namespace n ON n.oid = ours.relnamespace AND n.nspname = ANY ($1::text[])
          JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = ours.oid AND d.deptype = 'n'
          LEFT JOIN pg_rewrite rule ON d.classid = 'pg_rewrite'::regclass AND rule.oid = d.objid
          LEFT JOIN pg_class view ON view.oid = rule.ev_class
          LEFT JOIN pg_namespace elsewhere ON elsewhere.oid = view.relnamespace
         WHERE view.oid IS NULL OR elsewhere.nspname <> ALL ($1)
         UNION
        SELECT c.oid::regclass::text
          FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY ($1)
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname <> ALL ($2::text[])) AS found
