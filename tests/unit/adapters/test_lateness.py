"""The kind: one slow thing in a cycle delays all. A source that was late is asked beside the cycles."""

import asyncio
import threading
from unittest.mock import Mock

from forestall.adapters.prometheus.connection import Connection
from forestall.adapters.prometheus.errors import SourceTrouble
from forestall.adapters.prometheus.lateness import Lateness
from forestall.adapters.threads import Threads


async def test_a_late_source_that_is_removed_before_it_could_be_asked_is_still_late():
    """Its request waits for a thread that hangs, and never begins."""
    threads, over = Threads(1, "late"), threading.Event()
    threads.submit(over.wait)
    lateness = Lateness(threads)
    lateness.note(SourceTrouble("SourceTimeout", "the source did not answer in time"), answered=0)
    asking = asyncio.create_task(lateness.why_not(Mock(spec=Connection), 60))
    await asyncio.sleep(0)
    threads.close()
    trouble = await asyncio.wait_for(asking, 60)
    over.set()
    assert trouble is not None
    assert trouble.reason == "SourceTimeout"
