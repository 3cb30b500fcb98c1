# Containers in containers, with and without an engine inside. Both use the same runtime.
HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$HERE/podman-rootless.sh"
ENGINE=(podman --runtime "${RUNTIME:-/usr/sbin/runc}")
for name in $(cases); do unset -f "case_$name"; done

OUTER=(--rm --network=none --rootfs /:O)
# The inner podman keeps its images in memory: its storage cannot be an overlay on the overlay.
ENGINE_INSIDE=(
  --tmpfs /var/lib/containers:exec,dev,suid,mode=755 --tmpfs /run:exec,mode=755 --env RUNTIME="${RUNTIME:-}" --env IMAGE=$IMAGE
)
ASIDE='mkdir /sys/fs/cgroup/self; echo 0 >/sys/fs/cgroup/self/cgroup.procs'
START='set -e; podman import /img.tar $IMAGE >/dev/null 2>&1; podman --cgroup-manager cgroupfs --runtime $RUNTIME run --rm --network=none'

case_in_privileged() { want 'inner 0' podman run --privileged "${OUTER[@]}" "$HERE/inner" "$RUNTIME"; }
# If root may not access all directories, the files that the inner container needs are bound.
BOUND=(
  --privileged --rm --network=none -v /job:/job:ro -v /usr:/usr:ro -v /lib64:/lib64:ro -v /lib:/lib:ro
  --env PATH=/bin:/usr/bin:/usr/sbin --env LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu
)
case_in_user_namespace() {
  want 'inner 0' podman run "${BOUND[@]}" --userns auto:size=65536 $IMAGE "$HERE/inner" "$RUNTIME" --rootless
}
case_in_rootless() {
  ENGINE=("${AS_USER[@]}" podman --runtime "$RUNTIME")
  want 'inner 0' podman run "${BOUND[@]}" $IMAGE "$HERE/inner" "$RUNTIME" --rootless
}
# podman needs controllers in its child cgroups, so its own process must leave the cgroup first.
case_podman_inside() { want deep podman run --privileged "${OUTER[@]:0:2}" "${ENGINE_INSIDE[@]}" --rootfs /:O sh -c "$ASIDE; $START \$IMAGE echo deep"; }
case_limits_inside() {
  want 77 podman run --privileged "${OUTER[@]:0:2}" "${ENGINE_INSIDE[@]}" --rootfs /:O \
    sh -c "$ASIDE; $START --pids-limit 77 \$IMAGE cat /sys/fs/cgroup/pids.max"
}
# Whole daemons inside, with all their files in memory.
DAEMONS=(
  --privileged --rm --network=none --env RUNTIME="${RUNTIME:-}" --tmpfs /run:exec,mode=755
  --tmpfs /var/lib/docker:exec,dev,suid,mode=755 --tmpfs /var/lib/containerd:exec,dev,suid,mode=755
)
UNTIL='until $READY >/dev/null 2>&1; do sleep 0.1; done'
case_containerd_inside() {
  want 'deep 67108864' podman run "${DAEMONS[@]}" --rootfs /:O sh -c "$ASIDE; containerd >/dev/null 2>&1 &
    READY='ctr version'; $UNTIL
    ctr run --runc-binary \$RUNTIME --rm --memory-limit 67108864 \
      --mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro --rootfs /img x /bin/sh -c 'echo deep \$(cat /sys/fs/cgroup/default/x/memory.max)'"
}
case_docker_inside() {
  want 'deep 77' podman run "${DAEMONS[@]}" --rootfs /:O sh -c "$ASIDE; echo '{}' >/run/daemon.json
    dockerd --config-file /run/daemon.json --iptables=false --ip6tables=false --bridge=none --add-runtime it=\$RUNTIME \
      --exec-opt native.cgroupdriver=cgroupfs >/run/said 2>&1 &
    READY='docker version'; $UNTIL
    docker import /img.tar box >/dev/null
    docker run --rm --runtime it --network none --pids-limit 77 box sh -c 'echo deep \$(cat /sys/fs/cgroup/pids.max)'"
}

prepare() {
  configure
  podman import /img.tar $IMAGE
  "${AS_USER[@]}" podman import -c 'ENV PATH=/bin' /img.tar $IMAGE
}
