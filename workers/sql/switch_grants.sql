-- Grants on the views in schema $1, on their columns and on the schema itself, to others than its owner and our two roles,
-- that the same view in schema $2 does not have. `what` names one, `command` repeats it there.
WITH granted AS (
    SELECT v.views, '' AS view, '' AS col, a.grantee, a.privilege_type, a.is_grantable
      FROM unnest(ARRAY[$1::text, $2::text]) AS v(views)
      JOIN pg_namespace n ON n.nspname = v.views
     CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
     WHERE a.grantee <> n.nspowner
     UNION ALL
    SELECT v.views, c.relname, '', a.grantee, a.privilege_type, a.is_grantable
      FROM unnest(ARRAY[$1, $2]) AS v(views)
      JOIN pg_namespace n ON n.nspname = v.views
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'v'
     CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
     WHERE a.grantee <> c.relowner
     UNION ALL
    SELECT v.views, c.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
      FROM unnest(ARRAY[$1, $2]) AS v(views)
      JOIN pg_namespace n ON n.nspname = v.views
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'v'
      JOIN pg_attribute t ON t.attrelid = c.oid AND t.attacl IS NOT NULL
     CROSS JOIN LATERAL aclexplode(t.attacl) AS a
     WHERE a.grantee <> c.relowner
)
SELECT format('%s on %s%s to %s', g.privilege_type, CASE g.view WHEN '' THEN 'the schema' ELSE g.view END,
              CASE g.col WHEN '' THEN '' ELSE format(' (%s)', g.col) END,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END) AS what,
       format('GRANT %s%s ON %s TO %s%s', g.privilege_type, CASE g.col WHEN '' THEN '' ELSE format(' (%I)', g.col) END,
              CASE g.view WHEN '' THEN format('SCHEMA %I', $2) ELSE format('%I.%I', $2, g.view) END,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS command
  FROM granted g
 WHERE g.views = $1
   AND g.grantee NOT IN (SELECT oid FROM pg_roles WHERE rolname IN ('caseview_reader', 'caseview_worker'))
   AND NOT EXISTS (SELECT
                     FROM granted h
                    WHERE h.views = $2 AND h.view = g.view AND h.col = g.col AND h.grantee = g.grantee
                      AND h.privilege_type = g.privilege_type AND h.is_grantable >= g.is_grantable)
 ORDER BY 1
