# Cases for podman as root, with its default cgroup manager (systemd).

ENGINE=(podman --runtime "${RUNTIME:-/usr/sbin/runc}")
podman() { command "${ENGINE[@]}" "$@"; }
tare() { "${ENGINE[@]:0:${#ENGINE[@]}-3}" /usr/local/bin/tare "$@"; }
buildah() { command "${ENGINE[@]:0:${#ENGINE[@]}-3}" buildah "$@"; }
run() { podman run --rm --network=none "$@"; }
# tare becomes podman's runtime in the way of README.md.
configure() {
  id containers >/dev/null 2>&1 || useradd --system containers
  grep -q containers: /etc/subuid || echo containers:1000000:1000000 | tee -a /etc/subuid >>/etc/subgid
  readme podman
}
prepare() {
  configure
  podman import /img.tar $IMAGE
}
cleanup() {
  podman rm --force --time 0 --all >/dev/null
  case $N in pods-* | kube-*) podman pod rm --force --time 0 --all >/dev/null ;; esac
}

case_run() { want hello run $IMAGE echo hello; }
case_status() { fails 42 '' run $IMAGE sh -c 'exit 42'; }
case_stdin() { want hello run -i $IMAGE cat <<<hello; }
case_tty() { has /dev/pts/0 terminal "${ENGINE[@]}" run --rm -it --network=none $IMAGE tty; }
case_identity() { want '1234:5678 /tmp v box' run --user 1234:5678 --workdir /tmp --env K=v --hostname box $IMAGE sh -c 'echo $(id -u):$(id -g) $PWD $K $(hostname)'; }
case_detach_logs() {
  podman run -d --name $N --network=none $IMAGE sh -c 'echo out; echo err >&2; exit 3' >/dev/null
  want 3 podman wait $N
  has out podman logs $N
  has err podman logs $N
}
case_exec() {
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  want 7:8 podman exec --user 7:8 $N sh -c 'echo $(id -u):$(id -g)'
  want hi podman exec -i $N cat <<<hi
  fails 5 '' podman exec $N sh -c 'exit 5'
  has /dev/pts/ terminal "${ENGINE[@]}" exec -it $N tty
  podman exec -d $N touch /made
  soon podman exec $N test -e /made
  has 'sleep 1000' podman exec $N ps
}
case_image_for_tare_and_back() {
  local dir format
  dir=$(directory)
  five_layers podman run --network=none
  for format in docker-archive oci-archive; do
    podman save -q --format $format -o "$dir/$format" localhost/$N:5
    runs_with_tare "$dir/$format"
  done
  tare run --keep --image "$dir/oci-archive" $N -- sh -c 'echo new >/new; rm -r /d/e'
  has 'D /d/e' tare diff $N
  tare pack $N "$dir/oci:t"
  tare delete $N
  want '4 5 link1 link2 link3 link4 link5 new' run "$(podman pull -q "oci:$dir/oci:t")" sh -c 'echo $(ls /d) $(cat /new)'
}
case_read_only() { has 'Read-only' run --read-only $IMAGE sh -c 'touch /x; touch /tmp/x && echo'; }
case_volumes() {
  local dir
  dir=$(directory) && echo host >"$dir/f" && chown $OWNER: "$dir/f"
  podman volume create $N >/dev/null
  run -v $N:/v $IMAGE sh -c 'echo kept >/v/f'
  want kept run -v $N:/v:ro $IMAGE cat /v/f
  want 'host ro' run -v "$dir":/d:ro $IMAGE sh -c 'echo $(cat /d/f) $(touch /d/x 2>/dev/null || echo ro)'
  want host run -v "$dir":/d:O $IMAGE sh -c 'cat /d/f; echo changed >/d/f'
  want host cat "$dir/f"
  run -v "$dir":/d:U,exec,rshared --user 55 $IMAGE sh -c 'echo mine >/d/f'
  want mine run -v "$dir":/d --user 55 $IMAGE sh -c 'test $(stat -c %u /d/f) = 55 && cat /d/f'
  want tmpfs run --tmpfs /t:size=1m,mode=1770 $IMAGE sh -c 'stat -f -c %T /t'
  want data run --mount type=bind,src="$dir",dst=/d,ro=true --mount type=tmpfs,dst=/t,tmpfs-size=1m $IMAGE sh -c 'echo data >/t/f; cat /t/f'
  podman volume rm $N >/dev/null
}
case_limits() {
  podman run -d --name $N --network=none --memory 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 50 $IMAGE sleep 1000 >/dev/null
  limits() { podman exec $N sh -c 'cd /sys/fs/cgroup; echo $(cat memory.max memory.low cpu.max pids.max)'; }
  want '67108864 33554432 50000 100000 50' limits
  podman update --memory 32m --pids-limit 20 $N >/dev/null
  want '33554432 33554432 50000 100000 20' limits
}
case_out_of_memory() {
  fails 137 '' run --memory 16m --memory-swap 16m $IMAGE sh -c "$HOG"
  fails 137 '' podman run --name $N --network=none --memory 16m --memory-swap 16m $IMAGE sh -c "$HOG_OF_TWO"
  want true podman inspect -f '{{.State.OOMKilled}}' $N
}
case_pause() {
  podman run -d --name $N --network=none $IMAGE sh -c 'while :; do echo x; sleep 0.1; done' >/dev/null
  podman pause $N >/dev/null
  want paused podman inspect -f '{{.State.Status}}' $N
  fails 255 'improper|paused' podman exec $N true
  podman unpause $N >/dev/null
  want running podman inspect -f '{{.State.Status}}' $N
}
case_stats_top() {
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  want 1 podman stats --no-stream --format '{{.PIDs}}' $N
  has 'sleep 1000' podman top $N
  has filter podman top $N capeff seccomp hpid
}
case_stop_kill_restart() {
  logged() { podman logs $N | grep "$1"; }
  podman run -d --name $N --network=none $IMAGE sh -c 'trap "exit 9" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.1; done' >/dev/null
  soon logged ready
  podman kill --signal USR1 $N >/dev/null
  soon logged usr1
  podman stop --time $PATIENCE $N >/dev/null
  want 9 podman inspect -f '{{.State.ExitCode}}' $N
  podman restart $N >/dev/null
  want running podman inspect -f '{{.State.Status}}' $N
  podman kill $N >/dev/null
  want 137 podman wait $N
}
case_health() {
  podman run -d --name $N --network=none --health-cmd 'test -e /ok' --health-interval disable --health-retries 1 $IMAGE sleep 1000 >/dev/null
  fails 1 '' podman healthcheck run $N
  podman exec $N touch /ok
  podman healthcheck run $N
  want healthy podman inspect -f '{{.State.Health.Status}}' $N
}
case_init() { has podman-init run --init $IMAGE sh -c 'tr "\0" " " </proc/1/cmdline'; }
case_pods() {
  podman pod create --name $N --network=none --share net,ipc,uts,pid >/dev/null
  podman run -d --pod $N --name $N-a $IMAGE sleep 1000 >/dev/null
  has 'sleep 1000' podman run --rm --pod $N $IMAGE ps
  want 'same' podman run --rm --pod $N $IMAGE sh -c 'test $(readlink /proc/self/ns/net) = $(readlink /proc/1/ns/net) && echo same'
  podman pod pause $N >/dev/null && podman pod unpause $N >/dev/null
  podman pod stop -t 0 $N >/dev/null
}
# The containers of a pod join the user namespace of its first container. Their limits are above the caller's.
case_pods_with_a_user_namespace() {
  podman pod create --name $N --network=none --userns auto:size=10000 >/dev/null
  podman run -d --pod $N --name $N-a $IMAGE sleep 1000 >/dev/null
  want 10000 podman exec $N-a sh -c 'set -- $(cat /proc/self/uid_map); echo $3'
  want "$(podman exec $N-a readlink /proc/self/ns/user)" podman run --rm --pod $N $IMAGE readlink /proc/self/ns/user
  [ $OWNER != root ] || want 600000 podman run --rm --pod $N --ulimit nofile=600000:600000 $IMAGE sh -c 'ulimit -Hn'
}
case_user_namespace_of_another() {
  podman run -d --name $N --network=none --userns auto:size=10000 $IMAGE sleep 1000 >/dev/null
  want "$(podman exec $N readlink /proc/self/ns/user)" run --userns container:$N $IMAGE readlink /proc/self/ns/user
  [ $OWNER != root ] || want 600000 run --userns container:$N --ulimit nofile=600000:600000 $IMAGE sh -c 'ulimit -Hn'
}
# Passes some descriptors of the caller, and none of the numbers between them.
case_preserved_descriptors() {
  local shown='read a <&9; read b <&40; echo $a $b $(ls /proc/self/fd | sort -n | tr "\n" " ")'
  exec 9<<<nine 40<<<forty
  want 'nine forty 0 1 2 3 9 40' run --preserve-fd=9,40 $IMAGE sh -c "$shown"
  exec 9<<<nine 40<<<forty
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  want 'nine forty 0 1 2 3 9 40' podman exec --preserve-fd=9,40 $N sh -c "$shown"
}
case_namespaces() {
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  has 'sleep 1000' run --pid container:$N $IMAGE ps
  want "$(readlink /proc/self/ns/uts)" run --uts host $IMAGE readlink /proc/self/ns/uts
  want "$(readlink /proc/self/ns/net)" podman run --rm --network host $IMAGE readlink /proc/self/ns/net
  want "$(readlink /proc/self/ns/ipc)" run --ipc host $IMAGE readlink /proc/self/ns/ipc
  has "$(cat /proc/sys/kernel/random/boot_id)" run --pid host $IMAGE cat /proc/sys/kernel/random/boot_id
}
case_userns_auto() { want '0 65536' run --userns auto:size=65536 $IMAGE sh -c 'awk "{print \$1, \$3}" /proc/self/uid_map'; }
case_userns_map() { want '0 100000 1000' run --uidmap 0:100000:1000 --gidmap 0:100000:1000 $IMAGE sh -c 'set -- $(cat /proc/self/uid_map); echo $*'; }
case_build() {
  local dir
  dir=$(directory)
  printf 'FROM %s\nRUN id -u >/built && mkdir /d && chown 7:7 /d\nUSER 7\nRUN touch /d/mine\nCMD cat /built\n' $IMAGE >"$dir/Containerfile"
  podman build --network=none -q -t localhost/$N "$dir" >/dev/null
  want 0 run localhost/$N
  podman rmi -f localhost/$N >/dev/null
}
case_buildah() {
  local id
  id=$(buildah from $IMAGE)
  want done buildah run --runtime "$RUNTIME" --network=none "$id" -- echo done
  buildah rm "$id" >/dev/null
}
case_rootfs_overlay() {
  want over run --rootfs /img:O sh -c 'echo over >/f; cat /f'
  test ! -e /img/f
}
case_security() {
  want 1 run --security-opt no-new-privileges $IMAGE sh -c 'grep NoNewPrivs /proc/self/status | cut -f2'
  want 0 run --security-opt seccomp=unconfined $IMAGE sh -c 'grep Seccomp: /proc/self/status | cut -f2'
  want 2 run $IMAGE sh -c 'grep Seccomp: /proc/self/status | cut -f2'
  printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' >/tmp/$N.json
  has 'not permitted' run --security-opt seccomp=/tmp/$N.json $IMAGE sh -c 'mkdir /x || true'
  want 0 run --security-opt mask=/etc $IMAGE sh -c 'ls /etc | wc -l'
  fails 1 0 run --security-opt unmask=ALL $IMAGE sh -c "$COVERED"
  run $IMAGE sh -c "$COVERED"
  want fine run --security-opt label=disable --security-opt apparmor=unconfined $IMAGE echo fine
  has hidepid= run --security-opt proc-opts=hidepid=2 $IMAGE grep ' /proc ' /proc/self/mountinfo
}
# The container ends, whatever the program needs, and the reason is reported.
case_profile_that_denies_all() {
  echo '{"defaultAction":"SCMP_ACT_ERRNO"}' >/tmp/$N.json
  fails 126 "$([ $KIND != tare ] || echo linux.seccomp)" run --security-opt seccomp=/tmp/$N.json $IMAGE true
}
case_capabilities() {
  want 0000000000000000 run --cap-drop ALL $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
  want 0000000000002000 run --cap-drop ALL --cap-add NET_RAW $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
  want "$(sed -n 's/^CapBnd:\t//p' /proc/self/status)" run --privileged $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
}
case_privileged() { want fine run --privileged $IMAGE sh -c 'mount -t tmpfs none /mnt && test -b /dev/ubda -o -b /dev/vda && echo fine'; }
case_secrets() {
  printf s3cret | podman secret create $N - >/dev/null
  want 's3cret s3cret' run --secret $N --secret $N,type=env,target=S $IMAGE sh -c 'echo $(cat /run/secrets/'$N') $S'
  podman secret rm $N >/dev/null
}
case_ulimits() { want '123 456' run --ulimit nofile=123:456 $IMAGE sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'; }
case_devices() {
  want '5 1' run --device /dev/console:/dev/f:rw $IMAGE sh -c 'stat -c "%t %T" /dev/f'
  want fine run --device-cgroup-rule 'c 1:11 rw' --cap-add MKNOD $IMAGE sh -c 'mknod /dev/k c 1 11 && : <>/dev/k && echo fine'
  has 'not permitted' run --cap-add MKNOD $IMAGE sh -c 'mknod /dev/k c 1 11; (: <>/dev/k) 2>&1 || true'
}
case_sysctl_shm() { want '3 2048' run --sysctl net.core.somaxconn=3 --shm-size 2m $IMAGE sh -c 'echo $(cat /proc/sys/net/core/somaxconn) $(df -k /dev/shm | awk "END{print \$2}")'; }
case_oom_score() { want 77 run --oom-score-adj 77 $IMAGE cat /proc/self/oom_score_adj; }
case_cgroups_disabled() { want fine podman run --rm --network=none --cgroups=disabled $IMAGE echo fine; }
case_cgroupns_host() { has libpod run --cgroupns host $IMAGE cat /proc/self/cgroup; }
case_cgroupfs() { want '0::/ 50' podman --cgroup-manager cgroupfs run --rm --network=none --pids-limit 50 $IMAGE sh -c 'echo $(cat /proc/self/cgroup) $(cat /sys/fs/cgroup/pids.max)'; }
case_systemd_inside() {
  podman run -d --name $N --network=none --systemd=always --rootfs /:O /sbin/init --unit=basic.target >/dev/null
  soon podman exec $N systemctl is-active basic.target
  want running:0 podman exec $N sh -c 'systemd-run --quiet --wait --pipe --unit=x true; echo running:$?'
  podman stop --time $PATIENCE $N >/dev/null
  want 0 podman inspect -f '{{.State.ExitCode}}' $N
}
# A unit that podman's generator makes from a few lines in DIRECTORY; SYSTEMCTL is the way to call the service manager.
quadlet() { # DIRECTORY SYSTEMCTL...
  local dir=$1 unit=$1/$N.container
  shift
  mkdir -p "$dir"
  cat >"$unit" <<END
[Container]
Image=$IMAGE
ContainerName=$N
Network=none
GlobalArgs=--runtime $RUNTIME
Exec=sleep 1000
END
  "$@" daemon-reload
  "$@" start $N
  want running podman inspect -f '{{.State.Status}}' $N
  "$@" stop $N
  rm "$unit"
  "$@" daemon-reload
  ! podman container exists $N
}
case_quadlet() { quadlet /etc/containers/systemd systemctl; }
case_timeout() { fails 255 '' podman run --rm --network=none --timeout 1 $IMAGE sleep 100; }
case_attach() {
  podman run -d -i --name $N --network=none $IMAGE cat >/dev/null
  (echo through; sleep 0.5) | timeout 5 "${ENGINE[@]}" attach $N >/tmp/$N.out || true
  soon grep -q through /tmp/$N.out
}
case_cp_commit_diff() {
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  echo x >/tmp/$N && podman cp /tmp/$N $N:/f && want x podman exec $N cat /f
  has 'A /f' podman diff $N
}
inspected() { podman inspect -f "{{.$1}}" "${2:-$N}"; }
pid() { inspected State.Pid "$@"; }
# Starts COUNTER and waits until it has counted for a while; sets `before`.
counting() { # OPTION...
  full
  podman run -d --name $N --network=none "$@" $IMAGE sh -c "$COUNTER" >/dev/null
  before=$(counted "$(pid)")
}
case_checkpoint() {
  counting
  local pid
  for _ in 1 2; do
    podman container checkpoint $N >/dev/null
    want 'exited true' inspected 'State.Status}} {{.State.Checkpointed'
    podman container restore $N >/dev/null
    pid=$(pid)
    goes_on "$before" "$pid"
    before=$(count "$pid")
  done
  want "${before% *}" podman exec $N sh -c 'tail -n 1 /tmp/f | cut -d " " -f 1,2'
  soon sh -c "test \$(${ENGINE[*]} logs $N | tail -n 1) -gt ${before##* }"
  podman pause $N >/dev/null && podman unpause $N >/dev/null
  podman stop --time $PATIENCE $N >/dev/null
  want 9 inspected State.ExitCode
}
case_checkpoint_export() {
  counting --volume $N:/v
  podman exec $N sh -c 'echo kept >/v/f; echo written >/w; rm /etc/group'
  podman container checkpoint --export /tmp/$N.tar $N >/dev/null
  podman rm --volumes $N >/dev/null
  podman volume rm $N >/dev/null
  podman container restore --import /tmp/$N.tar >/dev/null
  goes_on "$before" "$(pid)"
  want 'kept written' podman exec $N sh -c 'test ! -e /etc/group; echo $(cat /v/f /w)'
  podman container restore --import /tmp/$N.tar --name $N-new --ignore-volumes >/dev/null
  goes_on "$before" "$(pid $N-new)"
  goes_on "$before" "$(pid)"
  podman rm --force --time 0 $N >/dev/null
  podman stop --time $PATIENCE $N-new >/dev/null
  want 9 inspected State.ExitCode $N-new
}
case_checkpoint_options() {
  counting
  podman container checkpoint --leave-running $N >/dev/null
  goes_on "$before" "$(pid)"
  before=$(count "$(pid)")
  podman container checkpoint --keep --print-stats $N >/tmp/$N
  want true jq '[.container_statistics[0].criu_statistics | .pages_written, .frozen_time] | all(. > 0)' /tmp/$N
  has 'Dumping finished successfully' cat "$(inspected State.CheckpointLog)"
  podman container restore --keep --print-stats $N >/tmp/$N
  want true jq '[.container_statistics[0].criu_statistics | .pages_restored, .restore_time] | all(. > 0)' /tmp/$N
  has 'Restore finished successfully' cat "$(inspected State.RestoreLog)"
  goes_on "$before" "$(pid)"
}
case_checkpoint_pre() {
  counting
  podman container checkpoint --pre-checkpoint --export /tmp/$N-1.tar $N >/dev/null
  goes_on "$before" "$(pid)"
  before=$(count "$(pid)")
  podman container checkpoint --with-previous --export /tmp/$N-2.tar $N >/dev/null
  podman rm $N >/dev/null
  podman container restore --import-previous /tmp/$N-1.tar --import /tmp/$N-2.tar >/dev/null
  goes_on "$before" "$(pid)"
}
# After the restore the container has all its properties again.
case_checkpoint_settings() {
  counting --memory 64m --cpus 2 --pids-limit 50 --ulimit nofile=123:456 --hostname box --init \
    --tty --user 7:8 --cap-drop ALL --security-opt no-new-privileges --tmpfs /t:mode=1777 --volume /img/etc:/d:ro
  podman exec $N sh -c 'echo tmpfs >/t/f'
  state() {
    podman exec $N sh -c 'cd /sys/fs/cgroup
      echo $(cat memory.max cpu.max pids.max /t/f; hostname; readlink /proc/1/fd/1)
      tr "\0" " " </proc/1/cmdline
      grep -E "^(Uid|Gid|Cap...|NoNewPrivs|Seccomp):" /proc/1/status
      grep "open files" /proc/1/limits
      cut -d " " -f 5,6 /proc/1/mountinfo | sort
      touch /d/x 2>/dev/null || echo read-only'
  }
  local wanted
  wanted=$(state)
  has '67108864 200000 100000 50 tmpfs box /dev/pts/0' echo "$wanted"
  podman container checkpoint $N >/dev/null
  podman container restore $N >/dev/null
  goes_on "$before" "$(pid)"
  diff <(echo "$wanted") <(state)
  podman update --pids-limit 20 $N >/dev/null
  want 20 podman exec $N cat /sys/fs/cgroup/pids.max
  podman stop --time $PATIENCE $N >/dev/null
  want 9 inspected State.ExitCode
}
case_checkpoint_tcp() {
  full
  podman run -d --name $N --network=none $IMAGE sh -c "(while :; do sleep 1000; done) | nc -l -p 7 >/tmp/got &
    until grep -q ':0007 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done
    ($COUNTER) | nc 127.0.0.1 7" >/dev/null
  # The data that has come through the connection.
  got() { awk '$1 != NR { exit bad = 1 } END { exit bad || NR < '"$1"' }' "/proc/$(pid)/root/tmp/got"; }
  before=$(counted "$(pid)")
  soon got 1
  fails 125 'tcp|criu' podman container checkpoint $N
  goes_on "$before" "$(pid)"
  before=$(count "$(pid)")
  podman container checkpoint --tcp-established $N >/dev/null
  podman container restore --tcp-established $N >/dev/null
  goes_on "$before" "$(pid)"
  soon got $((${before##* } + 10))
}
case_checkpoint_refused() {
  counting
  fails 125 'running|state improper' podman container restore $N
  podman stop --time $PATIENCE $N >/dev/null
  fails 125 'not running|state improper' podman container checkpoint $N
  fails 125 'checkpoint|state improper|no such' podman container restore $N
}
case_inspect_runtime() {
  podman create --name $N --network=none $IMAGE true >/dev/null
  want "$RUNTIME" podman inspect -f '{{.OCIRuntime}}' $N
}
case_default_runtime() {
  [ $KIND = tare ] || skip "README.md makes tare the default"
  has tare "${ENGINE[@]:0:${#ENGINE[@]}-2}" info -f '{{.Host.OCIRuntime.Name}}'
}
case_info() { has "$(basename "$RUNTIME")" podman info -f '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}'; }
case_limits_of_every_kind() {
  podman run -d --name $N --network=none --cpu-period 50000 --cpu-quota 25000 --memory 64m --memory-swap 96m --pids-limit -1 \
    --cgroup-conf memory.high=50331648 $IMAGE sleep 1000 >/dev/null
  limits() { podman exec $N sh -c 'cd /sys/fs/cgroup; echo $(cat cpu.max memory.max memory.swap.max memory.low memory.high pids.max)'; }
  want '25000 50000 67108864 33554432 0 50331648 max' limits
  podman update --cpu-period 40000 --cpu-quota 10000 --memory 48m --memory-swap 48m --memory-reservation 16m --pids-limit 9 $N >/dev/null
  want '10000 40000 50331648 0 16777216 50331648 9' limits
  local before
  before=$(podman exec $N cat /sys/fs/cgroup/cpu.weight)
  podman update --cpu-shares 2048 $N >/dev/null
  test "$(podman exec $N cat /sys/fs/cgroup/cpu.weight)" -gt "$before"
  want '10000 40000 50331648 0 16777216 50331648 9' limits
}
case_limits_of_disks() {
  [ -e /sys/fs/cgroup/system.slice/io.max ] || skip "no io.max on this kernel"
  has '98:0 rbps=1048576 wbps=2097152 riops=33 wiops=44' run --device-read-bps /dev/ubda:1mb --device-write-bps /dev/ubda:2mb \
    --device-read-iops /dev/ubda:33 --device-write-iops /dev/ubda:44 $IMAGE cat /sys/fs/cgroup/io.max
}
case_process() {
  want '0 44 55' run --group-add 44 --group-add 55 $IMAGE id -G
  want '0027 00000008' run --umask 0027 --personality LINUX32 $IMAGE sh -c 'echo $(umask) $(cat /proc/self/personality)'
  want 0 run --passwd=false --user 4242 $IMAGE sh -c 'grep -c 4242 /etc/passwd || true'
  has user: run --hostuser user $IMAGE cat /etc/passwd
  echo through >/tmp/$N && chmod 644 /tmp/$N
  want through run --preserve-fds 1 $IMAGE cat /dev/fd/3 3</tmp/$N
  podman create --name $N --network=none --annotation org.example.of=$N $IMAGE true >/dev/null
  podman start -a $N
  has '"org.example.of":"'$N'"' cat "$(podman inspect -f '{{.OCIConfigPath}}' $N)"
}
case_pid_files() {
  local dir
  dir=$(directory)
  podman run -d --name $N --network=none --pidfile "$dir/pid" --conmon-pidfile "$dir/conmon" $IMAGE sleep 1000 >/dev/null
  want "$(podman inspect -f '{{.State.Pid}} {{.State.ConmonPid}}' $N)" echo "$(cat "$dir/pid")" "$(cat "$dir/conmon")"
}
# The slice is below cgroup.slice. systemd escapes names that look like the kernel's files, so the cgroup of that is
# _cgroup.slice.
case_cgroup_parent() {
  local parent=$N.slice
  podman run -d --name $N --network=none --cgroup-parent $parent $IMAGE sleep 1000 >/dev/null
  has "/$parent/libpod-" cat "/proc/$(podman inspect -f '{{.State.Pid}}' $N)/cgroup"
}
case_cgroups() {
  want split systemd-run --quiet --wait --pipe -p Delegate=yes --unit=$N "${ENGINE[@]}" run --rm --network=none --cgroups=split $IMAGE echo split
  want 50 podman run --rm --network=none --cgroups=no-conmon --pids-limit 50 $IMAGE cat /sys/fs/cgroup/pids.max
}
# The input of a hook and its working directory: beside the container, before and after it.
case_hooks() {
  local dir stage
  dir=$(directory)
  printf '#!/bin/sh\njq -r "[.id, .annotations.of] | join(\\" \\")" >>%s/said-$1\n' "$dir" >"$dir/hook" && chmod 755 "$dir/hook"
  for stage in createRuntime poststop; do
    printf '{"version":"1.0.0","hook":{"path":"%s","args":["hook","%s"],"env":["PATH=/usr/bin"]},"when":{"annotations":{"^of$":"%s"}},"stages":["%s"]}' \
      "$dir/hook" $stage $N $stage >"$dir/$stage.json"
  done
  chmod 644 "$dir"/*.json
  podman --hooks-dir "$dir" run --name $N --annotation of=$N --network=none $IMAGE true
  podman --hooks-dir "$dir" run --rm --network=none $IMAGE true
  local id
  id=$(podman inspect -f '{{.Id}}' $N)
  want "$id $N" cat "$dir/said-createRuntime"
  want "$id $N" cat "$dir/said-poststop"
}
# A program on the host connects to the one in the container.
fetch() { python3 -c 'import sys, urllib.request as it; print(it.urlopen(sys.argv[1], timeout=5).read().decode().split(":")[0])' "http://$1/etc/passwd"; }
case_network() {
  printf '[network]\nfirewall_driver = "none"\n' >/tmp/$N.conf
  CONTAINERS_CONF_OVERRIDE=/tmp/$N.conf podman run -d --name $N $IMAGE httpd -f -p 80 -h / >/dev/null
  soon fetch "$(podman inspect -f '{{.NetworkSettings.IPAddress}}' $N)"
  has "$(podman inspect -f '{{.NetworkSettings.IPAddress}}' $N)" podman exec $N cat /etc/hosts
  CONTAINERS_CONF_OVERRIDE=/tmp/$N.conf podman rm -f -t 0 $N >/dev/null
}
case_restart_policy() {
  podman run -d --name $N --network=none --restart on-failure:2 $IMAGE sh -c 'exit 1' >/dev/null
  soon sh -c "${ENGINE[*]} inspect -f '{{.RestartCount}} {{.State.Status}}' $N | grep '^2 exited'"
}
case_requires() {
  podman create --name $N-first --network=none $IMAGE sleep 1000 >/dev/null
  podman run -d --name $N --requires $N-first --network=none $IMAGE sleep 1000 >/dev/null
  want running podman inspect -f '{{.State.Status}}' $N-first
}
case_tmpfs_options() {
  want 'root: noexec' run --tmpfs /etc:rw,noexec,tmpcopyup $IMAGE sh -c 'echo $(grep -o ^root: /etc/passwd) $(grep -o "noexec" /proc/self/mounts | head -n 1)'
  want 'none' run --tmpfs /etc:notmpcopyup $IMAGE sh -c 'ls /etc/passwd 2>/dev/null || echo none'
}
case_mount_types() {
  local dir
  dir=$(directory) && touch "$dir/a1" "$dir/a2" "$dir/b"
  want 'etc read-only' run --mount type=image,src=$IMAGE,dst=/i $IMAGE sh -c 'echo $(ls /i | grep etc) $(touch /i/x 2>/dev/null || echo read-only)'
  want 'a1 a2' run --mount "type=glob,src=$dir/a*,dst=/g" $IMAGE sh -c 'echo $(ls /g)'
  has 'devpts rw' run --mount type=devpts,dst=/p,uid=0 $IMAGE sh -c 'grep " /p " /proc/self/mountinfo | grep -o "devpts.*"'
  has ramfs run --mount type=ramfs,dst=/r $IMAGE grep ' /r ' /proc/self/mounts
}
case_id_mapped_volume() {
  local dir
  dir=$(directory)
  touch "$dir/f" && chown 7:8 "$dir/f"
  want '7 8' run --userns auto:size=65536 -v "$dir":/d:idmap $IMAGE stat -c '%u %g' /d/f
}
case_devices_of_a_directory() {
  local dir=/dev/$N
  mkdir -p $dir && { [ -e $dir/one ] || mknod $dir/one c 1 5; } && { [ -e $dir/two ] || mknod $dir/two c 1 3; }
  want 'one two' run --device $dir:/dev/mine:r $IMAGE sh -c 'echo $(ls /dev/mine)'
  want 'read refused' run --device /dev/kmsg:/dev/k:r $IMAGE sh -c 'echo $( : </dev/k && echo read) $( (: >/dev/k) 2>/dev/null || echo refused)'
}
case_ipc() {
  podman run -d --name $N --network=none --ipc shareable $IMAGE sleep 1000 >/dev/null
  want "$(podman exec $N readlink /proc/self/ns/ipc)" run --ipc container:$N $IMAGE readlink /proc/self/ns/ipc
  fails 1 '' run --ipc none $IMAGE grep ' /dev/shm ' /proc/self/mountinfo
  want "$(sed -n 's/^CapBnd:\t//p' /proc/self/status)" run --cap-add all $IMAGE sh -c 'grep CapEff /proc/self/status | cut -f2'
}
case_systemd_mode() {
  run --systemd=false $IMAGE sh -c '! grep " /run tmpfs\|/run/lock" /proc/self/mountinfo'
  has ' /run/lock ' run --systemd=always $IMAGE cat /proc/self/mountinfo
}
case_exec_options() {
  podman run -d --name $N --network=none --cidfile /tmp/$N.id $IMAGE sleep 1000 >/dev/null
  want 'v /tmp 1500 1500 3003' podman exec --env K=v --workdir /tmp -u named $N sh -c 'echo $K $PWD $(id -u) $(id -G)'
  want '7 0' podman exec -u 7:root $N sh -c 'echo $(id -u) $(id -g)'
  want "$(podman run --rm --network=none --privileged $IMAGE grep CapEff /proc/self/status)" podman exec --privileged $N grep CapEff /proc/self/status
  echo through >/tmp/$N && chmod 644 /tmp/$N
  want through podman exec --preserve-fds 1 $N cat /dev/fd/3 3</tmp/$N
  want hi podman exec --cidfile /tmp/$N.id echo hi
}
case_kube() {
  local dir
  dir=$(directory)
  cat >"$dir/pod.yaml" <<END
apiVersion: v1
kind: Pod
metadata: { name: $N }
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  securityContext: { runAsUser: 1500, runAsGroup: 1500, supplementalGroups: [44] }
  containers:
  - name: c
    image: $IMAGE
    command: [sleep, "1000"]
    resources: { limits: { memory: 48Mi, cpu: 500m } }
    securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
    volumeMounts: [{ name: room, mountPath: /room }]
  volumes: [{ name: room, emptyDir: {} }]
END
  podman kube play "$dir/pod.yaml" >/dev/null
  want '1500 1500 44 50331648 50000 100000 0000000000000000 1 read-only' podman exec $N-c sh -c \
    'cd /sys/fs/cgroup; echo $(id -u) $(id -G) $(cat memory.max cpu.max) $(grep -E "^(CapBnd|NoNewPrivs)" /proc/self/status | cut -f2) $(touch /x 2>/dev/null || echo read-only)'
  podman exec -u 0 $N-c test -d /room
  has 'kind: Pod' podman kube generate $N
  podman kube down "$dir/pod.yaml" >/dev/null
  fails 1 '' podman pod exists $N
}
case_wait_and_events() {
  podman run -d --name $N --network=none --health-cmd true --health-interval disable $IMAGE sleep 1000 >/dev/null
  want -1 podman wait --condition running $N
  podman kill $N >/dev/null
  want 137 podman wait --condition exited,stopped $N
  has 'start died:137' sh -c "${ENGINE[*]} events --stream=false --since 5m --filter container=$N --format '{{.Status}}:{{.ContainerExitCode}}' | sed -n 's/^start.*/start/p; s/^died/died/p' | paste -sd' '"
}
case_health_on_failure() {
  podman run -d --name $N-kill --network=none --health-cmd false --health-interval disable --health-retries 1 --health-on-failure kill $IMAGE sleep 1000 >/dev/null
  podman run -d --name $N-restart --network=none --health-cmd false --health-interval disable --health-retries 1 --health-on-failure restart $IMAGE sleep 1000 >/dev/null
  fails 1 '' podman healthcheck run $N-kill
  want 137 podman wait $N-kill
  local pid
  pid=$(pid $N-restart)
  fails 1 '' podman healthcheck run $N-restart
  soon sh -c "${ENGINE[*]} inspect -f '{{.State.Running}} {{.State.Pid}}' $N-restart | grep '^true' | grep -v ' $pid\$'"
}
# docker's client with podman as the server. Without a limit the client sends 0, and podman 5 passes it on. tare, and
# runc from 1.4 on, treat it as a limit of 0.
case_service() {
  local dir
  dir=$(directory)
  podman system service --time 60 "unix://$dir/socket" &
  soon test -S "$dir/socket"
  chmod 666 "$dir/socket"
  want hello docker -H "unix://$dir/socket" run --rm --network none $IMAGE echo hello
  docker -H "unix://$dir/socket" run -d --name $N --network none --memory 64m --pids-limit 50 $IMAGE sleep 1000 >/dev/null
  want '0 67108864' docker -H "unix://$dir/socket" exec $N sh -c 'echo $(id -u) $(cat /sys/fs/cgroup/memory.max)'
  want "$RUNTIME" podman inspect -f '{{.OCIRuntime}}' $N
  has 'sleep 1000' env "${ENGINE[@]:0:${#ENGINE[@]}-2}" --remote --url "unix://$dir/socket" top $N
  docker -H "unix://$dir/socket" rm -f $N >/dev/null
  kill $!
}
# A program that reports itself when it is ready: its messages reach systemd without the engine.
case_ready_by_itself() {
  systemd-run --quiet --unit=$N -p Type=notify -p NotifyAccess=all "${ENGINE[@]}" run --name $N --network=none --sdnotify=container \
    --env LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu --rootfs /:O sh -c 'systemd-notify --ready; exec sleep 1000'
  want active systemctl is-active $N
  podman kill $N >/dev/null
}
case_binary_missing() { fails 127 'not found|no such file' run $IMAGE /nowhere; }
case_binary_not_executable() { fails 126 'permission denied' run $IMAGE /etc/passwd; }
case_bad_workdir() { fails 126 'nowhere' run --workdir /nowhere $IMAGE true || fails 127 nowhere run --workdir /nowhere $IMAGE true; }
case_bad_mount() { fails 126 '/etc/passwd|not a directory' run -v /img:/etc/passwd $IMAGE true; }
case_bad_device() { fails 125 'nowhere' run --device /dev/nowhere $IMAGE true; }
case_bad_user() { fails 126 'no matching|unable to find user' run --user nobody-here $IMAGE true || fails 125 'unable to find user' run --user nobody-here $IMAGE true; }
case_exec_missing() {
  podman run -d --name $N --network=none $IMAGE sleep 1000 >/dev/null
  fails 127 'not found|no such file' podman exec $N /nowhere
  fails 126 'permission denied' podman exec $N /etc/passwd
}
