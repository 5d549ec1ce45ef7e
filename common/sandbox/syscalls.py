"""Numbers of the Linux system calls that `common.sandbox.confinement` rejects or checks.

From <asm/unistd_64.h> of x86-64 and <asm-generic/unistd.h>, which 64-bit ARM uses. They never change.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One machine's numbers.

    audit: the kernel's number of the machine (<linux/audit.h>). signalling: calls whose first argument
    is the process to signal. opening: calls that open files, with the index of the argument with the
    flags.
    """

    audit: int
    seccomp: int
    clone: int
    clone3: int
    openat2: int
    prlimit64: int
    signalling: tuple[int, ...]
    opening: tuple[tuple[int, int], ...]
    network: tuple[int, ...]
    processes: tuple[int, ...]
    system: tuple[int, ...]
    writing: tuple[int, ...]


_X86_64 = Architecture(
    audit=0xC000003E,
    seccomp=317,
    clone=56,
    clone3=435,
    openat2=437,
    prlimit64=302,
    signalling=(62, 234),  # kill tgkill
    opening=((2, 1), (257, 2)),
    network=(
        *(41, 53, 42, 49, 50, 43, 288),  # socket socketpair connect bind listen accept accept4
    ),
    processes=(
        *(59, 322, 57, 58, 101, 310),  # execve execveat fork vfork ptrace process_vm_readv
        *(311, 200, 129, 297),  # process_vm_writev tkill rt_sigqueueinfo rt_tgsigqueueinfo
        *(424, 434, 438, 440),  # pidfd_send_signal pidfd_open pidfd_getfd process_madvise
    ),
    system=(
        *(425, 426, 427, 272, 308),  # io_uring_setup io_uring_enter io_uring_register unshare setns
        *(165, 166, 155, 161, 442, 429),  # mount umount2 pivot_root chroot mount_setattr move_mount
        *(428, 430, 321, 298, 250, 248),  # open_tree fsopen bpf perf_event_open keyctl add_key
        *(249, 323, 304, 175),  # request_key userfaultfd open_by_handle_at init_module
        *(313, 176, 246, 29, 68, 64),  # finit_module delete_module kexec_load shmget msgget semget
        *(240, 300),  # mq_open fanotify_init
    ),
    writing=(
        *(85, 87, 263, 82, 264, 316, 83),  # creat unlink unlinkat rename renameat renameat2 mkdir
        *(258, 84, 86, 265, 88, 266, 76),  # mkdirat rmdir link linkat symlink symlinkat truncate
        *(77, 90, 91, 268, 92, 93, 94),  # ftruncate chmod fchmod fchmodat chown fchown lchown
        *(260, 133, 259, 188, 189, 190),  # fchownat mknod mknodat setxattr lsetxattr fsetxattr
        *(197, 198, 199, 132, 235),  # removexattr lremovexattr fremovexattr utime utimes
        *(280, 261),  # utimensat futimesat
    ),
)
_ARM64 = Architecture(
    audit=0xC00000B7,
    seccomp=277,
    clone=220,
    clone3=435,
    openat2=437,
    prlimit64=261,
    signalling=(129, 131),  # kill tgkill
    opening=((56, 2),),
    network=(
        *(
            198,
            199,
            203,
            200,
            201,
            202,
            242,
        ),  # socket socketpair connect bind listen accept accept4
    ),
    processes=(
        *(221, 281, 117, 270, 271),  # execve execveat ptrace process_vm_readv process_vm_writev
        *(130, 138, 240, 424),  # tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
        *(434, 438, 440),  # pidfd_open pidfd_getfd process_madvise
    ),
    system=(
        *(425, 426, 427, 97, 268),  # io_uring_setup io_uring_enter io_uring_register unshare setns
        *(40, 39, 41, 51, 442, 429),  # mount umount2 pivot_root chroot mount_setattr move_mount
        *(428, 430, 280, 241, 219, 217),  # open_tree fsopen bpf perf_event_open keyctl add_key
        *(218, 282, 265, 105),  # request_key userfaultfd open_by_handle_at init_module
        *(
            273,
            106,
            104,
            194,
            186,
            190,
        ),  # finit_module delete_module kexec_load shmget msgget semget
        *(180, 262),  # mq_open fanotify_init
    ),
    writing=(
        *(35, 38, 276, 34, 37, 36),  # unlinkat renameat renameat2 mkdirat linkat symlinkat
        *(45, 46, 52, 53, 55, 54, 33),  # truncate ftruncate fchmod fchmodat fchown fchownat mknodat
        *(
            5,
            6,
            7,
            14,
            15,
            16,
        ),  # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
        *(88,),  # utimensat
    ),
)
# By the names of `platform.machine`.
ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _ARM64}
