"""The pod template, which pods, deployments, replica sets and stateful sets share.

Its schema, its defaults and its rules, each as Kubernetes has them where the demo can tell the
difference. Unknown fields are kept, so what is missing here costs ``kubectl apply`` a warning at
most.
"""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object
from ferryman.api.status import Cause
from ferryman.api.validation import bad, port_number, required
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    INT_OR_STRING,
    INTEGER,
    LONG,
    QUANTITY,
    STRING,
    STRINGS,
    Schema,
    array,
    described,
    keyed,
    mapping,
    struct,
)

_HTTP_GET = struct(
    required=("port",),
    path=STRING,
    port=INT_OR_STRING,
    host=STRING,
    scheme=STRING,
    httpHeaders=array(struct(name=STRING, value=STRING)),
)
_EXEC = struct(command=array(STRING))
_TCP_SOCKET = struct(required=("port",), port=INT_OR_STRING, host=STRING)

_PROBE = struct(
    "How to find out whether the container is well.",
    httpGet=_HTTP_GET,
    tcpSocket=_TCP_SOCKET,
    exec=_EXEC,
    grpc=struct(required=("port",), port=INTEGER, service=STRING),
    initialDelaySeconds=INTEGER,
    timeoutSeconds=INTEGER,
    periodSeconds=INTEGER,
    successThreshold=INTEGER,
    failureThreshold=INTEGER,
    terminationGracePeriodSeconds=LONG,
)

_HANDLER = struct(exec=_EXEC, httpGet=_HTTP_GET, tcpSocket=_TCP_SOCKET, sleep=ANYTHING)

_SECURITY_CONTEXT = {
    **struct(
        runAsUser=LONG,
        runAsGroup=LONG,
        runAsNonRoot=BOOLEAN,
        privileged=BOOLEAN,
        readOnlyRootFilesystem=BOOLEAN,
        allowPrivilegeEscalation=BOOLEAN,
        fsGroup=LONG,
        capabilities=struct(add=array(STRING), drop=array(STRING)),
        seccompProfile=struct(type=STRING, localhostProfile=STRING),
    ),
    "x-kubernetes-preserve-unknown-fields": True,
}

_CONTAINER_PORT = struct(
    required=("containerPort",),
    name=described(STRING, "How services and probes may call the port."),
    containerPort=INTEGER,
    protocol={**STRING, "default": "TCP"},
    hostPort=INTEGER,
    hostIP=STRING,
)

_ENV = struct(
    required=("name",),
    name=STRING,
    value=STRING,
    valueFrom=struct(
        configMapKeyRef=struct(name=STRING, key=STRING, optional=BOOLEAN),
        secretKeyRef=struct(name=STRING, key=STRING, optional=BOOLEAN),
        fieldRef=struct(apiVersion=STRING, fieldPath=STRING),
        resourceFieldRef=struct(containerName=STRING, resource=STRING, divisor=QUANTITY),
    ),
)

_ENV_FROM = struct(
    prefix=STRING,
    configMapRef=struct(name=STRING, optional=BOOLEAN),
    secretRef=struct(name=STRING, optional=BOOLEAN),
)

_VOLUME_MOUNT = struct(
    required=("name", "mountPath"),
    name=STRING,
    mountPath=STRING,
    subPath=STRING,
    subPathExpr=STRING,
    readOnly=BOOLEAN,
    mountPropagation=STRING,
)

CONTAINER: Schema = struct(
    "A container of a pod; in the demo, one of its own small programs.",
    required=("name",),
    name=STRING,
    image=described(STRING, "example-go, web or cache: the demo has no other images."),
    imagePullPolicy=STRING,
    command=array(STRING),
    args=array(STRING),
    workingDir=STRING,
    ports=keyed(_CONTAINER_PORT, "containerPort", "protocol"),
    env=keyed(_ENV, "name"),
    envFrom=array(_ENV_FROM),
    resources=struct(limits=mapping(QUANTITY), requests=mapping(QUANTITY), claims=array(ANYTHING)),
    resizePolicy=array(ANYTHING),
    restartPolicy=STRING,
    volumeMounts=keyed(_VOLUME_MOUNT, "mountPath"),
    volumeDevices=keyed(struct(name=STRING, devicePath=STRING), "devicePath"),
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    startupProbe=_PROBE,
    lifecycle=struct(postStart=_HANDLER, preStop=_HANDLER, stopSignal=STRING),
    terminationMessagePath=STRING,
    terminationMessagePolicy=STRING,
    securityContext=_SECURITY_CONTEXT,
    stdin=BOOLEAN,
    stdinOnce=BOOLEAN,
    tty=BOOLEAN,
)

