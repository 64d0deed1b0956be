#ifndef CUPDRAFT_TLS_INTERNAL_H
#define CUPDRAFT_TLS_INTERNAL_H

#if !__has_include(<openssl/ssl.h>)
#error "UpdraftTLS needs the headers of OpenSSL 3; on Debian and its relatives: apt-get install libssl-dev"
#endif

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "cupdraft_tls.h"

struct ctls_identity {
    X509 *leaf;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
    int references;
};

struct ctls_context {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    bool is_server;
    // Servers choose among these by the name that the client asks for.
    struct ctls_identity **identities;
    int identity_count;
    // The first identity's first name, or empty.
    char fallback[256];
    uint8_t *protocols;
    size_t protocols_count;
};

// Fills `error` from OpenSSL's queue, and empties the queue.
void ctls_note(struct ctls_error *error, enum ctls_problem problem);
// Fills `error` with a text of our own.
void ctls_note_text(struct ctls_error *error, enum ctls_problem problem, const char *text);

// Opens PEM text. Null: `error` has the system's reason.
BIO *ctls_open(
    const struct ctls_source *source, enum ctls_problem problem, struct ctls_error *error);

// The transport of sessions: their memory (see session.c).
BIO_METHOD *ctls_bio_method(void);

// Called by OpenSSL when a ticket has come; 0, because it is copied.
int ctls_keep_ticket(SSL *ssl, SSL_SESSION *shared);

#endif
