-- A command that changes the schema's row in the catalogue, and nothing else: it repeats one of its entries.
SELECT format('GRANT %s ON SCHEMA %I TO %s', a.privilege_type, n.nspname,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) AS command
  FROM pg_namespace n
 CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
 WHERE n.nspname = 'caseview' AND a.grantor = n.nspowner
 ORDER BY a.grantee <> n.nspowner
 LIMIT 1
