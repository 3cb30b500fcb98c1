# The same with cgroupfs, which a kubelet with `cgroupDriver: cgroupfs` asks for.
DRIVER=-cgroupfs
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/cri.sh"
