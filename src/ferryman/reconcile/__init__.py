"""The controller runtime: requests, queues, sources, controllers, a manager."""

from ferryman.reconcile.controller import Controller
from ferryman.reconcile.manager import Manager
from ferryman.reconcile.queue import Queue
from ferryman.reconcile.request import Reconcile, Request, Result
from ferryman.reconcile.source import Informer, News, Source, Watching

__all__ = [
    "Controller",
    "Informer",
    "Manager",
    "News",
    "Queue",
    "Reconcile",
    "Request",
    "Result",
    "Source",
    "Watching",
]
