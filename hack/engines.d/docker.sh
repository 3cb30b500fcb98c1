# docker with its default cgroup driver (systemd); the runtime is chosen for each container.

case ${RUNTIME:-} in */tare) CHOSEN=tare ;; */crun) CHOSEN=crun ;; *) CHOSEN=runc ;; esac
docker() { command docker "$@"; }
run() { docker run --runtime $CHOSEN --rm --network none "$@"; }
start() { docker run --runtime $CHOSEN -d --name $N --network none "$@" >/dev/null; }
limit() { docker exec $N cat /sys/fs/cgroup/"$1"; }

# What the daemon is told: $1 is put into its configuration.
daemon() {
  mkdir -p /etc/docker
  jq -s '.[0] * .[1] * .[2]' - <(/usr/local/bin/tare setup docker) <(echo "$1") >/etc/docker/daemon.json <<END
{ "runtimes": { "crun": { "path": "/usr/bin/crun" } }, "default-runtime": "runc",
  "iptables": false, "ip6tables": false, "bridge": "none" }
END
  systemctl reset-failed docker docker.socket || true
  systemctl restart docker
}
prepare() {
  daemon '{}'
  docker import -c 'CMD ["sh"]' /img.tar $IMAGE
}
cleanup() { docker ps -aq --filter name="^$N" | xargs -r docker rm --force >/dev/null; }

