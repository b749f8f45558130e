"""Decides whose fault a rejected or failed request is, by what else the server accepts.

Evidence is collected per model and sampling parameters, in this process only: a key may have
expired since the last one.

- A rejection is the request's if another request is accepted, and the set-up's if all are rejected
  alike. While there is no evidence, a rejection waits until another request is accepted. If all
  requests in flight were rejected, a short control request with the same parameters decides.
- A request that fails after its last retry is at fault if the control request is answered. If not,
  the server is down.
- After `MAX_UNCHECKED` rejections without an accepted request between, the evidence is renewed.

The control request is paid for like any other.

>>> await EvidenceEngine(engine).complete(request)   # doctest: +SKIP
"""

import asyncio
import re
from dataclasses import dataclass, field, replace

from evolcoder.engine.base import RAW, Completion, Engine, Message, Request, Sampling, key_identity
from evolcoder.errors import BudgetReached, EngineError, EvolcoderError, Fault

CONTROL = "Reply with the word OK."
"""The control request."""
CONTROL_S = 60.0
"""Maximum seconds to wait for its answer."""
MAX_UNCHECKED = 2
"""Rejections in a row that are taken as the requests' without asking the control request."""
MANY_ALIKE = 20
"""So many requests rejected alike, and none accepted, are the set-up's, whatever the control says:
for example, all prompts are too long for the server."""
REMEDY = "fix that and run the same command again: nothing is lost"
_VARYING = re.compile(r"\d+")


@dataclass(slots=True)
class _Evidence:
    """The outcomes of requests with one model and one set of parameters."""

    n_accepted: int = 0
    """Accepted requests, the control requests included."""
    answered: bool = False
    """Whether a request other than the control was accepted, in an earlier process too."""
    n_unchecked: int = 0
    """Rejections since the last accepted request."""
    in_flight: int = 0
    """Requests in flight, those that wait for evidence included."""
    waiting: list[EngineError] = field(default_factory=list)
    """Errors that wait for evidence."""
    verdict: asyncio.Future[Fault] | None = None
    """Future with the fault, for which they wait."""
    control: asyncio.Task[None] | None = None
    """The control request in flight, if any."""

    def accept(self) -> None:
        """Count an accepted request: those that wait are at fault themselves."""
        self.n_accepted += 1
        self.n_unchecked = 0
        self.decide(Fault.REQUEST)

    def decide(self, found: Fault | EvolcoderError) -> None:
        """Give the waiting requests the fault that was found, or raise an error in them."""
        verdict, self.verdict = self.verdict, None
        if verdict is None:
            return
        if isinstance(found, Fault):
            verdict.set_result(found)
        else:
            verdict.set_exception(found)
            verdict.exception()

    @property
    def all_failed(self) -> bool:
        """Whether every request in flight waits for evidence."""
        return len(self.waiting) >= self.in_flight

    @property
    def others_pass(self) -> bool:
        """Whether the server accepts other requests, as far as the user's own show."""
        few = self.answered and len(self.waiting) < MANY_ALIKE
        return self.n_accepted > 0 or (few and not any(one.advice for one in self.waiting))

    @property
    def all_alike(self) -> bool:
        """Whether nothing but the control was accepted, and many were rejected with equal words."""
        if self.answered or len(self.waiting) < MANY_ALIKE:
            return False
        words = {_VARYING.sub("0", f"{error.message}{error.got}") for error in self.waiting}
        return len(words) == 1 and all(one.hint is not Fault.REQUEST for one in self.waiting)


