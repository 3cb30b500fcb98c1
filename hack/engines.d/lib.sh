# Functions for the cases of hack/engines; sourced by `case` and by each engine's file.
#
# A case is a function `case_NAME`. It runs in a shell of its own with `set -euo pipefail` and a time limit. Its output
# is shown if it fails. `skip REASON` skips it, and it is counted as skipped. RUNTIME is the program under test, KIND
# its name (tare, crun or runc), N a name that is unique to the case.

IMAGE=localhost/box
# The user of the host that the engine's root is.
OWNER=root
SKIPPED=77
# A program that uses 64 MiB.
export HOG='exec dd if=/dev/zero of=/dev/null bs=64M count=1'
# The same, but it starts when the engine watches already, and its parent is a shell that outlives it. If the OOM killer
# kills a container's last process, the cgroup may be gone before an engine has looked for the reason, with any runtime:
# the kernel reports events ten milliseconds apart, and "limit reached" was one.
export HOG_OF_TWO="sleep 1; ($HOG) || { status=\$?; sleep 1; exit \$status; }"
# A program that counts, and keeps the count in its memory, in a child and in an open file. It ends with status 9. It
# starts no other program: a shell that waits in vfork(2) for a child that CRIU has stopped makes CRIU wait until its
# timeout.
export COUNTER='trap "exit 9" TERM; t=$(cat /proc/sys/kernel/random/uuid); i=0
  mkfifo /tmp/p; exec 5>/tmp/f 6<>/tmp/p
  (while :; do sleep 1000; done) &
  while kill -0 $!; do i=$((i + 1)); echo $t $! $i >&5; echo $i; read -t 0.1 -u 6; done'
# A program that counts the mounts below /proc: those are the masked and read-only paths.
COVERED='grep -c " /proc/" /proc/self/mountinfo'

skip() { echo "$*" >&3; exit $SKIPPED; }

# Compares the output of a command, and fails if the command fails.
want() { # WANTED COMMAND...: its output is this
  local wanted=$1 got
  shift
  got=$("$@" 2>&1) || { echo "$*: status $?: $got"; return 1; }
  [ "${got//$'\r'/}" = "$wanted" ] || { printf '%s\nwanted: %s\ngot:    %s\n' "$*" "$wanted" "$got"; return 1; }
}

has() { # PART COMMAND...: its output has this
  local part=$1 got
  shift
  got=$("$@" 2>&1) || { echo "$*: status $?: $got"; return 1; }
  case $got in *"$part"*) ;; *) printf '%s\nwanted in it: %s\ngot: %s\n' "$*" "$part" "$got"; return 1 ;; esac
}

fails() { # STATUS PART COMMAND...: it ends with this status, and one line says this
  local wanted=$1 part=$2 got status=0
  shift 2
  got=$("$@" 2>&1) || status=$?
  [ "$status" = "$wanted" ] || { printf '%s\nwanted status %s, got %s: %s\n' "$*" "$wanted" "$status" "$got"; return 1; }
  grep -qiE -- "$part" <<<"$got" || { printf '%s\nwanted a line with: %s\ngot: %s\n' "$*" "$part" "$got"; return 1; }
}

# The time limit in seconds for something that is immediate on an idle machine.
export PATIENCE=30
[ -e /dev/ubda ] || PATIENCE=120

# Repeats a command until it succeeds, for actions that engines do asynchronously.
soon() { # COMMAND...
  local end=$((SECONDS + PATIENCE))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "never came true: $*"; return 1; }
    sleep 0.1
  done
}

# An image of five layers by the engine's commits: with deleted files, a directory that is made anew, and hard links.
five_layers() { # ENGINE run OPTIONS...
  local step image=$IMAGE
  for step in 1 2 3 4 5; do
    "$@" --name $N-$step $image sh -c "mkdir -p /d/e; rm -rf /d/$((step - 2)) /d/e; mkdir /d/e; echo $step >/d/$step; touch /d/e/$step; ln /d/$step /d/link$step"
    "$1" commit $N-$step localhost/$N:$step
    "$1" rm $N-$step
    image=localhost/$N:$step
  done
}