case_run() { want hello run $IMAGE echo hello; }
case_status() { fails 42 '' run $IMAGE sh -c 'exit 42'; }
case_stdin() { want hello run -i $IMAGE cat <<<hello; }
case_tty() { has /dev/pts/0 terminal docker run --runtime $CHOSEN --rm -it --network none $IMAGE tty; }
case_identity() { want '1234:5678 /tmp v box' run -u 1234:5678 -w /tmp -e K=v -h box $IMAGE sh -c 'echo $(id -u):$(id -g) $PWD $K $(hostname)'; }
case_runtime_is_the_chosen() {
  start $IMAGE sleep 1000
  want $CHOSEN docker inspect -f '{{.HostConfig.Runtime}}' $N
}
case_detach_logs() {
  start $IMAGE sh -c 'echo out; echo err >&2; exit 3'
  want 3 docker wait $N
  has out docker logs $N
  has err docker logs $N
}
case_exec() {
  start $IMAGE sleep 1000
  want 7:8 docker exec -u 7:8 $N sh -c 'echo $(id -u):$(id -g)'
  want hi docker exec -i $N cat <<<hi
  fails 5 '' docker exec $N sh -c 'exit 5'
  has /dev/pts/ terminal docker exec -it $N tty
  docker exec -d $N touch /made
  soon docker exec $N test -e /made
  want 00000000a80425fb docker exec $N sh -c 'grep CapEff /proc/self/status | cut -f2'
  want '000001ffffffffff' docker exec --privileged $N sh -c 'grep CapEff /proc/self/status | cut -f2'
}
case_health() {
  start --health-cmd 'test -e /ok' --health-interval 1s --health-retries 1 $IMAGE sleep 1000
  soon sh -c "docker inspect -f '{{.State.Health.Status}}' $N | grep unhealthy"
  docker exec $N touch /ok
  soon sh -c "docker inspect -f '{{.State.Health.Status}}' $N | grep ^healthy"
}
case_limits() {
  start --memory 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 50 $IMAGE sleep 1000
  want 67108864 limit memory.max
  want '50000 100000' limit cpu.max
  want 50 limit pids.max
  docker update --memory 32m --memory-swap 32m --pids-limit 20 $N >/dev/null
  want 33554432 limit memory.max
  want 20 limit pids.max
}
case_out_of_memory() {
  fails 137 '' run --memory 16m --memory-swap 16m $IMAGE sh -c "$HOG"
  fails 137 '' docker run --runtime $CHOSEN --name $N --network none --memory 16m --memory-swap 16m $IMAGE sh -c "$HOG_OF_TWO"
  want true docker inspect -f '{{.State.OOMKilled}}' $N
}
case_pause() {
  start $IMAGE sleep 1000
  docker pause $N >/dev/null
  want paused docker inspect -f '{{.State.Status}}' $N
  fails 1 paused docker exec $N true
  docker unpause $N >/dev/null
  docker exec $N true
}
case_stats_top() {
  start $IMAGE sleep 1000
  want 1 docker stats --no-stream --format '{{.PIDs}}' $N
  has 'sleep 1000' docker top $N
}
case_stop_kill_restart() {
  start $IMAGE sh -c 'trap "exit 9" TERM; trap "echo usr1" USR1; while :; do sleep 0.1; done'
  docker kill --signal USR1 $N >/dev/null
  soon sh -c "docker logs $N | grep usr1"
  docker stop -t 5 $N >/dev/null
  want 9 docker inspect -f '{{.State.ExitCode}}' $N
  docker restart $N >/dev/null
  docker kill $N >/dev/null
  want 137 docker wait $N
}
case_restart_policy() {
  start --restart on-failure:2 $IMAGE sh -c 'exit 1'
  soon sh -c "docker inspect -f '{{.RestartCount}} {{.State.Status}}' $N | grep '^2 exited'"
}
case_volumes() {
  local dir
  dir=$(mktemp -d) && echo host >"$dir/f"
  run -v $N:/v $IMAGE sh -c 'echo kept >/v/f'
  want kept run -v $N:/v:ro $IMAGE cat /v/f
  want 'host ro' run -v "$dir":/d:ro $IMAGE sh -c 'echo $(cat /d/f) $(touch /d/x 2>/dev/null || echo ro)'
  want tmpfs run --tmpfs /t:size=1m $IMAGE stat -f -c %T /t
  want host run --mount type=bind,src="$dir",dst=/d,bind-propagation=rslave,readonly $IMAGE cat /d/f
  docker volume rm $N >/dev/null
}
case_read_only() { has 'Read-only' run --read-only $IMAGE sh -c 'touch /x 2>&1 || true'; }
case_init() { has docker-init run --init $IMAGE sh -c 'tr "\0" " " </proc/1/cmdline'; }
case_security() {
  want 1 run --security-opt no-new-privileges $IMAGE sh -c 'grep NoNewPrivs /proc/self/status | cut -f2'
  want 0 run --security-opt seccomp=unconfined $IMAGE sh -c 'grep Seccomp: /proc/self/status | cut -f2'
  want 2 run $IMAGE sh -c 'grep Seccomp: /proc/self/status | cut -f2'
  fails 1 0 run --security-opt systempaths=unconfined $IMAGE sh -c "$COVERED"
  run $IMAGE sh -c "$COVERED"
}
case_capabilities() {
  want 0000000000000000 run --cap-drop ALL $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
  want 0000000000002000 run --cap-drop ALL --cap-add NET_RAW $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
}
case_privileged() { want fine run --privileged $IMAGE sh -c 'mount -t tmpfs none /mnt && test -b /dev/ubda -o -b /dev/vda && echo fine'; }
case_ulimits() { want '123 456' run --ulimit nofile=123:456 $IMAGE sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'; }
case_devices() {
  want '5 1 0' run --device /dev/console:/dev/f:rw $IMAGE stat -c '%t %T %u' /dev/f
  want fine run --device-cgroup-rule 'c 1:11 rw' $IMAGE sh -c 'mknod /dev/k c 1 11 && : <>/dev/k && echo fine'
  has 'not permitted' run $IMAGE sh -c 'mknod /dev/k c 1 11; (: <>/dev/k) 2>&1 || true'
}
case_sysctl_shm() { want '3 2048' run --sysctl net.core.somaxconn=3 --shm-size 2m $IMAGE sh -c 'echo $(cat /proc/sys/net/core/somaxconn) $(df -k /dev/shm | awk "END{print \$2}")'; }
case_namespaces() {
  start $IMAGE sleep 1000
  has 'sleep 1000' run --pid container:$N $IMAGE ps
  want "$(readlink /proc/self/ns/net)" docker run --runtime $CHOSEN --rm --network host $IMAGE readlink /proc/self/ns/net
  want "$(readlink /proc/self/ns/uts)" run --uts host $IMAGE readlink /proc/self/ns/uts
  want "$(readlink /proc/self/ns/cgroup)" run --cgroupns host $IMAGE readlink /proc/self/ns/cgroup
}
case_attach() {
  docker run --runtime $CHOSEN -d -i --name $N --network none $IMAGE cat >/dev/null
  (echo through; sleep 1) | timeout -s KILL 5 docker attach --sig-proxy=false $N >/tmp/$N.out || true
  soon grep -q through /tmp/$N.out
}
case_compose() {
  local dir
  dir=$(mktemp -d)
  cat >"$dir/compose.yaml" <<END
name: $N
services:
  first: { image: $IMAGE, runtime: $CHOSEN, network_mode: none, command: sleep 1000, mem_limit: 32m, volumes: ["data:/d"] }
  second:
    image: $IMAGE
    runtime: $CHOSEN
    network_mode: none
    command: sh -c 'echo shared >/d/f; sleep 1000'
    volumes: ["data:/d"]
    depends_on: [first]
volumes: { data: {} }
END
  docker compose -f "$dir/compose.yaml" up -d
  soon docker compose -f "$dir/compose.yaml" exec -T first grep shared /d/f
  has second docker compose -f "$dir/compose.yaml" ps
  docker compose -f "$dir/compose.yaml" down -v -t 0
}
# BuildKit calls whatever is named runc in the daemon's PATH.
case_build() {
  local dir
  dir=$(mktemp -d)
  mkdir -p /run/runc-of-buildkit /run/systemd/system/docker.service.d
  ln -sf "$RUNTIME" /run/runc-of-buildkit/runc
  printf '[Service]\nEnvironment=PATH=/run/runc-of-buildkit:%s\n' "$PATH" >/run/systemd/system/docker.service.d/path.conf
  systemctl daemon-reload && systemctl reset-failed docker && systemctl restart docker
  printf 'FROM %s\nRUN id -u >/built && mkdir /d && chown 7:7 /d\nUSER 7\nRUN --network=none touch /d/mine\nCMD cat /built\n' $IMAGE >"$dir/Dockerfile"
  docker build --network none --no-cache -q -t $N "$dir" >/dev/null
  rm /run/systemd/system/docker.service.d/path.conf && systemctl daemon-reload
  want 0 run $N
}
case_live_restore() {
  daemon '{"live-restore": true}'
  start $IMAGE sh -c 'i=0; while :; do i=$((i+1)); echo $i >/n; sleep 0.1; done'
  systemctl reset-failed docker && systemctl restart docker
  want running docker inspect -f '{{.State.Status}}' $N
  docker exec $N cat /n
  docker stop -t 0 $N >/dev/null
  daemon '{}'
}
# On the host's network: with another the daemon itself fails to start from a checkpoint, whatever the runtime.
case_checkpoint() {
  full
  daemon '{"experimental": true}'
  docker run --runtime $CHOSEN -d --name $N --network host $IMAGE sh -c "$COUNTER" >/dev/null
  pid() { docker inspect -f '{{.State.Pid}}' $N; }
  local before
  before=$(counted "$(pid)")
  docker checkpoint create --leave-running $N one >/dev/null
  goes_on "$before" "$(pid)"
  before=$(count "$(pid)")
  docker checkpoint create $N two >/dev/null
  soon sh -c "docker inspect -f '{{.State.Status}}' $N | grep exited"
  docker start --checkpoint two $N >/dev/null
  goes_on "$before" "$(pid)"
  docker stop $N >/dev/null
  want 9 docker inspect -f '{{.State.ExitCode}}' $N
  daemon '{}'
}
case_readme() {
  [ $KIND = tare ] || skip "README.md makes tare the default"
  systemctl reset-failed docker
  readme docker
  docker run -d --name $N --network none $IMAGE sleep 1000 >/dev/null
  want tare docker inspect -f '{{.HostConfig.Runtime}}' $N
  docker rm -f $N >/dev/null
  daemon '{}'
}
case_default_runtime() {
  daemon "{\"default-runtime\": \"$CHOSEN\"}"
  docker run -d --name $N --network none $IMAGE sleep 1000 >/dev/null
  want $CHOSEN docker inspect -f '{{.HostConfig.Runtime}}' $N
  docker rm -f $N >/dev/null
  daemon '{}'
}
case_cgroupfs() {
  daemon '{"exec-opts": ["native.cgroupdriver=cgroupfs"]}'
  start --pids-limit 50 $IMAGE sleep 1000
  want 50 limit pids.max
  has docker docker exec $N cat /proc/self/mountinfo
  docker rm -f $N >/dev/null
  daemon '{}'
}
case_userns_remap() {
  grep -q ^dockremap: /etc/subuid || echo dockremap:2000000:65536 | tee -a /etc/subuid >>/etc/subgid
  id dockremap >/dev/null 2>&1 || useradd -r dockremap
  daemon '{"userns-remap": "default"}'
  docker import -c 'CMD ["sh"]' /img.tar $IMAGE >/dev/null
  want '0 2000000 65536' run $IMAGE sh -c 'set -- $(cat /proc/self/uid_map); echo $*'
  has /dev/pts terminal docker run --runtime $CHOSEN --rm -it --network none $IMAGE tty
  start $IMAGE sleep 1000
  docker exec $N true
  docker rm -f $N >/dev/null
  daemon '{}'
}
case_binary_missing() { fails 127 'executable file not found|no such file' run $IMAGE /nowhere; }
case_binary_not_executable() { fails 126 'permission denied' run $IMAGE /etc/passwd; }
case_bad_mount() { fails 125 'not a directory' run -v /img:/etc/passwd $IMAGE true; }
case_bad_device() { fails 127 nowhere run --device /dev/nowhere $IMAGE true; }
case_bad_workdir_is_made() { want /nowhere/at/all run -w /nowhere/at/all $IMAGE pwd; }
case_bad_user() { fails 125 'unable to find user' run -u nobody-here $IMAGE true; }
case_exec_missing() {
  start $IMAGE sleep 1000
  fails 127 'executable file not found|no such file' docker exec $N /nowhere
  fails 126 'permission denied' docker exec $N /etc/passwd
}
