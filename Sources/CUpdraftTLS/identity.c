#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "internal.h"

BIO *ctls_open(
    const struct ctls_source *source, enum ctls_problem problem, struct ctls_error *error) {
    if (source->path == NULL) {
        BIO *memory = BIO_new_mem_buf(source->bytes, (int)source->count);
        if (memory == NULL) ctls_note(error, CTLS_NO_MEMORY);
        return memory;
    }
    FILE *file = fopen(source->path, "re");
    BIO *bio = NULL;
    if (file == NULL) {
        ctls_note_text(error, problem, strerror(errno));
    } else if ((bio = BIO_new_fp(file, BIO_CLOSE)) == NULL) {
        fclose(file);
        ctls_note(error, CTLS_NO_MEMORY);
    }
    return bio;
}

// ---- identities ----

struct password {
    const char *text;
    bool was_asked_for;
};

// Without it OpenSSL would ask on the terminal.
static int give_password(char *buffer, int size, int is_writing, void *argument) {
    (void)is_writing;
    struct password *password = argument;
    password->was_asked_for = true;
    if (password->text == NULL) return -1;
    size_t count = strlen(password->text);
    if (count > (size_t)size) return -1;
    memcpy(buffer, password->text, count);
    return (int)count;
}

static bool read_certificates(
    struct ctls_identity *identity, const struct ctls_source *source, struct ctls_error *error) {
    BIO *file = ctls_open(source, CTLS_CERTIFICATE_UNREADABLE, error);
    if (file == NULL) return false;
    identity->leaf = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL);
    identity->chain = sk_X509_new_null();
    bool is_fine = identity->leaf != NULL && identity->chain != NULL;
    X509 *each;
    while (is_fine && (each = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
        is_fine = sk_X509_push(identity->chain, each) > 0;
        if (!is_fine) X509_free(each);
    }
    BIO_free(file);
    if (is_fine && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return true;
    }
    ctls_note(error, CTLS_CERTIFICATE_INVALID);
    return false;
}

static bool read_key(
    struct ctls_identity *identity, const struct ctls_source *source, const char *text,
    struct ctls_error *error) {
    BIO *file = ctls_open(source, CTLS_KEY_UNREADABLE, error);
    if (file == NULL) return false;
    struct password password = {text, false};
    identity->key = PEM_read_bio_PrivateKey(file, NULL, give_password, &password);
    BIO_free(file);
    if (identity->key != NULL) {
        ERR_clear_error();
        return true;
    }
    enum ctls_problem problem = CTLS_KEY_INVALID;
    if (password.was_asked_for)
        problem = text == NULL ? CTLS_PASSWORD_MISSING : CTLS_PASSWORD_WRONG;
    ctls_note(error, problem);
    return false;
}

static bool check_dates(struct ctls_identity *identity, struct ctls_error *error) {
    if (X509_cmp_current_time(X509_get0_notAfter(identity->leaf)) < 0) {
        ctls_note_text(error, CTLS_CERTIFICATE_EXPIRED, "certificate has expired");
        return false;
    }
    if (X509_cmp_current_time(X509_get0_notBefore(identity->leaf)) > 0) {
        ctls_note_text(error, CTLS_CERTIFICATE_NOT_YET_VALID, "certificate is not yet valid");
        return false;
    }
    return true;
}

struct ctls_identity *ctls_identity_new(
    const struct ctls_source *certificate, const struct ctls_source *key, const char *password,
    bool accepts_expired, struct ctls_error *error) {
    ERR_clear_error();
    struct ctls_identity *identity = OPENSSL_zalloc(sizeof *identity);
    if (identity == NULL) {
        ctls_note(error, CTLS_NO_MEMORY);
        return NULL;
    }
    identity->references = 1;
    bool is_fine = read_certificates(identity, certificate, error)
                   && read_key(identity, key, password, error);
    if (is_fine && X509_check_private_key(identity->leaf, identity->key) != 1) {
        ctls_note(error, CTLS_KEY_MISMATCH);
        is_fine = false;
    }
    if (is_fine && !accepts_expired) is_fine = check_dates(identity, error);
    if (is_fine) return identity;
    ctls_identity_free(identity);
    return NULL;
}

void ctls_identity_free(struct ctls_identity *identity) {
    if (identity == NULL || --identity->references > 0) return;
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    OPENSSL_free(identity);
}