class EvidenceEngine:
    """Raises the errors of an engine with the fault that the evidence shows.

    `has_answered`: an earlier process got answers, so that many rejections alike are not taken as
    those of a set-up that never worked. Without `asks_control`, for batches that take hours, only
    the user's requests count.
    """

    def __init__(
        self, inner: Engine, *, has_answered: bool = False, asks_control: bool = True
    ) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._has_answered = has_answered
        self._asks_control = asks_control
        self._evidence: dict[tuple[str, Sampling, bool, str], _Evidence] = {}

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises an EngineError whose `fault` is known, or ModelError."""
        extras = ""
        if request.extra_body or request.headers:
            extras = f"{request.extra_body}{request.headers}"
        key = (request.model, request.sampling, request.is_raw, extras)
        if (evidence := self._evidence.get(key)) is None:
            evidence = self._evidence[key] = _Evidence(answered=self._has_answered)
        evidence.in_flight += 1
        try:
            completion = await self._inner.complete(request)
        except EngineError as error:
            judged = await self._judged(evidence, request, error)
            raise judged from (None if judged is error else error)
        except BudgetReached as limit:
            if not self._asks_control:
                evidence.decide(limit)  # no further request will tell
            raise
        else:
            evidence.answered = True
            evidence.accept()
            return completion
        finally:
            evidence.in_flight -= 1
            self._check(evidence, request)

    async def aclose(self) -> None:
        """Close the wrapped engine."""
        await self._inner.aclose()

    async def _judged(
        self, evidence: _Evidence, request: Request, error: EngineError
    ) -> EngineError:
        """Return the error to raise."""
        is_of_batch = error.hint is Fault.MOMENT and not self._asks_control
        if error.fault is Fault.SETUP or is_of_batch:
            return error
        if error.fault is Fault.MOMENT:
            found = await self._find_fault(evidence, request, error, now=True)
            return _failed(error) if found is Fault.REQUEST else error
        return await self._judged_rejection(evidence, request, error) if error.rejected else error

    async def _judged_rejection(
        self, evidence: _Evidence, request: Request, error: EngineError
    ) -> EngineError:
        evidence.n_unchecked += 1
        is_known = evidence.n_accepted > 0 or error.hint is Fault.REQUEST
        if is_known and error.hint is not Fault.SETUP and evidence.n_unchecked <= MAX_UNCHECKED:
            return error
        found = await self._find_fault(evidence, request, error, now=False)
        if found is Fault.REQUEST:
            return error
        return _of_setup(error) if found is Fault.SETUP else _undecided(error)

    async def _find_fault(
        self, evidence: _Evidence, request: Request, error: EngineError, *, now: bool
    ) -> Fault:
        """Wait for evidence after an error; with `now`, do not wait for others in flight first.

        Returns REQUEST if the server accepts another request, SETUP if it rejects the control
        request or many alike, MOMENT if it does not answer the control request.
        """
        evidence.waiting.append(error)
        if evidence.verdict is None:
            evidence.verdict = asyncio.get_running_loop().create_future()
        verdict = evidence.verdict
        self._check(evidence, request, now=now)
        try:
            return await asyncio.shield(verdict)
        finally:
            evidence.waiting.remove(error)
            if not evidence.waiting and evidence.control is not None:
                evidence.control.cancel()

    def _check(self, evidence: _Evidence, request: Request, *, now: bool = False) -> None:
        """Decide, or ask the control request, if there is nothing left to wait for."""
        if evidence.verdict is None or evidence.control is not None or not evidence.waiting:
            return
        if not self._asks_control:
            if evidence.n_accepted or evidence.all_failed:
                evidence.decide(Fault.REQUEST if evidence.others_pass else Fault.SETUP)
        elif evidence.all_failed and evidence.all_alike:
            evidence.decide(Fault.SETUP)
        elif evidence.all_failed or now:
            evidence.control = asyncio.create_task(self._run_control(evidence, request))

    async def _run_control(self, evidence: _Evidence, request: Request) -> None:
        try:
            found = await self._ask_control(request)
        except EvolcoderError as error:
            evidence.decide(error)
        except Exception:  # noqa: BLE001 - those that wait must not wait for ever
            evidence.decide(Fault.MOMENT)
        else:
            if found is Fault.REQUEST:
                evidence.accept()
            evidence.decide(found)
        finally:
            evidence.control = None
            self._check(evidence, request)  # others may have come while it was cancelled

    async def _ask_control(self, request: Request) -> Fault:
        """Return REQUEST if the server accepts it, SETUP if it rejects it, else MOMENT."""
        system = (message for message in request.messages if message.role == "system")
        asked = Message(RAW if request.is_raw else "user", CONTROL)
        try:
            async with asyncio.timeout(CONTROL_S):
                await self._inner.complete(replace(request, messages=(*system, asked)))
        except EngineError as error:
            is_rejected = error.rejected and error.fault is not Fault.MOMENT
            return Fault.SETUP if is_rejected else Fault.MOMENT
        except TimeoutError:
            return Fault.MOMENT
        return Fault.REQUEST


def _of_setup(error: EngineError) -> EngineError:
    advice = error.advice or "the server rejects every request in these words"
    return EngineError(
        f"{error.message}: {advice}; {REMEDY}",
        asked=error.asked,
        got=error.got,
        retryable=True,
        fault=Fault.SETUP,
        hint=error.hint,
        advice=error.advice,
    )


def _undecided(error: EngineError) -> EngineError:
    return EngineError(
        f"{error.message}, and then no answer to a short control request",
        asked=error.asked,
        got=error.got,
        retryable=True,
    )


def _failed(error: EngineError) -> EngineError:
    return EngineError(
        f"{error.message}, while the server answers others",
        asked=error.asked,
        got=error.got,
        retryable=False,
        rejected=False,
    )
