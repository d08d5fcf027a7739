"""Answers ``kubectl logs``: the ``log`` subresource of pods, with the kubelet's own errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Name
from ferryman.api.status import BadRequest, NotFound
from ferryman.apiserver.parameters import Query, boolean
from ferryman.apiserver.streaming import Streaming
from ferryman.demo.kinds import PODS
from ferryman.demo.kubelet.container import Container
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.kubelet.logs import LogOptions
from ferryman.runtime.clock import Clock


class Logs:
    """Looks a container up and streams what it said."""

    def __init__(self, client: ObjectClient, kubelet: Kubelet, clock: Clock) -> None:
        self._client = client
        self._kubelet = kubelet
        self._clock = clock

    async def answer(self, request: Request, name: Name) -> Response:
        """The log as plain text; BadRequest if there is none to show."""
        query = request.query_params
        pod = await self._client.get(PODS, name.name, name.namespace)
        wanted = _container_name(pod["spec"]["containers"], query.get("container", ""), name.name)
        options = log_options(query, self._clock.now())
        try:
            runner = self._kubelet.find(name, pod["metadata"]["uid"])
        except NotFound:
            raise _waiting(wanted, name.name, "ContainerCreating") from None
        container: Container = runner.containers[wanted]
        if boolean(query, "previous"):
            log = container.previous_log
            if log is None:
                raise BadRequest(
                    f'previous terminated container "{wanted}" in pod "{name.name}" not found'
                )
        else:
            log = container.log
            if log is None:
                raise _waiting(wanted, name.name, container.state.waiting)
        return Streaming(log.read(options), "text/plain")


def log_options(query: Query, now: datetime) -> LogOptions:
    """The query as options; BadRequest for what is no number or time."""
    try:
        since = None
        if "sinceSeconds" in query:
            since = now - timedelta(seconds=int(query["sinceSeconds"]))
        elif "sinceTime" in query:
            since = datetime.fromisoformat(query["sinceTime"])
            since = since if since.tzinfo else since.replace(tzinfo=UTC)
        return LogOptions(
            follow=boolean(query, "follow"),
            timestamps=boolean(query, "timestamps"),
            tail=_count(query, "tailLines"),
            since=since,
            limit=_count(query, "limitBytes"),
        )
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"the log's options are not usable: {error}") from error


def _count(query: Query, key: str) -> int | None:
    if key not in query:
        return None
    value = int(query[key])
    if value < 0:
        raise ValueError(f"{key} must not be negative")
    return value


def _container_name(containers: list[dict[str, object]], wanted: str, pod: str) -> str:
    names = [str(container["name"]) for container in containers]
    if not wanted and len(names) == 1:
        return names[0]
    if not wanted:
        listed = " ".join(names)
        raise BadRequest(
            f"a container name must be specified for pod {pod}, choose one of: [{listed}]"
        )
    if wanted not in names:
        raise BadRequest(f"container {wanted} is not valid for pod {pod}")
    return wanted


def _waiting(container: str, pod: str, reason: str) -> BadRequest:
    return BadRequest(f'container "{container}" in pod "{pod}" is waiting to start: {reason}')
