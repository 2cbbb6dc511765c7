"""Requests that wait at the same moment are asked about together: to a model, fifty rows cost little more than one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from model_ci.serving.predictions import Predictions
from model_ci.serving.service import Service
from model_ci.serving.signature import Rows

MOST_ROWS: Final = 256  # of several requests in one call of the model; the next ones wait for its end


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A request's rows, and where its answers are awaited."""

    rows: Rows
    answers: "asyncio.Future[Predictions]"

    def give(self, answers: Predictions | BaseException) -> None:
        if self.answers.done():  # the caller went away
            return
        if isinstance(answers, BaseException):
            self.answers.set_exception(answers)
        else:
            self.answers.set_result(answers)


class Batching:
    """Asks for all requests that one pass of the event loop brought; no request waits for others to come."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: list[_Waiting] = []

    async def ask(self, rows: Rows) -> Predictions:
        """Return predictions as `Service.ask` does, and raise what that raises."""
        if not self._service.batches:
            return self._counted(rows)
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)
        waiting = _Waiting(rows, loop.create_future())
        self._waiting.append(waiting)
        return await waiting.answers

    def _answer(self) -> None:
        batch = self._take()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        together = self._together(batch) if len(batch) > 1 else None
        for place, waiting in enumerate(batch):
            waiting.give(together[place] if together else self._alone(waiting.rows))

    def _take(self) -> list[_Waiting]:
        """Return the first that wait, as many as one call takes."""
        rows = count = 0
        for waiting in self._waiting:
            rows += waiting.rows.count
            if count and rows > MOST_ROWS:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _together(self, batch: Sequence[_Waiting]) -> list[Predictions] | None:
        """Return each one's answers; None where one of them makes the model fail or miscount: each is asked alone then."""
        counts = [waiting.rows.count for waiting in batch]
        columns = zip(*(waiting.rows.values for waiting in batch), strict=True)
        rows = Rows(count=sum(counts), values=[[*chain.from_iterable(column)] for column in columns])
        begin = time.perf_counter()
        try:
            answers = self._service.require_loaded().predict(rows)
        except Exception:  # noqa: BLE001 - asked alone, it says whose fault that is
            return None
        self._service.metrics.called(rows.count, time.perf_counter() - begin)
        return [*answers.parts(counts)]

    def _alone(self, rows: Rows) -> Predictions | BaseException:
        try:
            return self._counted(rows)
        except BaseException as error:  # noqa: BLE001 - it is the request's, and is raised there
            return error

    def _counted(self, rows: Rows) -> Predictions:
        answers, seconds = self._service.ask(rows)
        self._service.metrics.called(rows.count, seconds)
        return answers