# tare runs what an engine has saved, whichever runtime is judged.
runs_with_tare() { # IMAGE
  want '4 5 e link1 link2 link3 link4 link5 5 1' tare run --image "$1" -- sh -c 'echo $(ls /d) $(ls /d/e) $(cat /d/link1)'
}

# Skips a case with checkpoints on all kernels but that of `--full`, where CRIU works.
full() { [ ! -e /dev/ubda ] || skip "no checkpoints on this kernel: --full"; }

# Prints the progress of COUNTER: its identity and its number. It must be one program that has left out no number.
count() { # PID
  awk 'NR == 1 { who = $1 " " $2 }
    $1 " " $2 != who || $3 != NR { print "line " NR ": " $0; exit bad = 1 }
    END { if (!bad) print who, NR; exit bad || !NR }' /proc/"$1"/root/tmp/f
}

further() { # BEFORE PID: it is the program of this count, and has come further
  local now
  now=$(count "$2")
  [ "${now% *}" = "${1% *}" ] && [ "${now##* }" -gt "${1##* }" ]
}

# Waits until COUNTER has counted for a while, and prints its progress.
counted() { # PID
  soon count "$1"
  soon further "$(count "$1" | sed 's/[0-9]*$/10/')" "$1"
  count "$1"
}

# Checks after a restore that COUNTER continues from its number and keeps counting.
goes_on() { # BEFORE PID
  soon further "$1" "$2"
  soon further "$(count "$2")" "$2"
}

# Makes a directory that the engine's root may use.
directory() {
  local dir
  dir=$(mktemp -d)
  chmod 755 "$dir"
  chown "$OWNER:" "$dir"
  echo "$dir"
}

# Runs a command with a terminal as standard input and output. The input does not end: at the end of its input script(1)
# sends an end of file to the program, and then podman loses the output of a program that exits at once, with every
# runtime.
terminal() {
  local input status=0
  input=$(mktemp -u)
  mkfifo "$input"
  script -qec "$(printf '%q ' "$@")" /dev/null <>"$input" || status=$?
  rm "$input"
  return $status
}

# Runs the block of README.md after the line that starts with these words.
readme() { # BEGINNING
  local block
  block=$(awk -v it="$1" 'index($0, it) == 1 { on = 1; next } on && /^    / { print; seen = 1; next } on && seen { exit }' /job/repo/README.md)
  [ -n "$block" ] || { echo "README.md has no block after $1"; return 1; }
  bash -euo pipefail -c "$block"
}

# Provides a root file system of busybox, an archive of it, and space for the engines in memory, because the machine's
# disks are slow.
furnish() {
  local dir
  for dir in /var/lib/containers /var/lib/docker /var/lib/containerd /home/user/.local/share/containers; do
    mkdir -p $dir && mount -t tmpfs -o mode=0755 none $dir
  done
  chown -R user: /home/user
  mkdir -p /img/{bin,etc,tmp,mnt,proc,root} && chmod 1777 /img/tmp
  cp /bin/busybox /img/bin/ && chroot /img /bin/busybox --install -s /bin
  printf '%s\n' root:x:0:0:root:/root:/bin/sh named:x:1500:1500::/:/bin/sh >/img/etc/passwd
  printf '%s\n' root:x:0: named:x:1500: more:x:3003:named >/img/etc/group
  tar -C /img -cf /img.tar .
}

# Provides what an engine needs before its first case.
prepare_engine() { # ENGINE
  bash -euo pipefail -c '. "$0/lib.sh"; . "$0/$1.sh"; prepare' /job/repo/hack/engines.d "$1"
}

cases() { declare -F | sed -n 's/^declare -f case_//p'; }
