INSERT INTO ctl.audit (client, gen, command, topic, detail)
VALUES ($1::text, $2::integer, 'repair', $3::text, $4::text::jsonb)
