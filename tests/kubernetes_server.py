"""A stand-in for Kubernetes with the operator of dask-kubernetes: an HTTP server that keeps
resources, and starts what the pods of a DaskCluster would run, as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml
from study_runs import PROJECT, environment

PATH = re.compile(r"/(?:api|apis)/(.*v1)/namespaces/([\w-]+)/(\w+)(?:/([\w.-]+))?$")
KINDS: dict[str, dict[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": []},
    "/api/v1": {
        "resources": [
            {"name": f"{one}s", "singularName": one, "kind": one.capitalize(), "namespaced": True}
            for one in ("pod", "service")
        ]
    },
}
READY = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]


class Kubernetes:
    """resources: (kind in the plural, name) → what the API has. `registry` names the images that
    can be pulled; a scheduler of another stays pending."""

    def __init__(self, scratch: Path, registry: tuple[str, ...]) -> None:
        scratch.mkdir()
        self.scratch, self.registry = scratch, registry
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.processes: dict[str, list[subprocess.Popen]] = {}
        self.lock = threading.RLock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.http.kubernetes = self  # type: ignore[attr-defined]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.kubeconfig = scratch / "kubeconfig.yaml"
        named = {"cluster": "here", "user": "me", "namespace": "heart"}
        server = f"http://127.0.0.1:{self.http.server_address[1]}"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
            "contexts": [{"name": "here", "context": named}],
        }  # fmt: skip
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def create(self, plural: str, namespace: str, given: dict[str, Any]) -> dict[str, Any]:
        name = given["metadata"]["name"]
        given["metadata"] |= {"namespace": namespace, "uid": name, "resourceVersion": "1"}
        self.resources[plural, name] = given
        self.created.append(json.loads(json.dumps(given)))
        if plural == "daskclusters":
            self._operate(name, namespace, given["spec"])
            given["status"] = {"phase": "Running"}
        return given

    def _operate(self, name: str, namespace: str, spec: dict[str, Any]) -> None:
        """As the operator: a scheduler, its service, a group of workers."""
        (container,) = spec["scheduler"]["spec"]["containers"]
        labels = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
        pulled = container["image"] in self.registry
        pod = {
            "apiVersion": "v1", "kind": "Pod", "spec": spec["scheduler"]["spec"],
            "metadata": {"name": f"{name}-scheduler-0", "namespace": namespace, "labels": labels},
            "status": {"phase": "Running" if pulled else "Pending", "conditions": READY},
        }  # fmt: skip
        self.resources["pods", pod["metadata"]["name"]] = pod
        port = _free_port()
        ports = [{"name": "tcp-comm", "port": port}, {"name": "http-dashboard", "port": 1}]
        service = {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": f"{name}-scheduler", "namespace": namespace, "labels": labels},
            "spec": spec["scheduler"]["service"] | {"ports": ports},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
        }  # fmt: skip
        self.resources["services", f"{name}-scheduler"] = service
        group = {
            "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskWorkerGroup",
            "metadata": {"name": f"{name}-default", "namespace": namespace},
            "spec": {"cluster": name, "worker": spec["worker"]},
        }  # fmt: skip
        self.resources["daskworkergroups", f"{name}-default"] = group
        if not pulled:
            return
        self._run(name, container, f"--port={port}", "--no-dashboard")
        (container,) = spec["worker"]["spec"]["containers"]
        for number in range(spec["worker"]["replicas"]):
            own = {
                "DASK_WORKER_NAME": f"{name}-default-worker-{number}",
                "DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}",
            }
            self._run(name, container, "--host=127.0.0.1", **own)

    def _run(self, cluster: str, container: dict[str, Any], *more: str, **own: str) -> None:
        """A container's process, restarted by nobody. Its command is the whole of what runs: what
        an image starts by itself would take `args` for its own. `$(NAME)` are its variables."""
        variables = {each["name"]: each["value"] for each in container["env"]} | own
        command = [
            re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word)
            for word in [*container["command"], *container.get("args", ())]
        ]
        command = [word for word in command if word not in ("--dashboard-address", "8788")]
        program = Path(sys.executable).parent / command[0]  # as a shell in the image finds it
        process = subprocess.Popen(
            [program, *command[1:], *more],
            env=environment() | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"} | variables,
            cwd=self.scratch,
            stdout=subprocess.DEVNULL,
            stderr=(self.scratch / "said.txt").open("a"),
            start_new_session=True,
        )
        self.processes.setdefault(cluster, []).append(process)

    def delete(self, plural: str, name: str) -> None:
        """With all that belongs to it."""
        del self.resources[plural, name]
        self.deleted.append(name)
        if plural == "daskclusters":
            for key in [key for key in self.resources if key[1].startswith(f"{name}-")]:
                del self.resources[key]
            for process in self.processes.pop(name, []):
                _end(process)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        for processes in self.processes.values():
            for process in processes:
                _end(process)


def _end(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _chosen(resource: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """By `labelSelector` and `fieldSelector`, of equalities alone."""
    labels = resource["metadata"].get("labels", {})
    wanted = [each for text in query.get("labelSelector", ()) for each in text.split(",")]
    fields = [each for text in query.get("fieldSelector", ()) for each in text.split(",")]
    has = [labels.get(key) == value for key, value in (each.split("=") for each in wanted)]
    for path, value in (each.split("=") for each in fields):
        part: Any = resource
        for key in path.split("."):
            part = part.get(key, {})
        has.append(part == value)
    return all(has)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Quiet."""

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self) -> None:
        there: Kubernetes = self.server.kubernetes  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urlparse(self.path)
        if asked.path.rstrip("/") == "/version":
            return self._answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.1"})
        if asked.path.rstrip("/") in KINDS:
            return self._answer(200, KINDS[asked.path.rstrip("/")])
        found = PATH.match(asked.path)
        if found is None:
            return self._answer(404, {"kind": "Status", "code": 404, "message": self.path})
        _, namespace, plural, name = found.groups()
        with there.lock:
            if self.command == "POST":
                return self._answer(201, there.create(plural, namespace, json.loads(body)))
            if name is None:
                query = parse_qs(asked.query)
                every = [r for (kind, _), r in there.resources.items() if kind == plural]
                items = [resource for resource in every if _chosen(resource, query)]
                return self._answer(200, {"kind": "List", "metadata": {}, "items": items})
            resource = there.resources.get((plural, name))
            if resource is None:
                return self._answer(404, {"kind": "Status", "code": 404, "message": "not found"})
            if self.command == "DELETE":
                there.delete(plural, name)
            return self._answer(200, resource)

    do_GET = do_POST = do_DELETE = do_PATCH = _serve
