"""The rules of the Pod Security Standard "restricted", and some of the chart's own, for a pod or the template of one."""

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")


def violations(pod):
    """What "restricted" would refuse, one sentence each."""
    spec = pod["spec"]
    context = spec.get("securityContext") or {}
    for field in HOST_FIELDS:
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes") or []:
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a type that is not allowed"
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    for container in containers:
        own = container.get("securityContext") or {}
        what = f"container {container['name']}"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{what}: allowPrivilegeEscalation is not false"
        if "ALL" not in (own.get("capabilities") or {}).get("drop", []):
            yield f"{what}: capabilities are not dropped"
        if set((own.get("capabilities") or {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{what}: capabilities are added"
        if own.get("privileged"):
            yield f"{what}: privileged"
        if own.get("runAsNonRoot", context.get("runAsNonRoot")) is not True:
            yield f"{what}: runAsNonRoot is not true"
        if own.get("runAsUser", context.get("runAsUser")) == 0:
            yield f"{what}: runs as user 0"
        profile = own.get("seccompProfile", context.get("seccompProfile")) or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{what}: no seccomp profile"
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield f"{what}: a port of the node"


def own_rules(pod):
    """What the chart promises beyond it, for its own container, the first one."""
    spec = pod["spec"]
    container = spec["containers"][0]
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of its service account"
    if spec.get("enableServiceLinks") is not False:
        yield "the pod gets variables of Services"
    if not (container.get("securityContext") or {}).get("readOnlyRootFilesystem"):
        yield "the root file system can be written"
    if "memory" not in container["resources"].get("limits", {}):
        yield "no limit of memory"
    if container["command"][0] not in ("/usr/bin/caseview", "/usr/bin/caseview-api"):
        yield f"the image has no {container['command'][0]}"
