# Cases for docker with its default cgroup driver (systemd). Each container chooses its runtime.

case ${RUNTIME:-} in */tare) CHOSEN=tare ;; */crun) CHOSEN=crun ;; *) CHOSEN=runc ;; esac
docker() { command docker "$@"; }
tare() { /usr/local/bin/tare "$@"; }
run() { docker run --runtime $CHOSEN --rm --network none "$@"; }
start() { docker run --runtime $CHOSEN -d --name $N --network none "$@" >/dev/null; }
limit() { docker exec $N cat /sys/fs/cgroup/"$1"; }

# A runtime with arguments, and one with options for containerd's shim.
with() { # NAME PROGRAM
  cat <<END
    "$1-with-arguments": { "path": "$2", "runtimeArgs": ["--debug"] },
    "$1-with-options": { "runtimeType": "io.containerd.runc.v2", "options": { "BinaryName": "$2", "SystemdCgroup": true } }
END
}
# The configuration of the daemon; $1 is added to it.
daemon() {
  mkdir -p /etc/docker
  jq -s '.[0] * .[1] * .[2]' - <(/usr/local/bin/tare setup docker) <(echo "$1") >/etc/docker/daemon.json <<END
{ "runtimes": { "crun": { "path": "/usr/bin/crun" },
    $(with tare /usr/local/bin/tare), $(with crun /usr/bin/crun), $(with runc /usr/sbin/runc) },
  "default-runtime": "runc", "iptables": false, "ip6tables": false, "bridge": "none" }
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
case_image_for_tare() {
  five_layers docker run --runtime $CHOSEN --network none
  docker save -o /tmp/$N.tar localhost/$N:5
  runs_with_tare /tmp/$N.tar
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
  logged() { docker logs $N | grep "$1"; }
  start $IMAGE sh -c 'trap "exit 9" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.1; done'
  soon logged ready
  docker kill --signal USR1 $N >/dev/null
  soon logged usr1
  docker stop -t $PATIENCE $N >/dev/null
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
# BuildKit calls the program `runc` in the daemon's PATH.
case_build() {
  local dir
  dir=$(mktemp -d)
  mkdir -p /run/runc-of-buildkit /run/systemd/system/docker.service.d
  ln -sf "$RUNTIME" /run/runc-of-buildkit/runc
  printf '[Service]\nEnvironment=PATH=/run/runc-of-buildkit:%s\n' "$PATH" >/run/systemd/system/docker.service.d/path.conf
  systemctl daemon-reload && systemctl reset-failed docker && systemctl restart docker
  cat >"$dir/Dockerfile" <<END
FROM $IMAGE
RUN id -u >/built && mkdir /d && chown 7:7 /d
RUN --mount=type=cache,target=/c --mount=type=secret,id=key --mount=type=tmpfs,target=/t --mount=type=bind,target=/b \\
  touch /c/x /t/x && cat /run/secrets/key /b/key >>/built && stat -f -c %T /t >>/built
USER 7
RUN --network=none touch /d/mine
CMD cat /built
END
  echo s3cret >"$dir/key"
  docker build --network none --no-cache -q --secret id=key,src="$dir/key" -t $N "$dir" >/dev/null
  rm /run/systemd/system/docker.service.d/path.conf && systemctl daemon-reload
  want $'0\ns3cret\ns3cret\ntmpfs' run $N
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
# With the host's network: with any other the daemon itself cannot start from a checkpoint, whatever the runtime.
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
  # The daemon gives the checkpoint to containerd once more, which refuses content that it still has from before.
  ctr -n moby content prune references >/dev/null
  docker start --checkpoint two $N >/dev/null
  goes_on "$before" "$(pid)"
  docker stop -t $PATIENCE $N >/dev/null
  want 9 docker inspect -f '{{.State.ExitCode}}' $N
  daemon '{}'
}
# tare becomes the default runtime in the way of README.md.
case_default_runtime() {
  systemctl reset-failed docker
  if [ $KIND = tare ]; then readme docker; else daemon "{\"default-runtime\": \"$CHOSEN\"}"; fi
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
case_limits_of_every_kind() {
  start --cpu-period 50000 --cpu-quota 25000 --memory 64m --memory-swap 96m --pids-limit 70 --oom-score-adj 55 $IMAGE sleep 1000
  limits() { docker exec $N sh -c 'cd /sys/fs/cgroup; echo $(cat cpu.max memory.max memory.swap.max memory.low pids.max)'; }
  want '25000 50000 67108864 33554432 0 70' limits
  want 55 docker exec $N cat /proc/1/oom_score_adj
  docker update --cpu-period 40000 --cpu-quota 10000 --memory 48m --memory-swap 48m --memory-reservation 16m --pids-limit 9 $N >/dev/null
  want '10000 40000 50331648 0 16777216 9' limits
  local before
  before=$(limit cpu.weight)
  docker update --cpu-shares 2048 $N >/dev/null
  test "$(limit cpu.weight)" -gt "$before"
  want '10000 40000 50331648 0 16777216 9' limits
}
case_limits_of_disks() {
  [ -e /sys/fs/cgroup/system.slice/io.max ] || skip "no io.max on this kernel"
  start --device-read-bps /dev/ubda:1mb --device-write-bps /dev/ubda:2mb --device-read-iops /dev/ubda:33 --device-write-iops /dev/ubda:44 $IMAGE sleep 1000
  want '98:0 rbps=1048576 wbps=2097152 riops=33 wiops=44' limit io.max
}
case_process() {
  printf 'FROM_FILE=1\n' >/tmp/$N.env
  want '0 44 55 1 none' run --group-add 44 --group-add 55 --env-file /tmp/$N.env $IMAGE sh -c 'echo $(id -G) $FROM_FILE ${NOWHERE:-none}'
  start --annotation org.example.of=$N --label l=$N --stop-signal USR1 --stop-timeout $PATIENCE $IMAGE sh -c 'trap "exit 9" USR1; touch /ready; while :; do sleep 0.1; done'
  soon docker exec $N test -e /ready
  want $N jq -r '.annotations["org.example.of"]' "/run/containerd/io.containerd.runtime.v2.task/moby/$(docker ps -q --no-trunc --filter label=l=$N)/config.json"
  docker rename $N $N-renamed
  docker stop $N-renamed >/dev/null
  want 9 docker inspect -f '{{.State.ExitCode}}' $N-renamed
}
case_ipc() {
  start --ipc shareable $IMAGE sleep 1000
  want "$(docker exec $N readlink /proc/self/ns/ipc)" run --ipc container:$N $IMAGE readlink /proc/self/ns/ipc
  want "$(readlink /proc/self/ns/ipc)" run --ipc host $IMAGE readlink /proc/self/ns/ipc
  fails 1 '' run --ipc none $IMAGE grep ' /dev/shm ' /proc/self/mountinfo
  has ' /dev/shm ' run --ipc private $IMAGE grep ' /dev/shm ' /proc/self/mountinfo
  want "$(readlink /proc/self/ns/pid)" run --pid host --userns host $IMAGE readlink /proc/self/ns/pid
}
# The slice is below cgroup.slice. systemd escapes names that look like the kernel's files, so the cgroup of that is
# _cgroup.slice.
case_cgroup_parent() {
  start --cgroup-parent $N.slice $IMAGE sleep 1000
  has "/$N.slice/docker-" cat "/proc/$(docker inspect -f '{{.State.Pid}}' $N)/cgroup"
}
case_writable_cgroups() {
  want no run $IMAGE sh -c 'mkdir /sys/fs/cgroup/x 2>/dev/null && echo yes || echo no'
  want yes run --security-opt writable-cgroups=true $IMAGE sh -c 'mkdir /sys/fs/cgroup/x && echo yes'
}
case_profiles() {
  printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' >/tmp/$N.json
  has 'not permitted' run --security-opt seccomp=/tmp/$N.json $IMAGE sh -c 'mkdir /x 2>&1 || true'
  want fine run --security-opt apparmor=unconfined --security-opt label=disable $IMAGE echo fine
}
# The container ends, whatever the program needs, and the reason is reported.
case_profile_that_denies_all() {
  echo '{"defaultAction":"SCMP_ACT_ERRNO"}' >/tmp/$N.json
  case $KIND in
    tare) fails 125 linux.seccomp run --security-opt seccomp=/tmp/$N.json $IMAGE true ;;
    crun) fails 125 '' run --security-opt seccomp=/tmp/$N.json $IMAGE true ;;
    runc) fails 127 '' run --security-opt seccomp=/tmp/$N.json $IMAGE true ;;
  esac
}
case_mounts() {
  local dir
  dir=$(directory) && mkdir "$dir/sub" && mount -t tmpfs none "$dir/sub" && touch "$dir/sub/f"
  bind() { run --mount type=bind,src="$dir",dst=/d,"$1" $IMAGE sh -c 'echo $(ls /d/sub) $(touch /d/x 2>/dev/null && echo top) $(touch /d/sub/x 2>/dev/null && echo sub)'; }
  want 'top sub' bind bind-recursive=disabled
  rm -f "$dir/x"
  want 'f sub' bind readonly,bind-recursive=writable
  rm -f "$dir/sub/x"
  want 'f' bind readonly,bind-recursive=readonly,bind-propagation=rprivate
  umount "$dir/sub"
  docker volume create $N >/dev/null
  run -v $N:/v $IMAGE sh -c 'mkdir /v/part; echo in >/v/part/f'
  want in run --mount type=volume,src=$N,dst=/v,volume-subpath=part $IMAGE cat /v/f
  docker create --name $N-volumes -v $N:/v --network none $IMAGE true >/dev/null
  has 'Read-only' run --volumes-from $N-volumes:ro $IMAGE sh -c 'cat /v/part/f; touch /v/x 2>&1 || true'
  docker rm $N-volumes >/dev/null && docker volume rm $N >/dev/null
  has 'etc read-only' run --mount type=image,src=$IMAGE,dst=/i $IMAGE sh -c 'echo $(ls /i | grep etc) $(touch /i/x 2>/dev/null || echo read-only)'
  want '1770 1024' run --mount type=tmpfs,dst=/t,tmpfs-mode=1770,tmpfs-size=1m $IMAGE sh -c 'echo $(stat -c %a /t) $(df -k /t | awk "END{print \$2}")'
  has noexec run --tmpfs /t:noexec,uid=7 $IMAGE grep ' /t ' /proc/self/mounts
}
case_exec_options() {
  printf 'FROM_FILE=1\n' >/tmp/$N.env
  start $IMAGE sleep 1000
  want 'v 1 /tmp 1500 1500 3003' docker exec -e K=v --env-file /tmp/$N.env -w /tmp -u named $N sh -c 'echo $K $FROM_FILE $PWD $(id -u) $(id -G)'
  has 'sleep 1000' docker top $N -o pid,args
  docker pause $N >/dev/null
  docker kill $N >/dev/null
  want 137 docker wait $N
}
case_files() {
  start $IMAGE sh -c 'echo in >/f; sleep 1000'
  soon docker exec $N test -e /f
  echo x >/tmp/$N && docker cp -q /tmp/$N $N:/g && want x docker exec $N cat /g
  want in sh -c "docker cp $N:/f - | tar -xO"
  has 'A /f' docker diff $N
  docker kill $N >/dev/null
  docker cp -q /tmp/$N $N:/h && docker start $N >/dev/null && want x docker exec $N cat /h
  docker commit $N $N-image >/dev/null
  want 'x in' run $N-image sh -c 'echo $(cat /h) $(cat /f)'
  docker rmi -f $N-image >/dev/null
}
case_events() {
  local since=$EPOCHSECONDS
  docker run --runtime $CHOSEN --name $N --network none $IMAGE sh -c 'exit 3' || true
  has 'create start die:3' sh -c "docker events --since $since --until $((EPOCHSECONDS + 1)) --filter container=$N --format '{{.Action}}:{{.Actor.Attributes.exitCode}}' | sed 's/:<no value>//' | grep -E 'create|start|die' | paste -sd' '"
}
case_info() { has "$CHOSEN" docker info -f '{{json .Runtimes}}'; }
# A runtime with arguments, and one with containerd's own name for its type.
case_runtime_options() {
  docker run --runtime $CHOSEN-with-arguments -d --name $N-arguments --network none $IMAGE sleep 1000 >/dev/null
  grep -q '"level": *"debug"' /run/containerd/io.containerd.runtime.v2.task/moby/"$(docker inspect -f '{{.Id}}' $N-arguments)"/log.json
  docker run --runtime $CHOSEN-with-options -d --name $N --network none --pids-limit 50 $IMAGE sleep 1000 >/dev/null
  want 50 limit pids.max
  has .scope cat "/proc/$(docker inspect -f '{{.State.Pid}}' $N)/cgroup"
}
case_compose_options() {
  local dir
  dir=$(directory)
  echo s3cret >"$dir/secret"
  cat >"$dir/compose.yaml" <<END
name: $N
x-all: &all { image: $IMAGE, runtime: $CHOSEN, network_mode: none, stop_grace_period: 0s }
services:
  first:
    <<: *all
    command: sh -c 'sleep 1; touch /run/ready; sleep 1000'
    healthcheck: { test: ["CMD", "test", "-e", "/run/ready"], interval: 1s, retries: 20 }
    deploy: { resources: { limits: { cpus: "0.5", memory: 48M, pids: 33 } } }
    ulimits: { nofile: { soft: 123, hard: 456 } }
    sysctls: { net.core.somaxconn: 7 }
    secrets: [key]
    configs: [{ source: text, target: /text }]
  second:
    <<: *all
    command: sleep 1000
    depends_on: { first: { condition: service_healthy } }
    cap_drop: [ALL]
    read_only: true
    tmpfs: [/t]
    init: true
  third: { <<: *all, command: sleep 1000, pid: "service:second" }
secrets: { key: { file: ./secret } }
configs: { text: { content: from here } }
END
  compose() { docker compose -f "$dir/compose.yaml" "$@"; }
  compose up -d --wait
  want '50000 100000 50331648 33 123 456 7 s3cret from here' compose exec -T first sh -c \
    'cd /sys/fs/cgroup; echo $(cat cpu.max memory.max pids.max) $(ulimit -Sn) $(ulimit -Hn) $(cat /proc/sys/net/core/somaxconn /run/secrets/key /text)'
  want '0000000000000000 read-only' compose exec -T second sh -c 'touch /t/x; echo $(grep CapBnd /proc/self/status | cut -f2) $(touch /x 2>/dev/null || echo read-only)'
  has docker-init compose exec -T third ps
  want once compose run --rm -T --no-deps first echo once
  compose kill -s KILL third
  compose stop first
  want second compose ps --services --status running
  compose down -t 0
}
case_container_inside() {
  want 'inner 0' run --privileged -v /job:/job:ro -v /usr:/usr:ro -v /lib64:/lib64:ro -v /lib:/lib:ro -e PATH=/bin:/usr/bin:/usr/sbin \
    -e LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu $IMAGE /job/repo/hack/engines.d/inner "$RUNTIME"
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
