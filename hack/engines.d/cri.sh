# Cases for containerd's CRI plugin, called in the way of the kubelet. The client and the cases are in cri.py. The
# handler of a RuntimeClass chooses the runtime; the configuration is the one in README.md. Each runtime has a second
# handler, with cgroupfs.

HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
STUBS=/var/lib/cri
DRIVER=${DRIVER:-}

prepare() {
  local name api=/usr/share/gocode/src
  [ ! -e $STUBS/api_pb2_grpc.py ] || return 0
  mkdir -p $STUBS /etc/cni/net.d /etc/containerd
  cat >/etc/containerd/config.toml <<END
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/pause:latest'
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/lib/cni']
END
  cat >/etc/cni/net.d/1.conflist <<END
{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}]}
END
  readme containerd
  for name in crun runc; do
    sed "s|/usr/local/bin/tare|$(command -v $name)|; s/runtimes.\"tare\"/runtimes.\"$name\"/" /etc/containerd/conf.d/tare.toml \
      >/etc/containerd/conf.d/$name.toml
  done
  for name in tare crun runc; do
    sed "s/SystemdCgroup = true/SystemdCgroup = false/; s/runtimes.\"$name\"/runtimes.\"$name-cgroupfs\"/" \
      /etc/containerd/conf.d/$name.toml >/etc/containerd/conf.d/$name-cgroupfs.toml
  done
  systemctl reset-failed containerd
  systemctl restart containerd
  podman import -c 'ENV PATH=/bin' /img.tar $IMAGE
  podman import -c 'CMD ["/bin/sleep", "1000000"]' /img.tar localhost/pause
  podman save --multi-image-archive -o /cri.tar $IMAGE localhost/pause
  ctr -n k8s.io image import /cri.tar
  # The protocol's file has an option that Debian's compiler does not know yet.
  sed 's/\[debug_redact = true\]//' $api/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto >$STUBS/api.proto
  python3 -m grpc_tools.protoc -I $STUBS -I $api --python_out=$STUBS --grpc_python_out=$STUBS \
    $STUBS/api.proto $(cd $api && find github.com/gogo -name gogo.proto)
}
client() { PYTHONPATH=$STUBS python3 "$HERE/cri.py" "$@"; }
# A case that succeeds has removed its containers.
cleanup() { [ -n "${CLEAN:-}" ] || client cleanup; }
ask() { client "$1" "$KIND$DRIVER" && CLEAN=yes; }

for name in $(sed -n 's/^def case_\([a-z_]*\).*/\1/p' "$HERE/cri.py"); do
  eval "case_$name() { ask $name; }"
done
case_checkpoint() {
  full
  ask checkpoint
}
