"""From a 403 to the rule that is missing, and how to grant it; pure.

An API server names what it refused in a sentence (``rbac.go``, ``ForbiddenMessage``); where its
words are others (webhooks, gateways), what we had asked for is used instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from ferryman.api.status import Forbidden
from ferryman.errors import UserError
from ferryman.kube.targets import Target

_REFUSED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"'
    r' in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)


class Rule(Struct, frozen=True):
    """What somebody wants to do; ``resource`` may carry a subresource: ``pods/portforward``.

    An empty namespace means the whole cluster.
    """

    verbs: tuple[str, ...]
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f'in the namespace "{self.namespace}"' if self.namespace else "in the whole cluster"
        group = f".{self.group}" if self.group else ""
        return f"{', '.join(self.verbs)} {self.resource}{group} {where}"

    def yaml(self) -> str:
        """The rule as an item of ``rules`` in a Role."""
        verbs = ", ".join(self.verbs)
        return f'- {{apiGroups: ["{self.group}"], resources: [{self.resource}], verbs: [{verbs}]}}'

    def command(self) -> str:
        """The kubectl command that makes a role of it."""
        kind, where = ("role", f" -n {self.namespace}") if self.namespace else ("clusterrole", "")
        plural, slash, subresource = self.resource.partition("/")
        resource = f"{plural}.{self.group}" if self.group else plural
        return (
            f"kubectl create {kind} ferryman-{self.resource.replace('/', '-')}{where}"
            f" --verb={','.join(self.verbs)} --resource={resource}{slash}{subresource}"
        )


def needed(target: Target) -> tuple[Rule, ...]:
    """Every rule that a forward to the target needs.

    ``pods/portforward`` needs two verbs: WebSockets ask for get (and since 1.35 also create), SPDY
    for create.
    """
    pods = Rule(("get", "list", "watch"), "pods", "", target.namespace)
    wires = Rule(("get", "create"), "pods/portforward", "", target.namespace)
    resource = target.resource
    if target.kind == "pod" or resource is None:
        return (pods, wires)
    own = Rule(("get", "list", "watch"), resource.plural, resource.group, target.namespace)
    if target.kind == "cronjob":
        return (own, Rule(("get",), "jobs", "batch", target.namespace), pods, wires)
    return (own, pods, wires)


def missing(message: str) -> Rule | None:
    """The rule that the server's sentence names, or None if it names none."""
    found = _REFUSED.search(message)
    if found is None:
        return None
    return Rule((found["verb"],), found["resource"], found["group"], found["namespace"] or "")


def explain(error: Forbidden | str, needed: Iterable[Rule] = ()) -> UserError:
    """The error to show for a 403: who lacks which rule, and a role that grants it.

    ``needed`` are the rules of the whole undertaking: the one that covers what was refused is
    suggested with all its verbs, so that a person does not learn them one 403 at a time.
    """
    message = error if isinstance(error, str) else error.message
    rule, rules = missing(message), tuple(needed)
    if rule is None:
        hint = f"it needs {'; '.join(map(str, rules))}" if rules else ""
        return UserError(f"the cluster refused it: {message}", hint)
    user = _REFUSED.search(message)
    who = f'user "{user["user"]}"' if user and user["user"] else "you"
    granted = rule
    for wide in rules:
        if (wide.group, wide.resource) == (rule.group, rule.resource):
            verbs = (*wide.verbs, *(v for v in rule.verbs if v not in wide.verbs))
            granted = replace(rule, verbs=verbs)
    return UserError(
        f"{who} may not {rule}",
        f"an administrator can grant it: {granted.command()} (as a rule: {granted.yaml()[2:]})",
    )
