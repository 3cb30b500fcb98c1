"""The config.json of each scenario, made of the bundles of this repository."""

import json
import os

# The limits of bundles/docker and the controllers that they need.
LIMITS = {"memory": ("memory", ("limit", "reservation")), "cpu": ("cpu", ("shares", "quota", "period")),
          "cpus": ("cpuset", ("cpus",)), "pids": ("pids", ("limit",))}
# docker binds this many files and directories beside its own mounts: 20 mounts in all.
VOLUMES = 20 - 11
BINDS = {"type": "bind", "options": ["rbind", "rprivate"]}
MAPPING = [{"containerID": 0, "hostID": 100000, "size": 65536}]


class Configs:
    """Makes configs for one cgroup layout. `notes` says in what they differ from the bundles."""

    def __init__(self, repo, view, controllers, sources):
        self.repo = repo
        self.view = view
        self.controllers = controllers
        self.sources = sources
        self.notes = []

    def make(self, kind, program, rootfs, cgroup, level):
        """The config of a container: `level` is the number of bind mounts of the kind `binds`."""
        if kind.startswith("docker"):
            config = self._docker(kind == "docker-userns")
        else:
            config = self._bundle("default")
            config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
        if kind == "binds":
            config["mounts"] += [self._bind(n, f"/m/{n}") for n in range(level)]
        if kind == "crowd":
            self._drop_namespace(config, "network")
            self._note("containers without a network namespace, since there are thousands of them")
        if self.view in ("legacy", "hybrid"):
            self._drop_namespace(config, "cgroup")
            self._note("without a cgroup namespace, as the spec command has it on v1")
        config["root"]["path"] = rootfs
        config["process"]["args"] = [f"/bin/{program}"]
        config["process"]["terminal"] = False
        config["linux"]["cgroupsPath"] = cgroup
        return config

    def _bundle(self, name):
        with open(os.path.join(self.repo, "bundles", name, "config.json")) as file:
            return json.load(file)

    def _docker(self, userns):
        config = self._bundle("docker")
        del config["hooks"]
        linux = config["linux"]
        linux["seccomp"] = self._seccomp()
        linux["resources"] = self._limits(linux["resources"])
        for mount in config["mounts"]:
            if mount["source"].startswith("/"):
                mount["source"] = f"{self.sources}/files/{os.path.basename(mount['destination'])}"
        config["mounts"] += [self._bind(n, f"/m/{n}") for n in range(VOLUMES)]
        if userns:
            linux["namespaces"].append({"type": "user"})
            linux["uidMappings"] = linux["gidMappings"] = MAPPING
            # The range has groups that are not mapped.
            del linux["sysctl"]["net.ipv4.ping_group_range"]
        hidden = len(linux["maskedPaths"]) + len(linux["readonlyPaths"])
        self._note(f"{len(config['mounts'])} mounts, {hidden} masked and read-only paths")
        return config

    def _seccomp(self):
        """docker's default profile if it is at hand, else that of containerd, from which docker's has come."""
        for path, name in (("../shared/data/docker-config.json", "docker"),
                           ("target/peers/containerd-config.json", "containerd"),
                           ("/job/files/containerd-config.json", "containerd")):
            try:
                with open(os.path.join(self.repo, path)) as file:
                    profile = json.load(file)["linux"]["seccomp"]
            except FileNotFoundError:
                continue
            self._note(f"{name}'s default seccomp profile")
            return profile
        self._note("the seccomp profile of bundles/seccomp: hack/peers could not get another one")
        return self._bundle("seccomp")["linux"]["seccomp"]

    def _limits(self, resources):
        """The limits for which the layout has a controller."""
        kept, names = {"devices": resources["devices"]}, []
        for name, (controller, fields) in LIMITS.items():
            if controller not in self.controllers:
                continue
            key = "cpu" if name == "cpus" else name
            kept.setdefault(key, {}).update({field: resources[key][field] for field in fields})
            names.append(name)
        self._note("limits: " + (", ".join(names) or "none, since the layout has no controller for them"))
        return kept

    def _bind(self, number, destination):
        return {"destination": destination, "source": f"{self.sources}/dirs/{number}", **BINDS}

    @staticmethod
    def _drop_namespace(config, kind):
        namespaces = config["linux"]["namespaces"]
        config["linux"]["namespaces"] = [namespace for namespace in namespaces if namespace["type"] != kind]

    def _note(self, text):
        if text not in self.notes:
            self.notes.append(text)
