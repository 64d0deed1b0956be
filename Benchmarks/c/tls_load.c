// Echo load over TLS: connections that each send a message and read it back, again and again.
// Usage: tls_load PORT CONNECTIONS BYTES SECONDS
// Prints messages a second. The message ends with a newline, for servers that echo lines.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *context;
static int port, size;
static atomic_bool is_over;
static atomic_long messages;

static void fail(const char *what) {
    fprintf(stderr, "tls_load: %s\n", what);
    exit(1);
}

static SSL *connect_tls(void) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address)) fail("can't connect");
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, descriptor);
    if (SSL_connect(tls) != 1) fail("the handshake failed");
    return tls;
}

static void *exchange(void *argument) {
    (void)argument;
    SSL *tls = connect_tls();
    char *message = malloc(size), *answer = malloc(size);
    memset(message, 'x', size);
    message[size - 1] = '\n';
    while (!is_over) {
        if (SSL_write(tls, message, size) != size) fail("the server closed the connection");
        for (int got = 0; got < size;) {
            int count = SSL_read(tls, answer + got, size - got);
            if (count <= 0) fail("the server closed the connection");
            got += count;
        }
        messages++;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 5) fail("usage: tls_load PORT CONNECTIONS BYTES SECONDS");
    port = atoi(argv[1]);
    size = atoi(argv[3]);
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    for (int i = 0; i < atoi(argv[2]); i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, exchange, NULL);
    }
    sleep(1);
    long before = messages;
    sleep(atoi(argv[4]));
    printf("%.0f\n", (double)(messages - before) / atoi(argv[4]));
    fflush(stdout);
    is_over = true;
    _exit(0);
}
