"""What libseccomp makes of profiles: one a line as JSON on standard input, one program a line on standard output.

A profile is an object with `default` and the rules' `action` as SECCOMP_RET_* of the kernel, `archs` as SCMP_ARCH_* of
seccomp.h with the host's first, `rules` as lists [action, name, conditions] and a condition as [argument, operator, a, b].
The answer is an object: `numbers` has for every name its numbers, one for each architecture and negative where there is
none, `program` is in hexadecimal, or `error` says why not.
"""
import ctypes
import json
import os
import sys
import time

# A line before the first profile: which library there is, or nothing and the end.
try:
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
except OSError:
    sys.exit()

NATIVE, OPTIMIZE = 0, 8
NUMBER_ERROR, EEXIST = -1, 17


class Version(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("major", "minor", "micro")]


class Condition(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


lib.seccomp_version.restype = ctypes.POINTER(Version)
lib.seccomp_arch_native.restype = ctypes.c_uint32
lib.seccomp_init.restype = ctypes.c_void_p
lib.seccomp_init.argtypes = [ctypes.c_uint32]
lib.seccomp_release.argtypes = [ctypes.c_void_p]
lib.seccomp_arch_add.argtypes = lib.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
lib.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.seccomp_rule_add_array.argtypes = [
    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Condition)]
lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
lib.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]


class Refused(Exception):
    pass


def check(what, result, *, fine=()):
    if result < 0 and -result not in fine:
        raise Refused(f"{what}: {os.strerror(-result)}")


def fill(context, profile):
    native = lib.seccomp_arch_native()
    for arch in profile["archs"]:
        check(f"arch {arch:#x}", lib.seccomp_arch_add(context, arch), fine=(EEXIST,))
    if native not in profile["archs"]:
        check("native", lib.seccomp_arch_remove(context, native))
    if len(profile["rules"]) > 32:
        check("optimize", lib.seccomp_attr_set(context, OPTIMIZE, 2))
    for action, name, conditions in profile["rules"]:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number != NUMBER_ERROR and action != profile["default"]:
            array = (Condition * len(conditions))(*[Condition(*condition) for condition in conditions])
            check(name, lib.seccomp_rule_add_array(context, action, number, len(conditions), array), fine=(EEXIST,))


def numbers(name, archs):
    return [lib.seccomp_syscall_resolve_name_arch(arch, name.encode()) for arch in archs]


def program(profile):
    known = {name: numbers(name, profile["archs"]) for _, name, _ in profile["rules"]}
    started = time.process_time()
    context = lib.seccomp_init(profile["default"])
    try:
        fill(context, profile)
        fd = os.memfd_create("program")
        check("export", lib.seccomp_export_bpf(context, fd))
        taken = time.process_time() - started
        code = os.pread(fd, 1 << 20, 0)
        os.close(fd)
        return {"numbers": known, "program": code.hex(), "seconds": taken}
    except Refused as refused:
        return {"numbers": known, "error": str(refused)}
    finally:
        lib.seccomp_release(context)


version = lib.seccomp_version().contents
lib.seccomp_api_set(6)
print(f"libseccomp {version.major}.{version.minor}.{version.micro}", flush=True)
for line in sys.stdin:
    print(json.dumps(program(json.loads(line))), flush=True)
