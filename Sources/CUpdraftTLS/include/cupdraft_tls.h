// What UpdraftTLS needs of OpenSSL 3, without its macros, and without its headers for the importer.
//
// Nothing here does I/O: a session takes bytes that came and holds bytes that are to be sent.
// A context may be used by many threads once it is set up; a session belongs to one thread.

#ifndef CUPDRAFT_TLS_H
#define CUPDRAFT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctls_context;
struct ctls_session;
struct ctls_identity;
struct ctls_certificate;
struct ctls_names;
struct ctls_ticket;

enum ctls_problem {
    CTLS_FINE = 0,
    CTLS_NO_MEMORY,
    CTLS_CERTIFICATE_UNREADABLE,
    CTLS_CERTIFICATE_INVALID,
    CTLS_KEY_UNREADABLE,
    CTLS_KEY_INVALID,
    CTLS_KEY_MISMATCH,
    CTLS_PASSWORD_MISSING,
    CTLS_PASSWORD_WRONG,
    CTLS_CERTIFICATE_EXPIRED,
    CTLS_CERTIFICATE_NOT_YET_VALID,
    CTLS_SETTING_REFUSED,
    CTLS_PROTOCOL,
    CTLS_PEER_UNVERIFIED,
    CTLS_PEER_NAME_WRONG,
    CTLS_PEER_WITHOUT_CERTIFICATE,
    CTLS_ALERT_RECEIVED,
};

// What went wrong, with OpenSSL's own text for it.
struct ctls_error {
    enum ctls_problem problem;
    // The alert's number after CTLS_ALERT_RECEIVED.
    int alert;
    char text[200];
};

// PEM text: of a file if `path` is set, else `count` bytes.
struct ctls_source {
    const char *path;
    const void *bytes;
    size_t count;
};

// ---- contexts ----

struct ctls_context *ctls_context_new(bool is_server, struct ctls_error *error);
void ctls_context_free(struct ctls_context *context);

// Versions are 12 and 13. Lists are OpenSSL's, separated by colons. False: see `error`.
bool ctls_context_set_versions(
    struct ctls_context *context, int least, int most, struct ctls_error *error);
bool ctls_context_set_ciphers(
    struct ctls_context *context, const char *tls12, const char *tls13, struct ctls_error *error);
bool ctls_context_set_groups(
    struct ctls_context *context, const char *groups, struct ctls_error *error);

// Names in the order of preference, each with its length in one byte before it (RFC 7301).
bool ctls_context_set_protocols(
    struct ctls_context *context, const uint8_t *names, size_t count, struct ctls_error *error);

// Whom to trust. A system that trusts nobody is an error. `hints` also names the certificates to
// clients that are asked for theirs.
bool ctls_context_trust_system(struct ctls_context *context, struct ctls_error *error);
bool ctls_context_trust(
    struct ctls_context *context, const struct ctls_source *source, bool hints,
    struct ctls_error *error);

enum ctls_verify { CTLS_VERIFY_NONE, CTLS_VERIFY_IF_GIVEN, CTLS_VERIFY_REQUIRED };
void ctls_context_set_verify(struct ctls_context *context, enum ctls_verify verify);

// Servers: whether tickets are given. Clients: whether they are kept.
void ctls_context_set_resumption(struct ctls_context *context, bool is_on);

// The context takes its own references. The first identity is that of unknown names.
bool ctls_context_add_identity(
    struct ctls_context *context, struct ctls_identity *identity, struct ctls_error *error);

// ---- certificates and keys ----

// A certificate, its chain and its key. `password` may be null; nobody is ever asked for one.
struct ctls_identity *ctls_identity_new(
    const struct ctls_source *certificate, const struct ctls_source *key, const char *password,
    bool accepts_expired, struct ctls_error *error);
void ctls_identity_free(struct ctls_identity *identity);
// Borrowed.
struct ctls_certificate *ctls_identity_certificate(struct ctls_identity *identity);

