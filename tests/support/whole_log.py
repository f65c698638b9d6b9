"""The records of a stack's topics from the beginning, also those that retention or compaction has removed since."""

from .refused_rows import fold_without


class WholeLog:
    def __init__(self, stack):
        self.stack, self.records = stack, {}
        self.refused = set()  # places of the records whose rows the database refuses

    def collect(self):
        """Remembers what is in the topics now: to be called before anything is removed."""
        for role, records in self.stack.broker.read_all(self.stack.topics).items():
            self.records.setdefault(role, {}).update({(r.topic, r.partition, r.offset): r for r in records})

    def fold(self):
        """The naive fold of the whole history."""
        self.collect()
        ordered = {role: [found[where] for where in sorted(found)] for role, found in self.records.items()}
        return fold_without(self.stack, ordered, self.refused)


def trim(stack, rng):
    """Removes all of one partition of the case topic, half of the next, and some of one of each other topic."""
    ends = stack.broker.ends(stack.topics)

    def remove(role, partition, share):
        low, end = ends[stack.topics.name(role), partition]
        stack.broker.delete_records(stack.topics.name(role), partition, min(end, low + max(1, int((end - low) * share))))

    counts = stack.topics.partitions
    first = rng.randrange(counts["case"])
    remove("case", first, 1)
    remove("case", (first + 1) % counts["case"], 0.5)
    for role in ("agent", "directory"):
        remove(role, rng.randrange(counts[role]), rng.choice([0.3, 0.6, 0.9]))
