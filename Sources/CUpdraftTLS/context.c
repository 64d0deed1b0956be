#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "internal.h"

void ctls_note_text(struct ctls_error *error, enum ctls_problem problem, const char *text) {
    error->problem = problem;
    error->alert = 0;
    BIO_snprintf(error->text, sizeof error->text, "%s", text);
    ERR_clear_error();
}

void ctls_note(struct ctls_error *error, enum ctls_problem problem) {
    const char *data = NULL;
    int flags = 0;
    // The first error is the cause; later ones are its consequences further up.
    unsigned long code = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    error->problem = problem;
    error->alert = 0;
    if (reason == NULL) reason = "no reason given";
    if (data != NULL && (flags & ERR_TXT_STRING) && *data != 0)
        BIO_snprintf(error->text, sizeof error->text, "%s: %s", reason, data);
    else
        BIO_snprintf(error->text, sizeof error->text, "%s", reason);
    ERR_clear_error();
}

void ctls_free(void *memory) { OPENSSL_free(memory); }

const char *ctls_library(void) { return OpenSSL_version(OPENSSL_VERSION); }

// ---- callbacks ----

// Whether the certificate is for the name: exactly, or also by a wildcard.
static bool identity_matches(const struct ctls_identity *identity, const char *name, bool exactly) {
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    if (exactly) flags |= X509_CHECK_FLAG_NO_WILDCARDS;
    return X509_check_host(identity->leaf, name, strlen(name), flags, NULL) == 1;
}

// The certificates for a name may be several: one for each kind of key. The first of a kind wins,
// so it is put in last.
static bool use_matching(SSL *ssl, struct ctls_context *context, const char *name, bool exactly) {
    bool found = false;
    for (int i = context->identity_count - 1; i >= 0; i--) {
        struct ctls_identity *each = context->identities[i];
        if (!identity_matches(each, name, exactly)) continue;
        if (!found) SSL_certs_clear(ssl);
        if (SSL_use_cert_and_key(ssl, each->leaf, each->key, each->chain, 1) != 1) return false;
        found = true;
    }
    return found;
}

// Chooses the certificate by the name that the client asks for. A client that asks for none, or for
// an unknown one, gets those of the first identity's first name.
static int choose_identity(SSL *ssl, void *argument) {
    struct ctls_context *context = argument;
    if (context->identity_count < 2) return 1;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool is_chosen = name != NULL
                     && (use_matching(ssl, context, name, true)
                         || use_matching(ssl, context, name, false));
    if (!is_chosen && !use_matching(ssl, context, context->fallback, true)) {
        struct ctls_identity *first = context->identities[0];
        SSL_certs_clear(ssl);
        if (SSL_use_cert_and_key(ssl, first->leaf, first->key, first->chain, 1) != 1) return 0;
    }
    ERR_clear_error();
    return 1;
}

