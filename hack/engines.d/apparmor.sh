# Cases for the AppArmor profiles that docker, containerd and podman bring or load themselves. These engines use AppArmor if
# they find the program apparmor_parser, which only this file gives them.

. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/docker.sh"
for name in $(declare -F | sed -n 's/^declare -f \(case_.*\)/\1/p'); do unset -f "$name"; done
BOX=$IMAGE:latest
LABEL='cat /proc/self/attr/current'

prepare() {
  [ -d /sys/kernel/security/apparmor ] || mount -t securityfs securityfs /sys/kernel/security
  install /job/files/apparmor_parser /usr/sbin/apparmor_parser
  systemctl restart containerd
  daemon '{}'
  docker import -c 'CMD ["sh"]' /img.tar $IMAGE
  podman import -c 'ENV PATH=/bin' /img.tar $BOX
  podman save --format oci-archive -o /box.tar $BOX
  ctr image import /box.tar
}
cleanup() {
  docker ps -aq --filter name="^$N" | xargs -r docker rm --force >/dev/null
  podman rm --force --time 0 --all >/dev/null
}

case_docker_default() {
  want 'docker-default (enforce)' run $IMAGE $LABEL
  start $IMAGE sleep 1000
  want 'docker-default (enforce)' docker exec $N $LABEL
  want 'docker-default (enforce)' docker exec --privileged $N $LABEL
}
# The profile forbids mounts even to a program that has the capability.
case_docker_enforced() {
  fails 255 'permission denied' run --cap-add SYS_ADMIN $IMAGE mount -t tmpfs none /mnt
  want '' run --cap-add SYS_ADMIN --security-opt apparmor=unconfined $IMAGE mount -t tmpfs none /mnt
}
case_docker_unconfined() {
  want unconfined run --privileged $IMAGE $LABEL
  want unconfined run --security-opt apparmor=unconfined $IMAGE $LABEL
}
case_docker_unknown() { fails 127 apparmor run --security-opt apparmor=missing $IMAGE true; }
case_containerd_default() {
  run() { ctr run --runc-binary "$RUNTIME" --rm "$@"; }
  want 'ctr-default (enforce)' run --apparmor-default-profile ctr-default $BOX $N $LABEL
  want 'ctr-default (enforce)' run --apparmor-profile ctr-default $BOX $N $LABEL
}
# The default profile of docker is loaded.
case_podman_chosen() {
  run() { podman --runtime "$RUNTIME" run --rm --network=none "$@"; }
  want 'docker-default (enforce)' run --security-opt apparmor=docker-default $BOX $LABEL
}
