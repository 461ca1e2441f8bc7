"""What a real worker says of itself."""

import time

import pytest
from redis import Redis

from privacy_office import health

pytestmark = pytest.mark.fault


def test_a_worker_says_that_it_lives(office):
    with Redis.from_url(office.env["REDIS_URL"]) as broker, office.worker():
        end = time.monotonic() + 120
        while not broker.zcard(health.WORKERS):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert broker.zcard(health.WORKERS) == 1, "one worker, however many processes it has"
