#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

extern char **environ;

static char *no_arguments[] = {NULL};
static char **arguments = no_arguments;

// glibc hands main's arguments to constructors too.
__attribute__((constructor)) static void keep_arguments(int count, char **values) {
    (void)count;
    arguments = values;
}

char **clinux_arguments(void) {
    return arguments;
}

void clinux_close_from(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) != 0)
        for (int descriptor = first; descriptor < 4096; descriptor++) close(descriptor);
}

int clinux_set_subreaper(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

const char *clinux_executable(void) {
    return (const char *)getauxval(AT_EXECFN);
}

int clinux_wait_signal(int64_t milliseconds, struct clinux_signal *out) {
    sigset_t all;
    sigfillset(&all);
    struct timespec timeout = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    siginfo_t information;
    int number = milliseconds < 0 ? sigwaitinfo(&all, &information) : sigtimedwait(&all, &information, &timeout);
    if (number < 0) return -errno;
    out->number = number;
    // SIGPIPE of a write of our own looks like kill(2) by ourselves.
    out->is_own = information.si_code == SI_USER && information.si_pid == getpid();
    return 0;
}

int clinux_signal_is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int clinux_peek_ended(struct clinux_ended *out) {
    siginfo_t information = {0};
    if (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) < 0 || information.si_pid == 0) return 0;
    *out = (struct clinux_ended){
        .pid = information.si_pid,
        .is_signal = information.si_code != CLD_EXITED,
        .value = information.si_status,
    };
    return 1;
}

void clinux_reap(pid_t pid) {
    waitpid(pid, NULL, WNOHANG);
}

int clinux_stop_signal(pid_t pid) {
    siginfo_t information = {0};
    if (waitid(P_PID, (id_t)pid, &information, WSTOPPED | WNOHANG) < 0 || information.si_pid == 0) return 0;
    return information.si_status;
}

static _Noreturn void run_command(const struct clinux_start *start) {
    setpgid(0, 0);
    // SIGTTOU is still blocked: a background group may do this then (tcsetpgrp(3)).
    if (start->terminal >= 0) tcsetpgrp(start->terminal, getpid());
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, start->mask, NULL);
    execvp(start->arguments[0], start->arguments);
    int code = errno;
    dprintf(STDERR_FILENO, "packet-agent: cannot run %s: %s\n", start->name, strerror(code));
    _exit(code == ENOENT ? 127 : 126);
}

// An empty standard input, also where there is no /dev/null.
static void empty_input(void) {
    int input = open("/dev/null", O_RDONLY);
    int ends[2];
    if (input < 0 && pipe(ends) == 0) {
        close(ends[1]);
        input = ends[0];
    }
    if (input < 0) close(STDIN_FILENO);
    if (input > 0) {
        dup2(input, STDIN_FILENO);
        close(input);
    }
}

static _Noreturn void run_service(const struct clinux_start *start) {
    setsid();
    // Ends with its parent where that is not the end of the container; a filter may refuse it.
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    dup2(start->output, STDOUT_FILENO);
    empty_input();
    // Pipes and sockets that the command inherits must not be held open by its sibling.
    clinux_close_from(3);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(start->name, start->arguments);
    // The file may be gone after an upgrade; there may be no /proc.
    execv("/proc/self/exe", start->arguments);
    dprintf(STDERR_FILENO, "packet-agent: cannot run %s: %s\n", start->name, strerror(errno));
    _exit(127);
}

pid_t clinux_start(const struct clinux_start *start) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) {
        environ = (char **)start->environment;
        if (start->is_service)
            run_service(start);
        else
            run_command(start);
    }
    // Both sides do it, so that neither has to wait for the other.
    if (!start->is_service) setpgid(pid, pid);
    return pid;
}

int clinux_stop_own_group(void) {
    sigset_t stop, pending;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    kill(0, SIGTSTP);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    // Whoever continued us left SIGCONT; without one the kernel discarded the stop (PID 1, orphaned process group).
    return sigpending(&pending) == 0 && sigismember(&pending, SIGCONT) == 1;
}

static int drop_object(struct dl_phdr_info *object, size_t size, void *data) {
    (void)size, (void)data;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void clinux_drop_clean_pages(void) {
    dl_iterate_phdr(drop_object, NULL);
}
