"""One server for all tests, and an application with something of everything for each operation.

The server is a peer world's (tests/peers), called past its recorder: what is generated here is no evidence
of what clients send.
"""

import sys
from functools import cache
from pathlib import Path

import pytest
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers" / "python"))

from stock import Stock  # noqa: E402
from worlds import started  # noqa: E402


@pytest.fixture(scope="session")
def world():
    with started("schema", "sqlite") as world:
        yield world


@pytest.fixture(scope="session")
def session():
    """Connections are kept between calls."""
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="session")
def new_stock(world, session):
    """Makes an application with something of everything."""
    return lambda: Stock(world, session)


@pytest.fixture(scope="session")
def stock_of(new_stock):
    """The stock of one test alone: what one operation breaks, no other one sees."""
    return cache(lambda label: new_stock())
