"""Servers that only the end-to-end tests need."""

import pytest

from support.kafka import KafkaCluster
from support.registry import ApicurioRegistry


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three brokers for all tests that share them; a test that stops one starts it again."""
    brokers = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    yield brokers
    brokers.close()


@pytest.fixture(scope="session")
def apicurio(tmp_path_factory):
    """One schema registry for all tests; a test that stops it starts it again."""
    registry = ApicurioRegistry(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.close()
