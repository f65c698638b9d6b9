-- Stores the version of an event with equal texts. The change number stays: no row has to be rendered again.
UPDATE directory d
   SET version = x.version
  FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::bigint[]) AS x(kind, organization_id, entity_id, version)
 WHERE d.kind = x.kind AND d.organization_id = x.organization_id AND d.entity_id = x.entity_id
