INSERT INTO ctl.audit (gen, topic, part, reason, client, command, detail)
VALUES ($1::integer, $2::text, $3::integer, $4::text, $5::text, $6::text,
        jsonb_build_object('offset', $7::bigint, 'tried', $8::bigint, 'folded', $9::bigint))
