-- One page of directory.
SELECT kind, organization_id, entity_id, status, version, name, detail, picture, parent_id, to_jsonb(roles)::text, enabled,
       change_no
  FROM directory
 WHERE (kind, organization_id, entity_id) > ($1::integer::smallint, $2::uuid, $3::uuid)
 ORDER BY kind, organization_id, entity_id
 LIMIT 1000
