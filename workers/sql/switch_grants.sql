-- How the rights of others than the owner differ between schema $1, which readers see now, and schema $2: on the schema, its
-- relations and their columns. `what` names a right; `change` says what the switch would do with it: `lose`, `gain`, or
-- `missing`, where $2 has no such relation. `command` makes $2 like $1. Revocations come first: that of a right on a
-- relation revokes those on its columns, too.
WITH relation AS (
    SELECT v.views, n.oid AS schema, n.nspowner, n.nspacl, c.oid, c.relname, c.relowner, c.relacl
      FROM unnest(ARRAY[$1::text, $2::text]) AS v(views)
      JOIN pg_namespace n ON n.nspname = v.views
      LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
), granted AS (
    SELECT DISTINCT r.views, '' AS name, '' AS col, a.grantee, a.privilege_type, a.is_grantable
      FROM relation r
     CROSS JOIN LATERAL aclexplode(coalesce(r.nspacl, acldefault('n', r.nspowner))) AS a
     WHERE a.grantee <> r.nspowner
     UNION
    SELECT r.views, r.relname, '', a.grantee, a.privilege_type, a.is_grantable
      FROM relation r
     CROSS JOIN LATERAL aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
     WHERE a.grantee <> r.relowner
     UNION
    SELECT r.views, r.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
      FROM relation r
      JOIN pg_attribute t ON t.attrelid = r.oid AND t.attacl IS NOT NULL
     CROSS JOIN LATERAL aclexplode(t.attacl) AS a
     WHERE a.grantee <> r.relowner
), differing AS (
    SELECT CASE WHEN g.views = $2 THEN 'gain'
                WHEN g.name <> '' AND NOT EXISTS (SELECT FROM relation r WHERE r.views = $2 AND r.relname = g.name) THEN 'missing'
                ELSE 'lose' END AS change,
           g.*,
           EXISTS (SELECT
                     FROM granted h
                    WHERE h.views <> g.views AND h.name = g.name AND h.col = g.col AND h.grantee = g.grantee
                      AND h.privilege_type = g.privilege_type) AS only_option, -- the other one has it without the option
           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END AS role,
           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS quoted_role,
           g.privilege_type || CASE g.col WHEN '' THEN '' ELSE format(' (%I)', g.col) END AS privilege,
           CASE g.name WHEN '' THEN format('SCHEMA %I', $2) ELSE format('%I.%I', $2, g.name) END AS object
      FROM granted g
     WHERE NOT EXISTS (SELECT
                         FROM granted h
                        WHERE h.views <> g.views AND h.name = g.name AND h.col = g.col AND h.grantee = g.grantee
                          AND h.privilege_type = g.privilege_type AND h.is_grantable >= g.is_grantable)
       AND (g.views = $1 OR g.name = '' OR EXISTS (SELECT FROM relation r WHERE r.views = $1 AND r.relname = g.name))
)
SELECT format('%s on %s%s to %s%s', d.privilege_type, CASE d.name WHEN '' THEN 'the schema' ELSE d.name END,
              CASE d.col WHEN '' THEN '' ELSE format(' (%s)', d.col) END, d.role,
              CASE WHEN d.only_option THEN ' with grant option' ELSE '' END) AS what,
       d.change,
       CASE d.change
           WHEN 'lose' THEN format('GRANT %s ON %s TO %s%s', d.privilege, d.object, d.quoted_role,
                                   CASE WHEN d.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
           WHEN 'gain' THEN format('REVOKE %s%s ON %s FROM %s CASCADE',
                                   CASE WHEN d.only_option THEN 'GRANT OPTION FOR ' ELSE '' END, d.privilege, d.object,
                                   d.quoted_role)
       END AS command
  FROM differing d
 ORDER BY d.change, what
