// One TLS connection between two pieces of memory. Instead of OpenSSL's memory BIOs a BIO of our
// own: what came is read where the caller has it, without a copy, and what is to be sent is
// bounded, so that a peer that only makes us answer can't make us hoard.

#include <string.h>

#include <openssl/x509v3.h>

#include "internal.h"

// From so many bytes on nothing more is produced until some are sent.
#define OUTPUT_MAX 65536u
#define RECORD_MAX 16384u
#define RECORD_OVERHEAD 256u
#define TICKETS_MAX 2

struct ctls_session {
    SSL *ssl;
    // What came: first what was kept, then the caller's bytes, lent for the length of a call.
    uint8_t *kept;
    size_t kept_start, kept_end;
    const uint8_t *lent;
    size_t lent_count;
    // What is to be sent.
    uint8_t *output;
    size_t output_start, output_end, output_size;
    // How the reading ended, once it has.
    enum ctls_status last;
    bool may_have_plain;
    struct ctls_error error;
    SSL_SESSION *tickets[TICKETS_MAX];
};

// ---- the BIO ----

static size_t take(const uint8_t *from, size_t available, char *to, size_t wanted) {
    size_t count = available < wanted ? available : wanted;
    memcpy(to, from, count);
    return count;
}

static int bio_read(BIO *bio, char *buffer, size_t wanted, size_t *count) {
    struct ctls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    if (session->kept_end > session->kept_start) {
        *count = take(
            session->kept + session->kept_start, session->kept_end - session->kept_start, buffer,
            wanted);
        session->kept_start += *count;
        return 1;
    }
    if (session->lent_count > 0) {
        *count = take(session->lent, session->lent_count, buffer, wanted);
        session->lent += *count;
        session->lent_count -= *count;
        return 1;
    }
    BIO_set_retry_read(bio);
    return 0;
}

static bool reserve(struct ctls_session *session, size_t extra) {
    size_t used = session->output_end - session->output_start;
    if (session->output_size - session->output_end >= extra) return true;
    if (session->output_start > 0) {
        memmove(session->output, session->output + session->output_start, used);
        session->output_start = 0;
        session->output_end = used;
    }
    if (session->output_size - used >= extra) return true;
    uint8_t *grown = OPENSSL_realloc(session->output, used + extra);
    if (grown == NULL) return false;
    session->output = grown;
    session->output_size = used + extra;
    return true;
}

static int bio_write(BIO *bio, const char *bytes, size_t offered, size_t *count) {
    struct ctls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    if (session->output_end - session->output_start >= OUTPUT_MAX) {
        BIO_set_retry_write(bio);
        return 0;
    }
    if (!reserve(session, offered)) return 0;
    memcpy(session->output + session->output_end, bytes, offered);
    session->output_end += offered;
    *count = offered;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *ctls_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "session memory");
    if (method == NULL) return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
    return method;
}

// ---- life ----

struct ctls_session *ctls_session_new(struct ctls_context *context) {
    ERR_clear_error();
    struct ctls_session *session = OPENSSL_zalloc(sizeof *session);
    if (session == NULL) return NULL;
    BIO *bio = BIO_new(context->bio);
    session->ssl = SSL_new(context->ssl);
    if (bio == NULL || session->ssl == NULL) {
        BIO_free(bio);
        ctls_session_free(session);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, session);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    if (context->is_server)
        SSL_set_accept_state(session->ssl);
    else
        SSL_set_connect_state(session->ssl);
    return session;
}

void ctls_session_free(struct ctls_session *session) {
    if (session == NULL) return;
    // Otherwise the tickets of a connection that this side did not end first are worth nothing.
    if (session->ssl != NULL && session->last != CTLS_FAILED)
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    for (int i = 0; i < TICKETS_MAX; i++) SSL_SESSION_free(session->tickets[i]);
    OPENSSL_free(session->kept);
    OPENSSL_free(session->output);
    OPENSSL_free(session);
}

bool ctls_session_set_host(
    struct ctls_session *session, const char *ask, const char *check, bool check_is_address) {
    ERR_clear_error();
    bool is_fine = ask == NULL || SSL_set_tlsext_host_name(session->ssl, ask) == 1;
    if (is_fine && check != NULL) {
        // The common name is no host name (RFC 9525, 2).
        SSL_set_hostflags(
            session->ssl,
            X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        X509_VERIFY_PARAM *parameters = SSL_get0_param(session->ssl);
        is_fine = check_is_address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, check) == 1
                                   : SSL_set1_host(session->ssl, check) == 1;
    }
    ERR_clear_error();
    return is_fine;
}