// Acknowledges the name, so that the session knows it.
static int accept_name(SSL *ssl, int *alert, void *argument) {
    (void)alert;
    (void)argument;
    bool is_given = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL;
    return is_given ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// The first of ours that the client offers. None in common ends the handshake (RFC 7301, 3.2).
static int choose_protocol(
    SSL *ssl, const unsigned char **chosen, unsigned char *chosen_count,
    const unsigned char *offered, unsigned int offered_count, void *argument) {
    (void)ssl;
    struct ctls_context *context = argument;
    for (size_t i = 0; i < context->protocols_count; i += context->protocols[i] + 1u) {
        const uint8_t *ours = context->protocols + i;
        for (unsigned j = 0; j < offered_count; j += offered[j] + 1u) {
            if (j + 1u + offered[j] > offered_count) break;
            if (offered[j] == *ours && memcmp(offered + j + 1, ours + 1, *ours) == 0) {
                *chosen = offered + j + 1;
                *chosen_count = offered[j];
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// ---- life ----

struct ctls_context *ctls_context_new(bool is_server, struct ctls_error *error) {
    ERR_clear_error();
    struct ctls_context *context = OPENSSL_zalloc(sizeof *context);
    if (context == NULL) goto failed;
    context->is_server = is_server;
    context->bio = ctls_bio_method();
    context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (context->bio == NULL || context->ssl == NULL) goto failed;
    SSL_CTX *ssl = context->ssl;
    // Not what the machine's configuration file says, which may be weaker than our promise.
    SSL_CTX_set_security_level(ssl, 2);
    SSL_CTX_clear_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_CTX_set_options(
        ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE
                 | SSL_OP_PRIORITIZE_CHACHA);
    // An idle connection gives its 32 KiB of buffers back; a write may be retried from elsewhere.
    // The chain that is sent is the one in the certificate's file: looking for one in the trusted
    // certificates, in each handshake, would check signatures.
    SSL_CTX_set_mode(
        ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                 | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
    // Whom the user names is trusted, also if it is not the end of a chain.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
    if (is_server) {
        static const unsigned char id[] = "updraft";
        SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1);
        SSL_CTX_set_cert_cb(ssl, choose_identity, context);
        SSL_CTX_set_tlsext_servername_callback(ssl, accept_name);
    }
    return context;
failed:
    ctls_note(error, CTLS_NO_MEMORY);
    ctls_context_free(context);
    return NULL;
}

void ctls_context_free(struct ctls_context *context) {
    if (context == NULL) return;
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio);
    for (int i = 0; i < context->identity_count; i++) ctls_identity_free(context->identities[i]);
    OPENSSL_free(context->identities);
    OPENSSL_free(context->protocols);
    OPENSSL_free(context);
}

// ---- settings ----

static bool note_unless(bool is_fine, struct ctls_error *error) {
    if (!is_fine) ctls_note(error, CTLS_SETTING_REFUSED);
    return is_fine;
}

static int version_number(int version) { return version >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION; }

bool ctls_context_set_versions(
    struct ctls_context *context, int least, int most, struct ctls_error *error) {
    ERR_clear_error();
    return note_unless(
        SSL_CTX_set_min_proto_version(context->ssl, version_number(least)) == 1
            && SSL_CTX_set_max_proto_version(context->ssl, version_number(most)) == 1,
        error);
}

bool ctls_context_set_ciphers(
    struct ctls_context *context, const char *tls12, const char *tls13, struct ctls_error *error) {
    ERR_clear_error();
    return note_unless(
        SSL_CTX_set_cipher_list(context->ssl, tls12) == 1
            && SSL_CTX_set_ciphersuites(context->ssl, tls13) == 1,
        error);
}

bool ctls_context_set_groups(
    struct ctls_context *context, const char *groups, struct ctls_error *error) {
    ERR_clear_error();
    return note_unless(SSL_CTX_set1_groups_list(context->ssl, groups) == 1, error);
}

bool ctls_context_set_protocols(
    struct ctls_context *context, const uint8_t *names, size_t count, struct ctls_error *error) {
    ERR_clear_error();
    if (!context->is_server)
        // This one function answers 0 when all is well.
        return note_unless(
            SSL_CTX_set_alpn_protos(context->ssl, names, (unsigned)count) == 0, error);
    context->protocols = OPENSSL_memdup(names, count);
    if (context->protocols == NULL) return note_unless(false, error);
    context->protocols_count = count;
    SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
    return true;
}

void ctls_context_set_verify(struct ctls_context *context, enum ctls_verify verify) {
    int mode = SSL_VERIFY_NONE;
    if (verify != CTLS_VERIFY_NONE) mode = SSL_VERIFY_PEER;
    if (verify == CTLS_VERIFY_REQUIRED) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context->ssl, mode, NULL);
}

void ctls_context_set_resumption(struct ctls_context *context, bool is_on) {
    if (!is_on) {
        SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context->ssl, 0);
    }
    if (context->is_server || !is_on) {
        // What a server has to remember is in the ticket, with the client.
        SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
        return;
    }
    SSL_CTX_set_session_cache_mode(
        context->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, ctls_keep_ticket);
}

static void find_fallback(struct ctls_context *context, struct ctls_identity *identity) {
    struct ctls_names *names = ctls_certificate_names(ctls_identity_certificate(identity));
    enum ctls_name kind;
    int index = 0;
    do {
        kind = ctls_names_at(names, index++, context->fallback, sizeof context->fallback);
    } while (kind != CTLS_NAME_DNS && kind != CTLS_NAME_NONE);
    if (kind == CTLS_NAME_NONE) context->fallback[0] = 0;
    ctls_names_free(names);
}

bool ctls_context_add_identity(
    struct ctls_context *context, struct ctls_identity *identity, struct ctls_error *error) {
    ERR_clear_error();
    size_t size = sizeof *context->identities * (size_t)(context->identity_count + 1);
    struct ctls_identity **grown = OPENSSL_realloc(context->identities, size);
    if (grown == NULL) return note_unless(false, error);
    context->identities = grown;
    // Also where each handshake chooses anew, because it checks: a key may be too short.
    if (SSL_CTX_use_cert_and_key(
            context->ssl, identity->leaf, identity->key, identity->chain, 1) != 1)
        return note_unless(false, error);
    if (context->identity_count == 0) find_fallback(context, identity);
    identity->references++;
    context->identities[context->identity_count++] = identity;
    return true;
}
