-- An operator's batch shows all directory changes up to $3 only: its rows may have been passed by a round with later
-- ones, which then begins again. After the claim, so that no batch of the owner can follow.
DELETE FROM names_progress p
 USING unnest($1::boolean[], $2::integer[]) AS x(agents, part)
 WHERE p.agents = x.agents AND p.part = x.part AND p.change_no > $3::bigint
