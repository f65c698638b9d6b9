"""Rows that the database refuses for good: triggers on the tables of a generation, by the ids of the rows."""

from . import naive_fold

REASON = "refused-by-database"
TEXT = "this row is not wanted here"
FUNCTION = f"""
CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{TEXT}' USING ERRCODE = TG_ARGV[0]; END $$"""
TRIGGER = """
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON gen_{gen}.{table} FOR EACH ROW
WHEN (NEW.{column} = ANY ('{{{ids}}}'::uuid[])) EXECUTE FUNCTION public.refuse('{sqlstate}')"""


def refuse(stack, table, column, sqlstate, *ids, gen=1):
    stack.database.query(FUNCTION)
    stack.database.query(TRIGGER.format(gen=gen, table=table, column=column, sqlstate=sqlstate, ids=",".join(ids)))


def allow(stack, table, gen=1):
    stack.database.query(f"DROP TRIGGER refuse ON gen_{gen}.{table}")


def fold_without(stack, records, refused):
    """The naive fold of the records, with those at these places parked."""
    kept = {role: [r for r in rs if (r.topic, r.partition, r.offset) not in refused] for role, rs in records.items()}
    view = naive_fold.fold(kept, naive_fold.Decoder(stack.schemas, stack.registry))
    for record in (r for rs in records.values() for r in rs if (r.topic, r.partition, r.offset) in refused):
        view.parked[record.topic, record.partition, record.offset] = (REASON, None, record)
    return view
