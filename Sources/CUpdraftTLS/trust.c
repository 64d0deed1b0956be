// Whose certificates are accepted.

#define _GNU_SOURCE

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "internal.h"

// As OpenSSL asks: who has more rights than its user does not let the user choose.
static const char *setting(const char *variable) {
#ifdef __linux__
    return secure_getenv(variable);
#else
    return issetugid() ? NULL : getenv(variable);
#endif
}

static const char *place(const char *variable, const char *usual) {
    const char *given = setting(variable);
    return given == NULL ? usual : given;
}

// Whether a folder has a certificate under the name by which OpenSSL looks for one: 5ed36f99.0.
static bool has_certificate(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) return false;
    bool is_found = false;
    struct dirent *entry;
    while (!is_found && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        is_found = strspn(name, "0123456789abcdef") == 8 && name[8] == '.';
    }
    closedir(folder);
    return is_found;
}

static bool have_certificate(const char *folders) {
    char *list = OPENSSL_strdup(folders);
    if (list == NULL) return false;
    bool is_found = false;
    char *rest = NULL;
    for (char *each = strtok_r(list, ":", &rest); each != NULL && !is_found;
         each = strtok_r(NULL, ":", &rest))
        is_found = has_certificate(each);
    OPENSSL_free(list);
    return is_found;
}

bool ctls_context_trust_system(struct ctls_context *context, struct ctls_error *error) {
    ERR_clear_error();
    if (SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
        ctls_note(error, CTLS_SETTING_REFUSED);
        return false;
    }
    ERR_clear_error();
    // OpenSSL is content with nothing at all, and refuses every certificate later. The file is read
    // by now, the folder when a certificate is looked for.
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    const char *folders = place(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    if (sk_X509_OBJECT_num(X509_STORE_get0_objects(store)) > 0 || have_certificate(folders))
        return true;
    char text[sizeof error->text];
    BIO_snprintf(
        text, sizeof text, "there is none, neither in %s nor in %s",
        place(X509_get_default_cert_file_env(), X509_get_default_cert_file()), folders);
    ctls_note_text(error, CTLS_SETTING_REFUSED, text);
    return false;
}

bool ctls_context_trust(
    struct ctls_context *context, const struct ctls_source *source, bool hints,
    struct ctls_error *error) {
    ERR_clear_error();
    BIO *file = ctls_open(source, CTLS_CERTIFICATE_UNREADABLE, error);
    if (file == NULL) return false;
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    int count = 0;
    bool is_added = true;
    X509 *each;
    while (is_added && (each = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL)) != NULL) {
        is_added = X509_STORE_add_cert(store, each) == 1
                   && (!hints || SSL_CTX_add_client_CA(context->ssl, each) == 1);
        X509_free(each);
        count++;
    }
    BIO_free(file);
    // The reading ends with "no start line", or with something that is broken.
    if (count == 0 || !is_added || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        ctls_note(error, CTLS_CERTIFICATE_INVALID);
        return false;
    }
    ERR_clear_error();
    return true;
}
