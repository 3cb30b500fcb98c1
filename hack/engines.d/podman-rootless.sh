# Cases for podman as an ordinary user, with the controllers that systemd delegates to the user.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/podman.sh"

AS_USER=(
  runuser -u user -- env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus
)
ENGINE=("${AS_USER[@]}" "${ENGINE[@]}")
OWNER=user
# Leaves out the cases that differ for ordinary users, and those in which the runtime does the same as for root.
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
# An ordinary user cannot set device rules.
case_devices() { want '5 1' run --device /dev/console:/dev/f:rw $IMAGE sh -c 'stat -c "%t %T" /dev/f'; }
case_groups_kept() {
  [ $KIND != runc ] || skip "keep-groups is crun's and tare's"
  want fine run --group-add keep-groups $IMAGE echo fine
  # The user's root has groups of its own, which podman passes on, too.
  root_with_groups
  want fine run --group-add keep-groups --rootfs /home/user/$N echo fine
  rm -r /home/user/$N
}
root_with_groups() {
  cp -r /img /home/user/$N
  echo few:x:3004:root >>/home/user/$N/etc/group
  chown -R user: /home/user/$N
}
# The command line of distrobox.
case_distrobox() {
  root_with_groups
  podman create --name $N --hostname $N --privileged --security-opt label=disable --security-opt apparmor=unconfined \
    --pids-limit=-1 --user root:root --ipc host --network host --pid host --label manager=distrobox --env SHELL=sh \
    --env HOME=/home/user --env container=podman --env CONTAINER_ID=$N --volume /tmp:/tmp:rslave \
    --volume /home/user:/home/user:rslave --volume /:/run/host:rslave --volume /dev:/dev:rslave --volume /sys:/sys:rslave \
    --mount type=devpts,destination=/dev/pts --volume /run/user/1000:/run/user/1000:rslave \
    --annotation run.oci.keep_original_groups=1 --ulimit host --userns keep-id --rootfs /home/user/$N sleep 1000 >/dev/null
  podman start $N >/dev/null
  want 'user /home/user' podman exec --user user --workdir /home/user $N sh -c 'echo $(whoami) $PWD'
  has /dev/pts/ terminal "${ENGINE[@]}" exec -it --user user $N tty
  podman rm --force --time 0 $N >/dev/null
  rm -r /home/user/$N
}
case_network() {
  podman run -d --name $N -p 8080:80 $IMAGE httpd -f -p 80 -h / >/dev/null
  soon fetch 127.0.0.1:8080
}
