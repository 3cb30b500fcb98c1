# The cases of cri.sh with cgroupfs, as for a kubelet with `cgroupDriver: cgroupfs`.
DRIVER=-cgroupfs
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/cri.sh"
