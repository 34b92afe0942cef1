// The children that scripts/test-init runs under an init: built by the script, not installed.
//
//   torture orphans N        N double forks; prints how many zombies of its parent stay, and who adopts an orphan
//   torture listen DIR       catches every signal, in three processes of one group; see listen()
//   torture without-prctl CMD...   runs CMD with a filter that refuses prctl(2)
//   torture adopt CMD...     runs CMD and reaps what it leaves to its parents; ends with CMD's status
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nap(long milliseconds) {
    struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

// Zombies among the children of `parent`, from /proc/PID/stat.
static int zombies(int parent) {
    DIR *proc = opendir("/proc");
    int count = 0;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[300], state;
        int above;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%*d (%*[^)]) %c %d", &state, &above) == 2) count += state == 'Z' && above == parent;
        fclose(file);
    }
    if (proc) closedir(proc);
    return count;
}

static int orphans(int count) {
    int init = getppid(), left = 0;
    for (int index = 0; index < count; index++) {
        pid_t between = fork();
        if (between < 0) return 1;
        if (between == 0) {
            pid_t orphan = fork();
            if (orphan == 0) {
                // An orphan only after its parent is gone.
                if (index % 100 == 0) nap(1);
                _exit(0);
            }
            _exit(orphan < 0);
        }
        int status;
        waitpid(between, &status, 0);
        if (status != 0) return 1;
    }
    for (int round = 0; round < 500 && (left = zombies(init)) > 0; round++) nap(10);
    int ends[2];
    if (pipe(ends) != 0) return 1;
    if (fork() == 0) {
        pid_t between = getpid();
        if (fork() > 0) _exit(0);
        while (getppid() == between) nap(1);
        int adopter = getppid();
        _exit(write(ends[1], &adopter, sizeof adopter) != sizeof adopter);
    }
    wait(NULL);
    int adopter = 0;
    if (read(ends[0], &adopter, sizeof adopter) != sizeof adopter) return 1;
    printf("%d zombies left, orphans go to %s\n", left, adopter == init ? "it" : "another");
    return 0;
}

// One counter for each signal in each of three processes: the command, its child, its grandchild.
static unsigned (*counters)[65];
static int self;

static void count(int signal) { counters[self][signal]++; }

// Maps DIR/counters, catches everything, makes DIR/ready when all three do, and ends when DIR/stop is there.
static int listen_for_signals(const char *directory) {
    if (chdir(directory) != 0) return 1;
    int file = open("counters", O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof(unsigned[3][65])) != 0) return 1;
    counters = mmap(NULL, sizeof(unsigned[3][65]), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counters == MAP_FAILED) return 1;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
        if (number != SIGCHLD) sigaction(number, &action, NULL);
    }
    for (self = 0; self < 2; self++)
        if (fork() > 0) break;
    counters[self][0] = 1;
    if (self == 0) {
        while (!counters[1][0] || !counters[2][0]) nap(1);
        close(open("ready", O_WRONLY | O_CREAT, 0600));
    }
    while (access("stop", F_OK) != 0) nap(5);
    return 0;
}

static int without_prctl(char **command) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
    execvp(command[0], command);
    return 1;
}

static int adopt(char **command) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) return 1;
    pid_t child = fork(), ended;
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    int status;
    while ((ended = wait(&status)) > 0 && ended != child) continue;
    return ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "orphans")) return orphans(atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "listen")) return listen_for_signals(argv[2]);
    if (argc > 2 && !strcmp(argv[1], "without-prctl")) return without_prctl(argv + 2);
    if (argc > 2 && !strcmp(argv[1], "adopt")) return adopt(argv + 2);
    return 64;
}
