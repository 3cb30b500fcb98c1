"""Cases for containerd's CRI plugin, called as the kubelet calls it: `cri.py CASE HANDLER`, `cri.py cleanup`."""

import base64
import json
import os
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
channel = grpc.insecure_channel("unix:///run/containerd/containerd.sock")
runtime = stubs.RuntimeServiceStub(channel)


def equal(what, got, wanted):
    assert got == wanted, f"{what}: wanted {wanted!r}, got {got!r}"


def soon(what, condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"never came true: {what}")


class Pod:
    """A sandbox, with the host's network unless told otherwise."""

    def __init__(self, name, network=api.NODE, pid=api.CONTAINER, users=None, privileged=False, sysctls=None):
        options = api.NamespaceOption(network=network, pid=pid, ipc=api.POD, userns_options=users)
        self.config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=name, uid=name, namespace="default"),
            log_directory=f"{LOGS}/{name}",
            linux=api.LinuxPodSandboxConfig(
                cgroup_parent="kubepods.slice",
                security_context=api.LinuxSandboxSecurityContext(namespace_options=options, privileged=privileged),
                sysctls=sysctls,
            ),
        )
        os.makedirs(f"{LOGS}/{name}", exist_ok=True)
        self.options = options
        self.id = runtime.RunPodSandbox(
            api.RunPodSandboxRequest(config=self.config, runtime_handler=HANDLER)
        ).pod_sandbox_id

    def create(self, name, command, resources=None, security=None, mounts=(), **config):
        """A container's id."""
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name),
            image=api.ImageSpec(image=BOX),
            command=command,
            log_path=f"{name}.log",
            mounts=mounts,
            linux=api.LinuxContainerConfig(
                resources=api.LinuxContainerResources(**(resources or {})),
                security_context=api.LinuxContainerSecurityContext(namespace_options=self.options, **(security or {})),
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
        """What the program says, once it has ended well."""
        it = self.start(name, ["sh", "-c", command], **config)
        soon("the end of the program", lambda: status(it).state == api.CONTAINER_EXITED)
        said = self.log(name)
        equal(f"exit code of {command!r}, which says {said!r}", status(it).exit_code, 0)
        return said

    def log(self, name):
        with open(f"{LOGS}/{self.config.metadata.name}/{name}.log") as file:
            return "".join(line.split(" ", 3)[3] for line in file).strip()


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
    """Who COUNTER of lib.sh is, once for each number: it has to be one program that has left out nothing."""
    lines = [line.split() for line in said(it, "cat", "/tmp/f").splitlines()]
    who = [line[:2] for line in lines]
    equal("count", lines, [[*who[0], str(number)] for number in range(1, len(lines) + 1)])
    return who


def goes_on(it, before):
    """It is the program of this count, from where it was."""
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
        """Until the output has this text."""
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
    equal("log", pod.run("c", "echo out; echo err >&2"), "out\nerr")


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
    """As the kubelet does: another container with the next attempt, in the same sandbox."""
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


def case_cgroup_of_the_pod():
    pod = Pod("cgroup")
    it = pod.start("c", ["sleep", "1000"])
    pid = json.loads(runtime.ContainerStatus(api.ContainerStatusRequest(container_id=it, verbose=True)).info["info"])["pid"]
    with open(f"/proc/{pid}/cgroup") as file:
        equal("cgroup", file.read().strip(), f"0::/kubepods.slice/cri-containerd-{it}.scope")


def case_statistics():
    pod = Pod("stats")
    it = pod.start("c", ["sleep", "1000"])
    stats = runtime.ContainerStats(api.ContainerStatsRequest(container_id=it)).stats
    assert stats.memory.working_set_bytes.value > 0 and stats.cpu.usage_core_nano_seconds.value > 0, stats


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


def case_privileged():
    pod = Pod("privileged", privileged=True)
    equal("output", pod.run("c", "mount -t tmpfs none /mnt && echo mounted", security={"privileged": True}), "mounted")


def case_sysctls():
    pod = Pod("sysctls", network=api.POD, sysctls={"net.core.somaxconn": "77"})
    equal("sysctl", pod.run("c", "cat /proc/sys/net/core/somaxconn"), "77")


# A restore is out of reach: containerd fetches the image that the container was made of from a registry first.
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
    it = pod.start("c", ["sh", "-c", 'trap "exit 3" TERM; while :; do sleep 0.1; done'])
    time.sleep(0.5)
    stop(it, timeout=10)
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
        globals()[f"case_{sys.argv[1]}"]()
except grpc.RpcError as error:
    sys.exit(error.details())
except AssertionError as error:
    sys.exit(str(error))
