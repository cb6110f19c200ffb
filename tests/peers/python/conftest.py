"""One Keyway world for each module of Python tests, on every database there is."""

import os

import pytest

from worlds import started

DATABASES = ["sqlite"] + (["postgres"] if os.environ.get("KEYWAY_TEST_POSTGRES") else [])


@pytest.fixture(scope="module", params=DATABASES)
def world(request):
    """A world with a Google connector of three credentials."""
    name = request.module.__name__.removeprefix("test_").replace("_", "-")
    with started(f"python-{name}", request.param) as world:
        world.connect_google()
        yield world
