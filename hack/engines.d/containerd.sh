# Cases for containerd through ctr and its shim, with cgroupfs unless a case asks for systemd.

BOX=$IMAGE:latest
# ctr closes its end of a program's output when it deletes the task: on a busy machine before it has read all of the
# output (containerd's pkg/cio/io_unix.go). A successful run without output is repeated.
run() {
  local got status
  for _ in 1 2 3; do
    status=0
    got=$(ctr run --runc-binary "$RUNTIME" --rm "$@" 2>&1) || status=$?
    [ $status = 0 ] && [ -z "$got" ] || break
  done
  [ -z "$got" ] || printf '%s\n' "$got"
  return $status
}
start() { ctr run --runc-binary "$RUNTIME" -d "$@" >/dev/null; }
prepare() {
  systemctl restart containerd
  podman import -c 'ENV PATH=/bin' /img.tar $BOX
  podman save --format oci-archive -o /box.tar $BOX
  ctr image import /box.tar
}
cleanup() {
  local id
  for id in $(ctr container ls -q); do
    ctr task rm -f "$id" >/dev/null 2>&1 || true
    ctr container rm "$id" >/dev/null 2>&1 || true
  done
  [ -z "$(ctr container ls -q)" ]
}

case_run() { want hello run $BOX $N echo hello; }
case_status() { fails 42 '' run $BOX $N sh -c 'exit 42'; }
# ctr does not forward the end of its input.
case_stdin() { want hello run $BOX $N head -n 1 <<<hello; }
case_tty() { has /dev/pts/0 terminal ctr run --runc-binary "$RUNTIME" --rm -t $BOX $N tty; }
case_identity() { want '1234:5678 /tmp v' run --user 1234:5678 --cwd /tmp --env K=v $BOX $N sh -c 'echo $(id -u):$(id -g) $PWD $K'; }
case_detach() {
  start $BOX $N sleep 1000
  has RUNNING ctr task ls
  has 'sleep 1000' ctr task exec --exec-id e $N ps
  ctr task kill -s KILL $N
  soon sh -c "ctr task ls | grep STOPPED"
}
case_exec() {
  start $BOX $N sleep 1000
  want hi ctr task exec --exec-id a $N echo hi
  fails 5 '' ctr task exec --exec-id b $N sh -c 'exit 5'
  want '7 /tmp' ctr task exec --exec-id c --user 7 --cwd /tmp $N sh -c 'echo $(id -u) $PWD'
  has /dev/pts/ terminal ctr task exec --exec-id d -t $N tty
}
case_pause() {
  start $BOX $N sleep 1000
  ctr task pause $N
  has PAUSED ctr task ls
  ctr task resume $N
  has RUNNING ctr task ls
}
case_metrics() {
  start --memory-limit 67108864 $BOX $N sleep 1000
  has 'memory.usage' ctr task metrics $N
  has 67108864 ctr task metrics $N
  has 'pids.current' ctr task metrics $N
}
case_limits() {
  start --memory-limit 67108864 --cpus 0.5 --cpu-shares 512 $BOX $N sleep 1000
  local dir=/sys/fs/cgroup/default/$N
  want 67108864 cat $dir/memory.max
  want '50000 100000' cat $dir/cpu.max
}
case_processes() {
  start $BOX $N sleep 1000
  want 1 sh -c "ctr task ps $N | tail -n +2 | wc -l"
}
case_mounts_and_devices() {
  echo host >/tmp/$N
  want host run --mount type=bind,src=/tmp/$N,dst=/f,options=rbind:ro $BOX $N cat /f
  want 'c' run --device /dev/console $BOX $N sh -c 'test -c /dev/console && echo c'
}
case_read_only() { fails 1 'Read-only' run --read-only $BOX $N touch /x; }
case_privileged() { want fine run --privileged $BOX $N sh -c 'mount -t tmpfs none /mnt && echo fine'; }
case_seccomp() { want 2 run --seccomp $BOX $N sh -c 'grep Seccomp: /proc/self/status | cut -f2'; }
case_host_namespaces() { want "$(readlink /proc/self/ns/net)" run --net-host $BOX $N readlink /proc/self/ns/net; }
case_rootfs_by_path() { want hello run --rootfs /img $N /bin/echo hello; }
case_user_namespace() { want '0 100000 1000' run --uidmap 0:100000:1000 --gidmap 0:100000:1000 $BOX $N sh -c 'set -- $(cat /proc/self/uid_map); echo $*'; }
case_systemd_cgroup() {
  start --runc-systemd-cgroup --cgroup system.slice:ctr:$N --memory-limit 67108864 $BOX $N sleep 1000
  want active systemctl is-active ctr-$N.scope
  want 67108864 systemctl show -P MemoryMax ctr-$N.scope
}
pid() { ctr task ls | awk '$1 == "'"${1:-$N}"'" { print $2 }'; }
# Starts COUNTER and waits until it has counted for a while; sets `before`.
counting() {
  full
  start $BOX $N sh -c "$COUNTER"
  before=$(counted "$(pid)")
}
ended() { # STATUS
  soon sh -c 'ctr task ls | grep STOPPED'
  has "code $1" ctr task rm $N
  ctr container rm $N
}
case_checkpoint() {
  counting
  ctr container checkpoint --task --rw --image $N check-$N
  goes_on "$before" "$(pid)"
  ctr task kill -s KILL $N
  ended 137
  ctr container restore --live --rw $N check-$N
  goes_on "$before" "$(pid)"
  want "${before% *}" ctr task exec --exec-id e $N sh -c 'tail -n 1 /tmp/f | cut -d " " -f 1,2'
  ctr task kill $N
  ended 9
  ctr container restore --live --rw $N-new check-$N
  goes_on "$before" "$(pid $N-new)"
}
case_checkpoint_task() {
  counting
  ctr task checkpoint --image-path /tmp/$N/images --work-path /tmp/$N/work $N
  has 'Dumping finished successfully' cat /tmp/$N/work/dump.log
  goes_on "$before" "$(pid)"
  has containerd.io/checkpoint ctr task checkpoint --exit $N
  ended 137
  want hello run $BOX $N echo hello
}
case_out_of_memory() { fails 137 '' run --memory-limit 16777216 $BOX $N sh -c "$HOG"; }
case_many() {
  local i
  for i in 1 2 3 4 5; do start $BOX $N-$i sleep 1000; done
  want 5 sh -c 'ctr task ls | grep -c RUNNING'
}
case_process() {
  printf 'FROM_FILE=1\n' >/tmp/$N.env
  want '1 v box 1' run --env K=v --env-file /tmp/$N.env --hostname box --label l=x --annotation of=$N $BOX $N \
    sh -c 'echo $FROM_FILE $K $(hostname) $(grep NoNewPrivs /proc/self/status | cut -f2)'
  want 0 run --allow-new-privs $BOX $N sh -c 'grep NoNewPrivs /proc/self/status | cut -f2'
  want 0000000002000000 run --cap-drop CAP_CHOWN --cap-add CAP_SYS_TIME $BOX $N \
    sh -c 'printf "%016x\n" $((0x$(grep CapEff /proc/self/status | cut -f2) & 0x2000001))'
  start --annotation of=$N --pid-file /tmp/$N.pid $BOX $N sleep 1000
  want $N jq -r .annotations.of /run/containerd/io.containerd.runtime.v2.task/default/$N/config.json
  want "$(pid)" cat /tmp/$N.pid
}
case_places() {
  start --cgroup /elsewhere/$N --cpu-period 50000 --cpu-quota 25000 $BOX $N sleep 1000
  want '25000 50000' cat /sys/fs/cgroup/elsewhere/$N/cpu.max
  local uts
  uts=/proc/$(pid)/ns/uts
  want "$(readlink $uts)" run --with-ns uts:$uts $BOX $N-beside readlink /proc/self/ns/uts
  want hello run --no-pivot $BOX $N-unpivoted echo hello
  want hello run --snapshotter native $BOX $N-native echo hello
  has ' shared:' run --rootfs-propagation shared $BOX $N-shared grep ' / / ' /proc/self/mountinfo
}
# ctr passes a whole config to the runtime.
case_config() {
  mkdir -p /tmp/$N && (cd /tmp/$N && "$RUNTIME" spec && jq '.process.terminal = false | .process.args = ["echo", "from here"] | .root.path = "/img"' config.json >new)
  want 'from here' ctr run --runc-binary "$RUNTIME" --rm --config /tmp/$N/new $N
}
case_task_of_a_container() {
  ctr container create --runc-binary "$RUNTIME" $BOX $N sh -c 'trap "exit 9" TERM; touch /ready; while :; do sleep 0.1; done'
  ctr task start -d $N
  soon test -e "/proc/$(pid)/root/ready"
  ctr task exec --exec-id other -d $N sleep 1000
  fails 1 '' ctr task delete $N
  ctr task kill -s TERM $N
  soon sh -c 'ctr task ls | grep STOPPED'
  has 'non-zero exit code 9' ctr task delete $N
  ctr task start -d $N
  ctr task kill --all -s KILL $N
  soon sh -c 'ctr task ls | grep STOPPED'
}
case_attach() {
  local attached status=0
  start $BOX $N sh -c 'until [ -e /go ]; do echo here; sleep 0.1; done; exit 3'
  ctr task attach $N >/tmp/$N.out &
  attached=$!
  soon grep -q here /tmp/$N.out
  ctr task exec --exec-id go $N touch /go
  wait $attached || status=$?
  want 3 echo $status
}
case_events() {
  timeout 60 ctr events >/tmp/$N.events &
  local pid=$!
  # containerd does not report when it starts to listen.
  listens() { ctr namespace label default for=$N; [ -s /tmp/$N.events ]; }
  soon listens
  fails 3 '' run $BOX $N sh -c 'exit 3'
  soon grep -q /tasks/delete /tmp/$N.events
  kill $pid
  want '/tasks/create /tasks/start /tasks/exit /tasks/delete' sh -c "grep -o '/tasks/[a-z]*' /tmp/$N.events | uniq | paste -sd' '"
}
case_binary_missing() { fails 1 'executable file not found|no such file' run $BOX $N /nowhere; }
case_binary_not_executable() { fails 1 'permission denied' run $BOX $N /etc/passwd; }
case_bad_mount() { fails 1 'nowhere|no such file' run --mount type=bind,src=/nowhere,dst=/d,options=rbind $BOX $N true; }
case_bad_cwd() { want /nowhere run --cwd /nowhere $BOX $N pwd; }
case_exec_missing() {
  start $BOX $N sleep 1000
  fails 1 'executable file not found|no such file' ctr task exec --exec-id x $N /nowhere
}
case_task_with_the_id_of_another() {
  start $BOX $N sleep 1000
  fails 1 'already exists' run $BOX $N true
}
