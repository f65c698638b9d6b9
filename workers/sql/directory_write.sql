-- Writes the entities of a batch that have a visible change. nth: place among them, counted from the last (0).
INSERT INTO directory AS t (kind, organization_id, entity_id, status, version, change_no, name, detail, picture, parent_id,
                            roles, enabled)
SELECT x.kind, x.organization_id, x.entity_id, x.status, x.version, clock.no - x.nth, x.name, x.detail, x.picture,
       x.parent_id, CASE WHEN x.roles IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(x.roles::jsonb)) END, x.enabled
  FROM (SELECT no FROM ctl.dir_clock WHERE gen = $1::integer) AS clock,
       unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::smallint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[],
              $10::text[], $11::uuid[], $12::text[], $13::boolean[])
       AS x(kind, organization_id, entity_id, status, version, nth, name, detail, picture, parent_id, roles, enabled)
ON CONFLICT (kind, organization_id, entity_id) DO UPDATE
   SET status = excluded.status, version = excluded.version, change_no = excluded.change_no, name = excluded.name,
       detail = excluded.detail, picture = excluded.picture, parent_id = excluded.parent_id, roles = excluded.roles,
       enabled = excluded.enabled
