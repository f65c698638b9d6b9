-- One page of the directory of a generation, after a key; with it when it is where the first page begins ($4). The
-- columns are those of directory_load.sql. A forgotten entity has nothing to carry over.
SELECT kind, organization_id, entity_id, status, version, name, detail, picture, parent_id, to_jsonb(roles)::text AS roles,
       enabled
  FROM directory
 WHERE (kind, organization_id, entity_id) >= ($1::integer, $2::uuid, $3::uuid)
   AND ($4::boolean OR (kind, organization_id, entity_id) > ($1, $2, $3)) AND status <> 0
 ORDER BY kind, organization_id, entity_id
 LIMIT 5000
