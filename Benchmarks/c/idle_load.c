// Connections that have had one echo and then do nothing: what they cost a server's memory.
//
// idle_load PORT PID COUNT: connects COUNT times to an echo server, the process PID, sends each
// connection's one message and reads it back. Prints by how many bytes, for each connection, the
// server's own pages have grown meanwhile (Private_Dirty of /proc/PID/smaps_rollup).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE 64

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int connected(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    return fd;
}

static void echo(int fd) {
    char sent[MESSAGE], received[MESSAGE];
    memset(sent, 'x', sizeof sent);
    if (send(fd, sent, sizeof sent, MSG_NOSIGNAL) != sizeof sent) fail("send");
    if (recv(fd, received, sizeof received, MSG_WAITALL) != sizeof received) fail("recv");
    if (memcmp(sent, received, sizeof sent) != 0) {
        fprintf(stderr, "idle_load: what came back is not what was sent\n");
        exit(1);
    }
}

static long private_bytes(const char *pid) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) fail(path);
    long kibibytes = -1;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Private_Dirty: %ld kB", &kibibytes) == 1) break;
    }
    fclose(file);
    if (kibibytes < 0) {
        fprintf(stderr, "idle_load: %s does not tell\n", path);
        exit(1);
    }
    return kibibytes * 1024;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: idle_load PORT PID COUNT\n");
        return 64;
    }
    int port = atoi(argv[1]), count = atoi(argv[3]);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) fail("setrlimit");
    // What the server makes once, at its first connection, is nobody's.
    echo(connected(port));
    long before = private_bytes(argv[2]);
    for (int index = 0; index < count; index++) echo(connected(port));
    long after = private_bytes(argv[2]);
    printf("%.0f\n", (double)(after - before) / count);
    return 0;
}
