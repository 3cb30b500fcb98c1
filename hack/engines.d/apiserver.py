"""The part of an API server that `kubectl apply` of a RuntimeClass needs: `apiserver.py PORT`. It parses objects strictly,
by Kubernetes' own definitions: an unknown field, a value of the wrong type and an invalid name are errors."""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf import json_format
from k8s.io.api.node.v1 import generated_pb2 as node

GROUP = "/apis/node.k8s.io/v1"
VERSION = {"groupVersion": "node.k8s.io/v1", "version": "v1"}
KIND = {"group": "node.k8s.io", "version": "v1", "kind": "RuntimeClass"}
LABEL = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# If the server announces strict validation, kubectl leaves it to the server.
PATCH = {"x-kubernetes-group-version-kind": KIND, "parameters": [{"name": "fieldValidation", "in": "query"}]}
PAGES = {
    "/api": {"kind": "APIVersions", "versions": []},
    "/apis": {"kind": "APIGroupList", "groups": [
        {"name": "node.k8s.io", "versions": [VERSION], "preferredVersion": VERSION}]},
    GROUP: {"kind": "APIResourceList", "groupVersion": "node.k8s.io/v1", "resources": [
        {"name": "runtimeclasses", "singularName": "runtimeclass", "namespaced": False, "kind": "RuntimeClass",
         "verbs": ["create", "delete", "get", "list", "patch"]}]},
    "/openapi/v3": {"paths": {GROUP[1:]: {"serverRelativeURL": f"/openapi/v3{GROUP}"}}},
    f"/openapi/v3{GROUP}": {"openapi": "3.0.0", "info": {"title": "", "version": ""},
                            "paths": {f"{GROUP}/runtimeclasses/{{name}}": {"patch": PATCH}}},
}
objects = {}


class Refused(Exception):
    """An error, with the HTTP status of the answer."""


def read(text, query):
    """Parses an object; fails if a server would refuse it."""
    if "fieldValidation=Strict" not in query:
        raise Refused(400, f"kubectl did not ask for strictness: {query!r}")
    fields = json.loads(text)
    kind = fields.pop("apiVersion"), fields.pop("kind")
    if kind != ("node.k8s.io/v1", "RuntimeClass"):
        raise Refused(400, f"this is no RuntimeClass: {kind}")
    try:
        it = json_format.ParseDict(fields, node.RuntimeClass())
    except json_format.ParseError as error:
        raise Refused(400, f"strict decoding error: {error}") from error
    for what, name in (("metadata.name", it.metadata.name), ("handler", it.handler)):
        if not LABEL.fullmatch(name):
            raise Refused(422, f"{what}: {name!r} is no DNS label")
    return json.loads(text)


class Server(BaseHTTPRequestHandler):
    def answer(self, code, body):
        body = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self, method):
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(length)
        collection, name = path == f"{GROUP}/runtimeclasses", path.removeprefix(f"{GROUP}/runtimeclasses/")
        if method == "GET" and path in PAGES:
            return 200, PAGES[path]
        if method == "GET" and collection:
            return 200, {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClassList", "items": list(objects.values())}
        if method == "POST" and collection:
            it = read(text, query)
            objects[it["metadata"]["name"]] = it
            return 201, it
        if name not in objects:
            raise Refused(404, f"{path} not found")
        return 200, objects.pop(name) if method == "DELETE" else objects[name]

    def do(self, method):
        try:
            self.answer(*self.handle_one(method))
        except Refused as refused:
            code, message = refused.args
            reason = {400: "BadRequest", 404: "NotFound", 422: "Invalid"}[code]
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
            self.answer(code, status | {"message": message})

    def do_GET(self):
        self.do("GET")

    def do_POST(self):
        self.do("POST")

    def do_DELETE(self):
        self.do("DELETE")


HTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
