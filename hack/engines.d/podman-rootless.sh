# podman as an ordinary user, with what systemd delegates to him.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/podman.sh"

AS_USER=(
  runuser -u user -- env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus
)
ENGINE=("${AS_USER[@]}" "${ENGINE[@]}")
OWNER=user
# What is done otherwise here or not for ordinary users, and what has the runtime do nothing else than for root.
for name in quadlet systemd_inside rootfs_overlay userns_map cgroups devices_of_a_directory id_mapped_volume limits_of_disks \
  ready_by_itself wait_and_events health_on_failure requires restart_policy tmpfs_options pid_files systemd_mode \
  $(cases | grep ^checkpoint); do
  unset -f case_$name
done

# The units of the user's own service manager.
case_quadlet() {
  local dir=/home/user/.config/containers/systemd
  quadlet "$dir" "${AS_USER[@]}" systemctl --user
}
case_keep_id() {
  want '1000 1000' run --userns keep-id $IMAGE sh -c 'echo $(id -u) $(id -g)'
  want user run --userns keep-id $IMAGE whoami
}
case_rootfs_overlay() {
  cp -r /img /home/user/$N && chown -R user: /home/user/$N
  want over run --rootfs /home/user/$N:O sh -c 'echo over >/f; cat /f'
  test ! -e /home/user/$N/f
  rm -r /home/user/$N
}
case_userns_map() { want '0 1 1000' run --uidmap 0:1:1000 --gidmap 0:1:1000 $IMAGE sh -c 'set -- $(cat /proc/self/uid_map); echo $*'; }
# Rules for devices are not for ordinary users.
case_devices() { want '5 1' run --device /dev/console:/dev/f:rw $IMAGE sh -c 'stat -c "%t %T" /dev/f'; }
case_groups_kept() {
  [ $KIND != runc ] || skip "keep-groups is crun's and tare's"
  want fine run --group-add keep-groups $IMAGE echo fine
}
case_network() {
  podman run -d --name $N -p 8080:80 $IMAGE httpd -f -p 80 -h / >/dev/null
  soon fetch 127.0.0.1:8080
}
