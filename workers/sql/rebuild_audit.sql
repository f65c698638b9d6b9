INSERT INTO ctl.audit (gen, reason, client, command, detail)
VALUES ($1::integer, $2::text, $3::text, $4::text, coalesce($5::text::jsonb, '{}'))
