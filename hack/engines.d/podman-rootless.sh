# podman as an ordinary user, with what systemd delegates to him.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/podman.sh"

AS_USER=(
  runuser -u user -- env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus
)
ENGINE=("${AS_USER[@]}" "${ENGINE[@]}")