struct ctls_certificate *ctls_identity_certificate(struct ctls_identity *identity) {
    return (struct ctls_certificate *)identity->leaf;
}

// ---- what a certificate says ----

static X509 *x509(const struct ctls_certificate *certificate) { return (X509 *)certificate; }

void ctls_certificate_free(struct ctls_certificate *certificate) { X509_free(x509(certificate)); }

uint8_t *ctls_certificate_der(const struct ctls_certificate *certificate, size_t *count) {
    unsigned char *der = NULL;
    int result = i2d_X509(x509(certificate), &der);
    *count = result < 0 ? 0 : (size_t)result;
    ERR_clear_error();
    return der;
}

static char *name_text(const X509_NAME *name) {
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    char *bytes = NULL;
    if (memory != NULL && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) >= 0) {
        long count = BIO_get_mem_data(memory, &bytes);
        text = count < 0 ? NULL : OPENSSL_strndup(bytes == NULL ? "" : bytes, (size_t)count);
    }
    BIO_free(memory);
    ERR_clear_error();
    return text;
}

char *ctls_certificate_subject(const struct ctls_certificate *certificate) {
    return name_text(X509_get_subject_name(x509(certificate)));
}

char *ctls_certificate_issuer(const struct ctls_certificate *certificate) {
    return name_text(X509_get_issuer_name(x509(certificate)));
}

char *ctls_certificate_serial(const struct ctls_certificate *certificate) {
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509(certificate)), NULL);
    char *text = number == NULL ? NULL : BN_bn2hex(number);
    BN_free(number);
    ERR_clear_error();
    return text;
}

static int64_t seconds(const ASN1_TIME *time) {
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0;
    int64_t result = 0;
    if (epoch != NULL && ASN1_TIME_diff(&days, &rest, epoch, time) == 1)
        result = (int64_t)days * 86400 + rest;
    ASN1_TIME_free(epoch);
    ERR_clear_error();
    return result;
}

int64_t ctls_certificate_begin(const struct ctls_certificate *certificate) {
    return seconds(X509_get0_notBefore(x509(certificate)));
}

int64_t ctls_certificate_end(const struct ctls_certificate *certificate) {
    return seconds(X509_get0_notAfter(x509(certificate)));
}

static enum ctls_name address_text(const ASN1_OCTET_STRING *address, char *text, size_t size) {
    const unsigned char *bytes = ASN1_STRING_get0_data(address);
    int count = ASN1_STRING_length(address);
    if (count == 4) {
        BIO_snprintf(text, size, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
        return CTLS_NAME_IP;
    }
    if (count != 16) return CTLS_NAME_OTHER;
    size_t used = 0;
    for (int i = 0; i < 16 && used + 6 < size; i += 2) {
        int printed = BIO_snprintf(
            text + used, size - used, i == 0 ? "%x" : ":%x", bytes[i] << 8 | bytes[i + 1]);
        used += printed < 0 ? 0 : (size_t)printed;
    }
    return CTLS_NAME_IP;
}

static enum ctls_name name_of(const GENERAL_NAME *name, char *text, size_t size) {
    if (name->type == GEN_IPADD) return address_text(name->d.iPAddress, text, size);
    if (name->type != GEN_DNS) return CTLS_NAME_OTHER;
    const char *bytes = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    int count = ASN1_STRING_length(name->d.dNSName);
    // A zero inside a name is an old trick: it would end the name for some readers only.
    if (count < 0 || (size_t)count >= size || memchr(bytes, 0, (size_t)count) != NULL)
        return CTLS_NAME_OTHER;
    memcpy(text, bytes, (size_t)count);
    text[count] = 0;
    return CTLS_NAME_DNS;
}

struct ctls_names *ctls_certificate_names(const struct ctls_certificate *certificate) {
    GENERAL_NAMES *names = X509_get_ext_d2i(x509(certificate), NID_subject_alt_name, NULL, NULL);
    ERR_clear_error();
    return (struct ctls_names *)names;
}

enum ctls_name ctls_names_at(const struct ctls_names *names, int index, char *text, size_t size) {
    const GENERAL_NAMES *all = (const GENERAL_NAMES *)names;
    if (all == NULL || index >= sk_GENERAL_NAME_num(all)) return CTLS_NAME_NONE;
    return name_of(sk_GENERAL_NAME_value(all, index), text, size);
}

void ctls_names_free(struct ctls_names *names) { GENERAL_NAMES_free((GENERAL_NAMES *)names); }
