"""Cases for containerd's CRI plugin, called as the kubelet calls it: `cri.py CASE HANDLER`, `cri.py cleanup`."""

import base64
import json
import os
import shutil
import socket
import struct
import sys
import tarfile
import time
from urllib.parse import urlparse

import grpc
import api_pb2 as api
import api_pb2_grpc as stubs

BOX = "localhost/box:latest"
LOGS = "/var/log/pods"


def connect():
    return stubs.RuntimeServiceStub(grpc.insecure_channel("unix:///run/containerd/containerd.sock"))


runtime = connect()


def equal(what, got, wanted):
    assert got == wanted, f"{what}: wanted {wanted!r}, got {got!r}"


def soon(what, condition):
    end = time.monotonic() + int(os.environ["PATIENCE"])
    while not condition():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.1)


class Pod:
    """A sandbox; by default it has the host's network."""

    def __init__(
        self, name, network=api.NODE, pid=api.CONTAINER, ipc=api.POD, users=None, privileged=False, sysctls=None, **config
    ):
        options = api.NamespaceOption(network=network, pid=pid, ipc=ipc, userns_options=users)
        self.config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=name, uid=name, namespace="default"),
            log_directory=f"{LOGS}/{name}",
            linux=api.LinuxPodSandboxConfig(
                cgroup_parent=PARENT,
                security_context=api.LinuxSandboxSecurityContext(namespace_options=options, privileged=privileged),
                sysctls=sysctls,
            ),
            **config,
        )
        shutil.rmtree(f"{LOGS}/{name}", ignore_errors=True)
        os.makedirs(f"{LOGS}/{name}")
        self.options = options
        self.id = runtime.RunPodSandbox(
            api.RunPodSandboxRequest(config=self.config, runtime_handler=HANDLER)
        ).pod_sandbox_id

    def create(self, name, command, resources=None, security=None, mounts=(), options=None, **config):
        """Creates a container and returns its id."""
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name),
            image=api.ImageSpec(image=BOX),
            command=command,
            log_path=f"{name}.log",
            mounts=mounts,
            linux=api.LinuxContainerConfig(
                resources=api.LinuxContainerResources(**(resources or {})),
                security_context=api.LinuxContainerSecurityContext(
                    namespace_options=options or self.options, **(security or {})
                ),
            ),
            **config,
        )
        request = api.CreateContainerRequest(pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return runtime.CreateContainer(request).container_id

    def start(self, name, command, **config):
        it = self.create(name, command, **config)
        runtime.StartContainer(api.StartContainerRequest(container_id=it))
        return it

    def run(self, name, command, **config):
        """Runs a program and returns its output; fails if the program fails."""
        it = self.start(name, ["sh", "-c", command], **config)
        soon("the end of the program", lambda: status(it).state == api.CONTAINER_EXITED)
        said = self.log(name)
        equal(f"exit code of {command!r}, which says {said!r}", status(it).exit_code, 0)
        return said

    def log(self, name, streams=("stdout", "stderr")):
        with open(f"{LOGS}/{self.config.metadata.name}/{name}.log") as file:
            lines = [line.split(" ", 3) for line in file if line.endswith("\n")]
        return "".join(text for _, stream, _, text in lines if stream in streams).strip()


def status(it):
    return runtime.ContainerStatus(api.ContainerStatusRequest(container_id=it)).status


def execute(it, *command):
    answer = runtime.ExecSync(api.ExecSyncRequest(container_id=it, cmd=command, timeout=20))
    return answer.exit_code, answer.stdout.decode().strip()


def said(it, *command):
    code, text = execute(it, *command)
    equal(f"exit code of {command}", code, 0)
    return text


def count(it):
    """The identity of COUNTER (lib.sh), once for each number: it must be one program that has left out no number."""
    lines = [line.split() for line in said(it, "cat", "/tmp/f").splitlines()]
    who = [line[:2] for line in lines]
    equal("count", lines, [[*who[0], str(number)] for number in range(1, len(lines) + 1)])
    return who


def goes_on(it, before):
    """Checks that the same program continues to count after `before`."""
    for _ in range(2):
        soon("that it counts on", lambda: len(count(it)) > len(before))
        equal("program", count(it)[0], before[0])
        before = count(it)


def stop(it, timeout=0):
    runtime.StopContainer(api.StopContainerRequest(container_id=it, timeout=timeout))


class Stream:
    """A streaming connection: a WebSocket with the kubelet's channels."""

    def __init__(self, url):
        url = urlparse(url)
        self.socket = socket.create_connection((url.hostname, url.port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}", "Upgrade: websocket", "Connection: Upgrade",
                f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: v4.channel.k8s.io"]
        self.socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(1)
        assert b" 101 " in answer.split(b"\r\n")[0], answer

    def write(self, data):
        data = b"\0" + data
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(struct.pack("!BB", 0x82, 0x80 | len(data)) + mask + masked)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "the stream ended"
            data += part
        return data

    def read(self, text):
        """Reads until the output has this text."""
        output = b""
        while text not in output:
            first, length = self.exactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", self.exactly(2))
            data = self.exactly(length)
            assert first & 15 != 8, f"closed after {output!r}"
            if data[:1] in (b"\1", b"\2"):
                output += data[1:]
        return output


def case_pod_and_container():
    pod = Pod("plain")
    it = pod.start("c", ["sleep", "1000"])
    equal("state", status(it).state, api.CONTAINER_RUNNING)
    equal("output", said(it, "echo", "hi"), "hi")
    equal("exit code", execute(it, "sh", "-c", "exit 5")[0], 5)
    stop(it)
    equal("state", status(it).state, api.CONTAINER_EXITED)
    equal("exit code", status(it).exit_code, 137)


def case_log():
    pod = Pod("log")
    # There are two pipes, and containerd may read either first.
    pod.run("c", "echo out; echo err >&2")
    equal("log of stdout", pod.log("c", ["stdout"]), "out")
    equal("log of stderr", pod.log("c", ["stderr"]), "err")


def case_exec_with_a_terminal():
    pod = Pod("exec")
    it = pod.start("c", ["sleep", "1000"])
    url = runtime.Exec(api.ExecRequest(container_id=it, cmd=["sh"], tty=True, stdin=True, stdout=True)).url
    stream = Stream(url)
    stream.write(b"tty; echo a$((40+2))z\n")
    assert b"/dev/pts/" in stream.read(b"a42z")


def case_attach():
    pod = Pod("attach")
    it = pod.start("c", ["cat"], stdin=True)
    stream = Stream(runtime.Attach(api.AttachRequest(container_id=it, stdin=True, stdout=True, stderr=True)).url)
    stream.write(b"through\n")
    stream.read(b"through")


def case_restart():
    """A restart in the way of the kubelet: a new container for each attempt, in the same sandbox."""
    pod = Pod("restart")
    for attempt in range(3):
        it = pod.start(f"c{attempt}", ["sh", "-c", f"exit {attempt}"])
        soon("the end", lambda: status(it).state == api.CONTAINER_EXITED)
        equal("exit code", status(it).exit_code, attempt)
        runtime.RemoveContainer(api.RemoveContainerRequest(container_id=it))


def case_limits():
    pod = Pod("limits")
    resources = {"memory_limit_in_bytes": 64 << 20, "cpu_quota": 50000, "cpu_period": 100000, "cpu_shares": 512,
                 "oom_score_adj": 500}
    it = pod.start("c", ["sleep", "1000"], resources=resources)
    read = "cd /sys/fs/cgroup; echo $(cat memory.max cpu.max) $(cat /proc/self/oom_score_adj)"
    equal("limits", said(it, "sh", "-c", read), f"{64 << 20} 50000 100000 500")
    update = api.LinuxContainerResources(memory_limit_in_bytes=32 << 20, cpu_quota=20000, cpu_period=100000)
    runtime.UpdateContainerResources(api.UpdateContainerResourcesRequest(container_id=it, linux=update))
    equal("limits", said(it, "sh", "-c", "cd /sys/fs/cgroup; echo $(cat memory.max cpu.max)"), f"{32 << 20} 20000 100000")


def case_update():
    pod = Pod("update")
    it = pod.start("c", ["sleep", "1000"], resources={"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512})
    read = "cd /sys/fs/cgroup; echo $(cat memory.max memory.high cpu.weight cpu.max pids.max)"
    before = said(it, "sh", "-c", read).split()
    equal("memory", before[:2], [str(64 << 20), "max"])
    for change, wanted in (
        ({"cpu_shares": 1024}, {2: None}),
        ({"memory_limit_in_bytes": 48 << 20, "memory_swap_limit_in_bytes": 48 << 20}, {0: str(48 << 20)}),
        ({"unified": {"memory.high": str(40 << 20), "pids.max": "33"}}, {1: str(40 << 20), 5: "33"}),
        ({"cpu_quota": -1, "cpu_period": 50000}, {3: "max", 4: "50000"}),
    ):
        update = api.LinuxContainerResources(**change)
        runtime.UpdateContainerResources(api.UpdateContainerResourcesRequest(container_id=it, linux=update))
        after = said(it, "sh", "-c", read).split()
        for at, value in enumerate(after):
            if at not in wanted:
                equal(f"{at} of {after} after {change}", value, before[at])
            elif wanted[at] is None:
                assert value != before[at], (change, after)
            else:
                equal(f"{at} of {after} after {change}", value, wanted[at])
        before = after


def case_cgroup_of_the_pod():
    pod = Pod("cgroup")
    it = pod.start("c", ["sleep", "1000"])
    pid = json.loads(runtime.ContainerStatus(api.ContainerStatusRequest(container_id=it, verbose=True)).info["info"])["pid"]
    with open(f"/proc/{pid}/cgroup") as file:
        name = f"cri-containerd-{it}.scope" if PARENT.endswith(".slice") else it
        equal("cgroup", file.read().strip(), f"0::{os.path.join('/', PARENT, name)}")


def case_statistics():
    pod = Pod("stats")
    it = pod.start("c", ["sh", "-c", "head -c 64m /dev/zero >/dev/null; sleep 1000"])

    def counted():
        stats = runtime.ContainerStats(api.ContainerStatsRequest(container_id=it)).stats
        return stats.memory.working_set_bytes.value > 0 and stats.cpu.usage_core_nano_seconds.value > 0

    # A program that only sleeps uses less time than the resolution of the kernel's clock.
    soon("memory and time that are counted", counted)
    chosen = api.ContainerStatsFilter(pod_sandbox_id=pod.id)
    listed = runtime.ListContainerStats(api.ListContainerStatsRequest(filter=chosen)).stats
    equal("containers", [one.attributes.id for one in listed], [it])


def case_out_of_memory():
    pod = Pod("oom")
    limits = {"memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20}
    one = pod.start("one", ["sh", "-c", os.environ["HOG"]], resources=limits)
    two = pod.start("two", ["sh", "-c", os.environ["HOG_OF_TWO"]], resources=limits)
    for it in one, two:
        soon("the end", lambda: status(it).state == api.CONTAINER_EXITED)
        equal("exit code", status(it).exit_code, 137)
    equal("reason", status(two).reason, "OOMKilled")


def case_network_of_its_own():
    pod = Pod("network", network=api.POD)
    one = pod.start("a", ["sleep", "1000"])
    two = pod.start("b", ["sleep", "1000"])
    namespaces = {said(it, "readlink", "/proc/self/ns/net") for it in (one, two)}
    equal("namespaces", len(namespaces), 1)
    assert namespaces != {os.readlink("/proc/self/ns/net")}
    assert "lo" in said(one, "cat", "/proc/net/dev")


def case_shared_pid_namespace():
    pod = Pod("shared", pid=api.POD)
    pod.start("a", ["sleep", "1234"])
    it = pod.start("b", ["sleep", "1000"])
    assert "sleep 1234" in said(it, "ps")


def case_user_namespace():
    mapping = [api.IDMapping(host_id=100000, container_id=0, length=65536)]
    users = api.UserNamespace(mode=api.POD, uids=mapping, gids=mapping)
    pod = Pod("users", network=api.POD, users=users)
    it = pod.start("c", ["sleep", "1000"])
    equal("map", said(it, "cat", "/proc/self/uid_map").split(), ["0", "100000", "65536"])
    equal("owner", said(it, "stat", "-c", "%u", "/bin/busybox"), "0")


def case_user_namespace_with_volumes():
    """The kubelet maps volumes to the pod's ids: root in the pod is root in the volumes."""
    base = "/var/lib/cri-users"
    os.makedirs(base, exist_ok=True)
    mapping = [api.IDMapping(host_id=200000, container_id=0, length=65536)]
    users = api.UserNamespace(mode=api.POD, uids=mapping, gids=mapping)
    pod = Pod("volumes", network=api.POD, users=users)
    mount = api.Mount(container_path="/m", host_path=base, uidMappings=mapping, gidMappings=mapping)
    equal("output", pod.run("c", "touch /m/f && chown 7:8 /m/f && stat -c %u:%g /m /m/f", mounts=[mount]), "0:0\n7:8")
    made = os.stat(f"{base}/f")
    equal("owner", (made.st_uid, made.st_gid), (7, 8))


def case_volume_of_an_image():
    mount = api.Mount(container_path="/m", image=api.ImageSpec(image=BOX), readonly=True)
    text = Pod("image").run("c", "ls /m; touch /m/x 2>&1 || true", mounts=[mount])
    assert "etc" in text.split() and "Read-only" in text, text


def case_read_only_mounts_recursively():
    base = "/var/lib/cri-rro"
    os.makedirs(f"{base}/sub", exist_ok=True)
    os.system(f"mountpoint -q {base}/sub || mount -t tmpfs none {base}/sub")
    mount = api.Mount(container_path="/m", host_path=base, readonly=True, recursive_read_only=True,
                      propagation=api.PROPAGATION_PRIVATE)
    pod = Pod("rro")
    equal("output", pod.run("c", "touch /m/sub/x 2>/dev/null || echo read-only", mounts=[mount]), "read-only")
    os.system(f"umount {base}/sub")


def case_mount_propagation():
    base = "/var/lib/cri-prop"
    os.makedirs(f"{base}/sub", exist_ok=True)
    os.system(f"mountpoint -q {base} || mount --bind {base} {base}; mount --make-shared {base}; mkdir -p {base}/sub")
    mount = api.Mount(container_path="/m", host_path=base, propagation=api.PROPAGATION_HOST_TO_CONTAINER)
    pod = Pod("propagation")
    it = pod.start("c", ["sleep", "1000"], mounts=[mount])
    os.system(f"mount -t tmpfs none {base}/sub && touch {base}/sub/seen")
    equal("what is seen", said(it, "ls", "/m/sub"), "seen")
    os.system(f"umount {base}/sub {base}")


def case_security_context():
    pod = Pod("security")
    security = {"run_as_user": api.Int64Value(value=1000), "run_as_group": api.Int64Value(value=2000),
                "supplemental_groups": [3000], "no_new_privs": True, "readonly_rootfs": True,
                "seccomp": api.SecurityProfile(profile_type=api.SecurityProfile.RuntimeDefault),
                "capabilities": api.Capability(drop_capabilities=["ALL"])}
    text = pod.run("c", "id -u; id -g; grep -E '^(NoNewPrivs|Seccomp|CapBnd|Groups)' /proc/self/status; touch /x 2>&1 || true",
                   security=security)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for wanted in ("1000", "2000", "NoNewPrivs: 1", "Seccomp: 2", "CapBnd: 0000000000000000"):
        assert wanted in lines, (wanted, lines)
    assert "3000" in text and "Read-only" in text, text


def case_seccomp():
    profile = "/var/lib/cri-seccomp.json"
    with open(profile, "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW",
                   "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}, file)
    pod = Pod("seccomp")
    kinds = api.SecurityProfile
    for name, fields, wanted in (
        ("unconfined", {"profile_type": kinds.Unconfined}, "0 made"),
        ("default", {"profile_type": kinds.RuntimeDefault}, "2 made"),
        ("localhost", {"profile_type": kinds.Localhost, "localhost_ref": profile}, "2"),
    ):
        command = "echo $(grep Seccomp: /proc/self/status | cut -f2) $(mkdir /tmp/d 2>/dev/null && echo made)"
        equal(name, pod.run(name, command, security={"seccomp": kinds(**fields)}), wanted)


def case_masked_and_read_only_paths():
    """procMount: with Default the paths are the kubelet's, with Unmasked there are none."""
    pod = Pod("masked")
    command = "echo $(ls /proc/sys/fs | wc -l) $(echo 1 2>/dev/null >/proc/sys/vm/drop_caches && echo written)"
    security = {"masked_paths": ["/proc/sys/fs", "/proc/nowhere"], "readonly_paths": ["/proc/sys/vm"]}
    equal("masked", pod.run("masked", command, security=security), "0")
    count, written = pod.run("unmasked", command).split()
    assert int(count) > 1 and written == "written", (count, written)


def case_groups():
    """Merge adds the groups that the user has in the image's /etc/group; Strict does not."""
    pod = Pod("groups")
    for policy, wanted in ((api.Merge, "1500 1500 1500 3003 4000"), (api.Strict, "1500 1500 1500 4000")):
        security = {"run_as_username": "named", "supplemental_groups": [4000], "supplemental_groups_policy": policy}
        command = "echo $(id -u) $(id -g) $(id -G | tr ' ' '\\n' | sort -n)"
        equal(f"policy {policy}", pod.run(f"c{policy}", command, security=security), wanted)


def case_capabilities():
    pod = Pod("capabilities")
    for name, (add, drop), wanted in (
        ("all-but", (["ALL"], ["NET_RAW"]), 0x1FFFFFFFFFF & ~0x2000),
        ("only", (["NET_RAW"], ["ALL"]), 0x2000),
        ("more", (["SYS_TIME"], ["CHOWN"]), 0xA80425FB & ~1 | 1 << 25),
    ):
        security = {"capabilities": api.Capability(add_capabilities=add, drop_capabilities=drop)}
        got = pod.run(name, "grep CapEff /proc/self/status | cut -f2", security=security)
        equal(name, f"{int(got, 16):x}", f"{wanted:x}")


def case_devices():
    pod = Pod("devices")
    device = api.Device(container_path="/dev/mine", host_path="/dev/kmsg", permissions="r")
    command = "stat -c '%t %T' /dev/mine; : </dev/mine && echo read; (: >/dev/mine) 2>/dev/null || echo refused"
    equal("output", pod.run("c", command, devices=[device]), "1 b\nread\nrefused")


def case_privileged():
    pod = Pod("privileged", privileged=True)
    equal("output", pod.run("c", "mount -t tmpfs none /mnt && echo mounted", security={"privileged": True}), "mounted")


def case_hostname():
    pod = Pod("hostname", network=api.POD, hostname="of-the-pod")
    equal("hostname", pod.run("c", "hostname"), "of-the-pod")


def case_debug_container():
    """An ephemeral container is in the pid namespace of the container that it inspects."""
    pod = Pod("debug")
    target = pod.start("a", ["sleep", "1234"])
    options = api.NamespaceOption(network=api.NODE, pid=api.TARGET, ipc=api.POD, target_id=target)
    it = pod.start("b", ["sleep", "1000"], options=options)
    assert "sleep 1234" in said(it, "ps")
    # One after the other: containerd has a race if both end while it stops the sandbox.
    stop(it)
    stop(target)


def case_namespaces_of_the_node():
    it = Pod("node", pid=api.NODE, ipc=api.NODE).start("c", ["sleep", "1000"])
    for kind in ("pid", "net", "ipc"):
        equal(kind, said(it, "readlink", f"/proc/self/ns/{kind}"), os.readlink(f"/proc/self/ns/{kind}"))


def case_log_reopened():
    pod = Pod("reopened")
    it = pod.start("c", ["sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done"])
    log = f"{LOGS}/reopened/c.log"
    soon("a line", lambda: pod.log("c"))
    os.rename(log, f"{log}.1")
    runtime.ReopenContainerLog(api.ReopenContainerLogRequest(container_id=it))
    soon("a line in the new one", lambda: pod.log("c"))
    assert pod.log("c").splitlines()[0] != "0", pod.log("c")


def case_exec_that_takes_too_long():
    it = Pod("long").start("c", ["sleep", "1000"])
    try:
        runtime.ExecSync(api.ExecSyncRequest(container_id=it, cmd=["sleep", "999"], timeout=1))
    except grpc.RpcError as error:
        equal("code", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert "sleep 999" not in said(it, "ps"), "it runs still"
        return
    raise AssertionError("it ended")


def case_containerd_starts_anew():
    global runtime
    pod = Pod("anew")
    it = pod.start("c", ["sleep", "1000"])
    os.system("systemctl reset-failed containerd; systemctl restart containerd")
    runtime = connect()
    equal("state", status(it).state, api.CONTAINER_RUNNING)
    equal("output", said(it, "echo", "hi"), "hi")
    stop(it)
    equal("exit code", status(it).exit_code, 137)


def case_sandbox_stopped():
    """A sandbox ends its containers, and its status is available until it is removed."""
    pod = Pod("stopped")
    it = pod.start("c", ["sleep", "1000"])
    equal("pods", len(runtime.ListPodSandbox(api.ListPodSandboxRequest()).items), 1)
    runtime.StopPodSandbox(api.StopPodSandboxRequest(pod_sandbox_id=pod.id))
    equal("state", status(it).state, api.CONTAINER_EXITED)
    answer = runtime.PodSandboxStatus(api.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status
    equal("state", answer.state, api.SANDBOX_NOTREADY)
    equal("handler", answer.runtime_handler, HANDLER)
    runtime.RemovePodSandbox(api.RemovePodSandboxRequest(pod_sandbox_id=pod.id))
    equal("containers", len(runtime.ListContainers(api.ListContainersRequest()).containers), 0)


def case_sysctls():
    pod = Pod("sysctls", network=api.POD, sysctls={"net.core.somaxconn": "77"})
    equal("sysctl", pod.run("c", "cat /proc/sys/net/core/somaxconn"), "77")


# There is no case for a restore: containerd first fetches the image of the container from a registry.
def case_checkpoint():
    pod = Pod("checkpoint")
    it = pod.start("c", ["sh", "-c", os.environ["COUNTER"]])
    soon("a count of ten", lambda: len(count(it)) >= 10)
    archive = f"{LOGS}/checkpoint/archive"
    before = count(it)
    runtime.CheckpointContainer(api.CheckpointContainerRequest(container_id=it, location=archive))
    goes_on(it, before)
    with tarfile.open(archive) as files:
        assert "checkpoint/inventory.img" in files.getnames(), files.getnames()


def case_graceful_stop():
    pod = Pod("graceful")
    it = pod.start("c", ["sh", "-c", 'trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done'])
    soon("that it is ready", lambda: pod.log("c"))
    stop(it, timeout=int(os.environ["PATIENCE"]))
    equal("exit code", status(it).exit_code, 3)


def case_program_missing():
    pod = Pod("missing")
    it = pod.create("c", ["/nowhere"])
    try:
        runtime.StartContainer(api.StartContainerRequest(container_id=it))
    except grpc.RpcError as error:
        assert "no such file" in error.details() or "executable file not found" in error.details(), error.details()
        assert "\n" not in error.details(), error.details()
        return
    raise AssertionError("it started")


def cleanup():
    for pod in runtime.ListPodSandbox(api.ListPodSandboxRequest()).items:
        runtime.StopPodSandbox(api.StopPodSandboxRequest(pod_sandbox_id=pod.id))
        runtime.RemovePodSandbox(api.RemovePodSandboxRequest(pod_sandbox_id=pod.id))


try:
    if sys.argv[1] == "cleanup":
        cleanup()
    else:
        HANDLER = sys.argv[2]
        PARENT = "/kubepods/burstable" if HANDLER.endswith("-cgroupfs") else "kubepods.slice"
        globals()[f"case_{sys.argv[1]}"]()
        cleanup()
except grpc.RpcError as error:
    sys.exit(error.details())
except AssertionError as error:
    sys.exit(str(error))
