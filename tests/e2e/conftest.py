"""Servers that only the end-to-end tests need."""

import pytest

from support.kafka import KafkaCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three brokers for all that share them; whoever stops one starts it again."""
    brokers = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    yield brokers
    brokers.close()