const struct ctls_error *ctls_session_error(const struct ctls_session *session) {
    return &session->error;
}

// ---- steps ----

// The verdict on the peer's certificate is more telling than "certificate verify failed".
static void note_verdict(struct ctls_session *session) {
    long verdict = SSL_get_verify_result(session->ssl);
    bool is_name =
        verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
    ctls_note_text(
        &session->error, is_name ? CTLS_PEER_NAME_WRONG : CTLS_PEER_UNVERIFIED,
        X509_verify_cert_error_string(verdict));
}

static void note_failure(struct ctls_session *session) {
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        note_verdict(session);
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        ctls_note(&session->error, CTLS_PEER_WITHOUT_CERTIFICATE);
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        ctls_note_text(
            &session->error, CTLS_ALERT_RECEIVED,
            SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
        session->error.alert = reason - SSL_AD_REASON_OFFSET;
    } else {
        ctls_note(&session->error, CTLS_PROTOCOL);
    }
}

static enum ctls_status status_of(struct ctls_session *session, int result) {
    if (result > 0) return CTLS_DONE;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ: return CTLS_WANT_INPUT;
    case SSL_ERROR_WANT_WRITE: return CTLS_WANT_ROOM;
    case SSL_ERROR_ZERO_RETURN: return session->last = CTLS_ENDED;
    default: note_failure(session); return session->last = CTLS_FAILED;
    }
}

// Keeps what the call has not read of the caller's bytes.
static bool keep_rest(struct ctls_session *session) {
    if (session->kept_start == session->kept_end && session->kept != NULL) {
        OPENSSL_free(session->kept);
        session->kept = NULL;
        session->kept_start = session->kept_end = 0;
    }
    size_t count = session->lent_count;
    session->lent_count = 0;
    if (count == 0) return true;
    size_t old = session->kept_end - session->kept_start;
    uint8_t *all = OPENSSL_malloc(old + count);
    if (all == NULL) return false;
    if (old > 0) memcpy(all, session->kept + session->kept_start, old);
    memcpy(all + old, session->lent, count);
    OPENSSL_free(session->kept);
    session->kept = all;
    session->kept_start = 0;
    session->kept_end = old + count;
    return true;
}

static void lend(struct ctls_session *session, const void *input, size_t count) {
    session->lent = input;
    session->lent_count = count;
    ERR_clear_error();
}

static enum ctls_status finish(struct ctls_session *session, enum ctls_status status) {
    if (keep_rest(session)) return status;
    ctls_note_text(&session->error, CTLS_NO_MEMORY, "no memory");
    return session->last = CTLS_FAILED;
}

enum ctls_status ctls_session_handshake(
    struct ctls_session *session, const void *input, size_t count) {
    lend(session, input, count);
    if (session->last == CTLS_FAILED) return CTLS_FAILED;
    enum ctls_status status = status_of(session, SSL_do_handshake(session->ssl));
    // What the client sent behind its last message may be in OpenSSL's own buffer already.
    session->may_have_plain = status == CTLS_DONE;
    return finish(session, status);
}

enum ctls_status ctls_session_read(
    struct ctls_session *session, const void *input, size_t count, void *plain, size_t room,
    size_t *filled) {
    lend(session, input, count);
    *filled = 0;
    enum ctls_status status = session->last;
    while (status == CTLS_DONE && *filled < room) {
        size_t got = 0;
        int result = SSL_read_ex(session->ssl, (char *)plain + *filled, room - *filled, &got);
        status = status_of(session, result);
        *filled += got;
    }
    session->may_have_plain = status == CTLS_DONE;
    return finish(session, status);
}

bool ctls_session_has_unread(const struct ctls_session *session) {
    return session->may_have_plain || session->kept_end > session->kept_start
           || session->last != CTLS_DONE;
}

enum ctls_status ctls_session_write(
    struct ctls_session *session, const void *plain, size_t count, size_t *taken) {
    ERR_clear_error();
    *taken = 0;
    if (session->last == CTLS_FAILED) return CTLS_FAILED;
    size_t part = count < RECORD_MAX ? count : RECORD_MAX;
    // Room for all of a large offer at once, instead of growing with each record.
    size_t ahead = count < OUTPUT_MAX ? count : OUTPUT_MAX;
    if (session->output_size == 0) reserve(session, ahead + RECORD_OVERHEAD);
    int result = SSL_write_ex(session->ssl, plain, part, taken);
    if (result > 0) return CTLS_DONE;
    // Only reading can tell that the peer has ended.
    enum ctls_status before = session->last;
    enum ctls_status status = status_of(session, result);
    if (status == CTLS_ENDED) session->last = before;
    return status;
}

