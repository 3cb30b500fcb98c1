# The AppArmor profiles of conformance/labels.rs. Both allow everything but the file /forbidden to one of them.
profile tare-confined flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  unix,
  deny /forbidden w,
  deny /forbidden/ w,
}

profile tare-other flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  unix,
}
