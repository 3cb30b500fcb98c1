// Package os without its rlimit.go: from Go 1.19 that file raises the soft RLIMIT_NOFILE of every program, and
// runtimetest would then see its own limit where it looks for the one that the runtime set.
package os