void ctls_certificate_free(struct ctls_certificate *certificate);
// To be freed with `ctls_free`; null without memory.
uint8_t *ctls_certificate_der(const struct ctls_certificate *certificate, size_t *count);
char *ctls_certificate_subject(const struct ctls_certificate *certificate);
char *ctls_certificate_issuer(const struct ctls_certificate *certificate);
char *ctls_certificate_serial(const struct ctls_certificate *certificate);
// Seconds since 1970.
int64_t ctls_certificate_begin(const struct ctls_certificate *certificate);
int64_t ctls_certificate_end(const struct ctls_certificate *certificate);
// The alternative names, decoded; to be freed. Null if there are none.
struct ctls_names *ctls_certificate_names(const struct ctls_certificate *certificate);
void ctls_names_free(struct ctls_names *names);
enum ctls_name { CTLS_NAME_NONE, CTLS_NAME_DNS, CTLS_NAME_IP, CTLS_NAME_OTHER };
// The name at `index`, and its kind; CTLS_NAME_NONE past the last.
enum ctls_name ctls_names_at(const struct ctls_names *names, int index, char *text, size_t size);
void ctls_free(void *memory);

// ---- sessions ----

enum ctls_status {
    CTLS_DONE,
    // More bytes from the peer are needed.
    CTLS_WANT_INPUT,
    // What is to be sent must become less first.
    CTLS_WANT_ROOM,
    // The peer has ended its direction with close_notify.
    CTLS_ENDED,
    // See `ctls_session_error`. An alert for the peer may be waiting to be sent.
    CTLS_FAILED,
};

struct ctls_session *ctls_session_new(struct ctls_context *context);
void ctls_session_free(struct ctls_session *session);
// Clients: the name to ask for (null for none), and the name or address to check (null for none).
bool ctls_session_set_host(
    struct ctls_session *session, const char *ask, const char *check, bool check_is_address);
const struct ctls_error *ctls_session_error(const struct ctls_session *session);

// `input` is what came from the peer since the last call. It is read in full or kept.
enum ctls_status ctls_session_handshake(
    struct ctls_session *session, const void *input, size_t count);
// Decrypts until `room` is full (CTLS_DONE) or something else is to be said.
enum ctls_status ctls_session_read(
    struct ctls_session *session, const void *input, size_t count, void *plain, size_t room,
    size_t *filled);
// Whether `ctls_session_read` may have something without new input.
bool ctls_session_has_unread(const struct ctls_session *session);
// Encrypts at most one record. After CTLS_WANT_ROOM the same bytes must be given again.
enum ctls_status ctls_session_write(
    struct ctls_session *session, const void *plain, size_t count, size_t *taken);
// Puts close_notify behind what is to be sent. False if it has to wait for input: in the middle of
// a message of TLS itself nothing can be said. Given up after a failure, and where a peer that reads
// nothing makes OpenSSL answer and answer.
bool ctls_session_end(struct ctls_session *session);

// What is to be sent; valid until the next call with the session.
const uint8_t *ctls_session_output(const struct ctls_session *session, size_t *count);
void ctls_session_sent(struct ctls_session *session, size_t count);

// ---- what was agreed ----

int ctls_session_version(const struct ctls_session *session);
const char *ctls_session_cipher(const struct ctls_session *session);
// Not terminated by zero; null if none was agreed.
const uint8_t *ctls_session_protocol(const struct ctls_session *session, size_t *count);
const char *ctls_session_server_name(const struct ctls_session *session);
bool ctls_session_is_resumed(const struct ctls_session *session);
// To be freed; null if the peer gave none.
struct ctls_certificate *ctls_session_peer_certificate(const struct ctls_session *session);

// A ticket that has come, oldest first, or null. The caller's to free or to use.
struct ctls_ticket *ctls_session_take_ticket(struct ctls_session *session);
bool ctls_session_resume(struct ctls_session *session, struct ctls_ticket *ticket);
void ctls_ticket_free(struct ctls_ticket *ticket);
// Whether it should be used for one connection only (TLS 1.3).
bool ctls_ticket_is_single_use(const struct ctls_ticket *ticket);

// OpenSSL's version, as in "OpenSSL 3.0.19 27 Jan 2026".
const char *ctls_library(void);

#endif