bool ctls_session_end(struct ctls_session *session) {
    if (session->last == CTLS_FAILED) return true;
    // Another SSL_shutdown would read, and fail where the peer has more to say.
    if (SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) return true;
    ERR_clear_error();
    if (!SSL_is_init_finished(session->ssl)) {
        // In the middle of a message: goes on with what has come of it.
        enum ctls_status before = session->last;
        enum ctls_status status = status_of(session, SSL_do_handshake(session->ssl));
        if (status == CTLS_WANT_INPUT) return false;
        if (status == CTLS_ENDED) session->last = before;
        if (status == CTLS_DONE) session->may_have_plain = true;
    }
    if (session->last != CTLS_FAILED) SSL_shutdown(session->ssl);
    ERR_clear_error();
    return true;
}

const uint8_t *ctls_session_output(const struct ctls_session *session, size_t *count) {
    *count = session->output_end - session->output_start;
    return session->output + session->output_start;
}

void ctls_session_sent(struct ctls_session *session, size_t count) {
    session->output_start += count;
    if (session->output_start < session->output_end) return;
    OPENSSL_free(session->output);
    session->output = NULL;
    session->output_start = session->output_end = session->output_size = 0;
}

// ---- what was agreed ----

int ctls_session_version(const struct ctls_session *session) {
    return SSL_version(session->ssl) == TLS1_3_VERSION ? 13 : 12;
}

const char *ctls_session_cipher(const struct ctls_session *session) {
    const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);
    return cipher == NULL ? "" : SSL_CIPHER_standard_name(cipher);
}

const uint8_t *ctls_session_protocol(const struct ctls_session *session, size_t *count) {
    const unsigned char *name = NULL;
    unsigned length = 0;
    SSL_get0_alpn_selected(session->ssl, &name, &length);
    *count = length;
    return name;
}

const char *ctls_session_server_name(const struct ctls_session *session) {
    return SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
}

bool ctls_session_is_resumed(const struct ctls_session *session) {
    return SSL_session_reused(session->ssl) == 1;
}

struct ctls_certificate *ctls_session_peer_certificate(const struct ctls_session *session) {
    return (struct ctls_certificate *)SSL_get1_peer_certificate(session->ssl);
}

// ---- tickets ----

// Copies, here and in `ctls_session_resume`: OpenSSL marks the session of a connection that fails,
// and another thread may have the ticket in its hands.
int ctls_keep_ticket(SSL *ssl, SSL_SESSION *shared) {
    struct ctls_session *session = SSL_get_app_data(ssl);
    SSL_SESSION *ticket = SSL_SESSION_dup(shared);
    if (ticket == NULL) return 0;
    if (session->tickets[TICKETS_MAX - 1] != NULL) {
        SSL_SESSION_free(session->tickets[0]);
        for (int i = 1; i < TICKETS_MAX; i++) session->tickets[i - 1] = session->tickets[i];
        session->tickets[TICKETS_MAX - 1] = NULL;
    }
    int place = 0;
    while (session->tickets[place] != NULL) place++;
    session->tickets[place] = ticket;
    return 0;
}

struct ctls_ticket *ctls_session_take_ticket(struct ctls_session *session) {
    SSL_SESSION *first = session->tickets[0];
    for (int i = 1; i < TICKETS_MAX; i++) session->tickets[i - 1] = session->tickets[i];
    session->tickets[TICKETS_MAX - 1] = NULL;
    return (struct ctls_ticket *)first;
}

bool ctls_session_resume(struct ctls_session *session, struct ctls_ticket *ticket) {
    SSL_SESSION *resumed = SSL_SESSION_dup((SSL_SESSION *)ticket);
    bool is_set = resumed != NULL && SSL_SESSION_is_resumable(resumed)
                  && SSL_set_session(session->ssl, resumed) == 1;
    SSL_SESSION_free(resumed);
    ERR_clear_error();
    return is_set;
}

void ctls_ticket_free(struct ctls_ticket *ticket) { SSL_SESSION_free((SSL_SESSION *)ticket); }

bool ctls_ticket_is_single_use(const struct ctls_ticket *ticket) {
    return SSL_SESSION_get_protocol_version((const SSL_SESSION *)ticket) >= TLS1_3_VERSION;
}
