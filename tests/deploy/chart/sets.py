"""Values of the chart for tests: nobody asked for tokens, a store for trials with an ingress, and more of every pod."""

from __future__ import annotations

from typing import Any

from router.access.token_file import new_token

ANONYMOUS: dict[str, Any] = {"config": {"auth": {"allow_anonymous": True}}}
TRIAL: dict[str, Any] = {
    "trialStore": {"enabled": True, "storageClassName": "fast"},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-next-upstream": "off"},
        "hosts": ["queue.example.com", "*.example.org"],
        "tls": [{"secretName": "queue", "hosts": ["queue.example.com"]}],
    },
    "api": {"tokens": {"create": False, "lines": [new_token("workers")[1]]}},
    "image": {"digest": f"sha256:{'0' * 64}"},
}
_PREFERENCE: dict[str, Any] = {
    "weight": 1,
    "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
}
EXTENDED: dict[str, Any] = {
    role: {
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_PREFERENCE]}},
        "priorityClassName": "important",
        "podLabels": {"team": "sms"},
        "extraEnv": [{"name": "OTEL_SERVICE_NAME", "value": role}],
        "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/etc/more", "readOnly": True}],
    }
    for role in ("routers", "shards")
}