_VOLUME = {
    **struct(
        required=("name",),
        name=STRING,
        emptyDir=struct(medium=STRING, sizeLimit=QUANTITY),
        hostPath=struct(path=STRING, type=STRING),
        configMap=struct(name=STRING, items=array(ANYTHING), defaultMode=INTEGER, optional=BOOLEAN),
        secret=struct(
            secretName=STRING, items=array(ANYTHING), defaultMode=INTEGER, optional=BOOLEAN
        ),
        persistentVolumeClaim=struct(claimName=STRING, readOnly=BOOLEAN),
        projected=ANYTHING,
        downwardAPI=ANYTHING,
        ephemeral=ANYTHING,
        csi=ANYTHING,
        nfs=ANYTHING,
    ),
    "x-kubernetes-preserve-unknown-fields": True,
}

_TOLERATION = struct(
    key=STRING, operator=STRING, value=STRING, effect=STRING, tolerationSeconds=LONG
)

POD_SPEC: Schema = struct(
    "What the pod is to run, and how.",
    required=("containers",),
    containers=keyed(CONTAINER, "name"),
    initContainers=keyed(CONTAINER, "name"),
    ephemeralContainers=keyed(CONTAINER, "name"),
    volumes=keyed(_VOLUME, "name", strategy="merge,retainKeys"),
    restartPolicy=STRING,
    terminationGracePeriodSeconds=described(
        LONG, "Between SIGTERM and SIGKILL, when the pod is deleted."
    ),
    activeDeadlineSeconds=LONG,
    nodeName=described(STRING, "Set by the scheduler."),
    nodeSelector=described(STRINGS, "Labels that the node must have, else the pod is pending."),
    affinity=ANYTHING,
    tolerations=array(_TOLERATION),
    topologySpreadConstraints=keyed(ANYTHING, "topologyKey", "whenUnsatisfiable"),
    schedulerName=STRING,
    schedulingGates=keyed(struct(name=STRING), "name"),
    serviceAccountName=STRING,
    serviceAccount=STRING,
    automountServiceAccountToken=BOOLEAN,
    securityContext=_SECURITY_CONTEXT,
    imagePullSecrets=keyed(struct(name=STRING), "name"),
    hostAliases=keyed(struct(ip=STRING, hostnames=array(STRING)), "ip"),
    hostname=STRING,
    subdomain=STRING,
    hostNetwork=BOOLEAN,
    hostPID=BOOLEAN,
    hostIPC=BOOLEAN,
    hostUsers=BOOLEAN,
    shareProcessNamespace=BOOLEAN,
    setHostnameAsFQDN=BOOLEAN,
    dnsPolicy=STRING,
    dnsConfig=ANYTHING,
    enableServiceLinks=BOOLEAN,
    priority=INTEGER,
    priorityClassName=STRING,
    preemptionPolicy=STRING,
    runtimeClassName=STRING,
    readinessGates=array(struct(conditionType=STRING)),
    os=struct(name=STRING),
    overhead=mapping(QUANTITY),
    resources=ANYTHING,
    resourceClaims=keyed(ANYTHING, "name"),
)

POD_TEMPLATE: Schema = struct("The pods that are made.", metadata=OBJECT_META, spec=POD_SPEC)


def default_pod_spec(spec: Object) -> None:
    """Fill in, in place, what Kubernetes fills in."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or ():
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            if container.get(probe) is not None:
                _default_probe(container[probe])


def _default_probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if probe.get("httpGet") is not None:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def pod_spec_causes(spec: Object | None, path: str) -> Iterator[Cause]:
    """What the schema cannot say about a pod's spec."""
    containers = (spec or {}).get("containers")
    if not containers:
        yield required(f"{path}.containers")
        return
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        for name in ("name", "image"):
            if not container.get(name):
                yield required(f"{at}.{name}")
        for number, port in enumerate(container.get("ports") or ()):
            yield from port_number(f"{at}.ports[{number}].containerPort", port["containerPort"])


def template_causes(spec: Object | None) -> Iterator[Cause]:
    """What the schema cannot say about a workload that makes pods."""
    if spec is None:
        yield required("spec")
        return
    selector, template = spec["selector"], spec["template"]
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield required("spec.selector")
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        why = "`selector` does not match template `labels`"
        yield bad("spec.template.metadata.labels", labels, why)
    if spec.get("replicas", 0) < 0:
        yield bad("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from pod_spec_causes(template.get("spec"), "spec.template.spec")


def default_template(spec: Object) -> None:
    """Fill in the template of a workload, in place."""
    template = spec["template"]
    template.setdefault("metadata", {})
    if template.get("spec") is not None:
        default_pod_spec(template["spec"])
