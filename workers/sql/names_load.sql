SELECT d.kind, d.organization_id, d.entity_id, d.status, d.name, d.detail, d.picture, d.parent_id
  FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id)
  JOIN directory d ON d.kind = x.kind AND d.organization_id = x.organization_id AND d.entity_id = x.entity_id
