// pod-init [-- CMD [ARG...]]: PID 1 of a pod that brings none of its own.
//
// Reaps every orphan. Without CMD it waits for SIGTERM or SIGINT and ends with 0, as a pause
// container does. With CMD it runs CMD as its child, forwards the signals that a runtime sends, and
// ends with CMD's exit code (128 + signal number when a signal ended it).
//
// Static and without threads, so that it runs in a root file system that has nothing.

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
#define FORWARDED_COUNT (sizeof forwarded / sizeof forwarded[0])

static pid_t start_command(char **argv, const sigset_t *original_mask) {
    pid_t child = fork();
    if (child != 0) return child;
    sigprocmask(SIG_SETMASK, original_mask, NULL);
    execvp(argv[0], argv);
    int code = errno == ENOENT ? 127 : 126;
    fprintf(stderr, "pod-init: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(code);
}

// Collects every child that has ended. Returns 1 when the command itself was among them.
static int reap(pid_t command, int *exit_code) {
    int command_ended = 0, status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended != command) continue;
        command_ended = 1;
        *exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return command_ended;
}

int main(int argc, char **argv) {
    // The signals are waited for, not handled: PID 1 gets a signal only if it asks for it, and a
    // blocked one stays pending, so none is lost between two turns of the loop.
    sigset_t awaited, original_mask;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    for (size_t i = 0; i < FORWARDED_COUNT; i++) sigaddset(&awaited, forwarded[i]);
    sigprocmask(SIG_BLOCK, &awaited, &original_mask);
    prctl(PR_SET_NAME, "pod-init", 0, 0, 0);

    pid_t command = -1;
    if (argc > 2 && strcmp(argv[1], "--") == 0) {
        command = start_command(argv + 2, &original_mask);
        if (command < 0) {
            perror("pod-init: fork");
            return 125;
        }
    }
    for (;;) {
        int received = sigwaitinfo(&awaited, NULL), exit_code = 0;
        if (received < 0) continue;
        if (received == SIGCHLD) {
            if (reap(command, &exit_code)) return exit_code;
        } else if (command > 0) {
            kill(command, received);
        } else if (received == SIGTERM || received == SIGINT) {
            return 0;
        }
    }
}
