"""Work that goes on beside a block, for as long as that lasts."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

import structlog

_log = structlog.get_logger()


@asynccontextmanager
async def beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """`work` goes on while the block does, and ends with it. Raises what `work` raised."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _report(task: asyncio.Task[None]) -> None:
    """What should go on for ever and has broken is told at once, not only at the end."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("bug", trace="".join(traceback.format_exception(error)))
