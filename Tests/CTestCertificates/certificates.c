#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "test_certificates.h"

static EVP_PKEY *make_key(enum tc_key kind) {
    if (kind == TC_EC) return EVP_EC_gen("P-256");
    return EVP_RSA_gen(kind == TC_RSA ? 2048 : 1024);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension != NULL) X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static void set_serial(X509 *certificate) {
    unsigned char bytes[8];
    RAND_bytes(bytes, sizeof bytes);
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
}

static char *text_of(BIO *memory) {
    char *bytes = NULL;
    long count = BIO_get_mem_data(memory, &bytes);
    char *text = strndup(bytes, (size_t)count);
    BIO_free(memory);
    return text;
}

static struct tc_pair pem_of(X509 *certificate, EVP_PKEY *key, const char *password) {
    BIO *first = BIO_new(BIO_s_mem());
    BIO *second = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(first, certificate);
    PEM_write_bio_PKCS8PrivateKey(
        second, key, password == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0, NULL, (void *)password);
    return (struct tc_pair){text_of(first), text_of(second)};
}

static X509 *read_certificate(const char *text) {
    BIO *memory = BIO_new_mem_buf(text, -1);
    X509 *certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL);
    BIO_free(memory);
    return certificate;
}

static EVP_PKEY *read_key(const char *text) {
    BIO *memory = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(memory, NULL, NULL, NULL);
    BIO_free(memory);
    return key;
}

struct tc_pair tc_make(const struct tc_request *request, const struct tc_pair *issuer) {
    struct tc_pair none = {NULL, NULL};
    EVP_PKEY *key = make_key(request->key);
    X509 *certificate = X509_new();
    X509 *above = issuer == NULL ? certificate : read_certificate(issuer->certificate);
    EVP_PKEY *signer = issuer == NULL ? key : read_key(issuer->key);
    if (key == NULL || certificate == NULL || above == NULL || signer == NULL) return none;
    X509_set_version(certificate, 2);
    set_serial(certificate);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 86400L * request->first_day);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * request->last_day);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
        (const unsigned char *)request->common_name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(above));
    add_extension(
        certificate, above, NID_basic_constraints,
        request->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (request->names != NULL)
        add_extension(certificate, above, NID_subject_alt_name, request->names);
    struct tc_pair pair = none;
    if (X509_sign(certificate, signer, EVP_sha256()) > 0)
        pair = pem_of(certificate, key, request->password);
    if (issuer != NULL) {
        X509_free(above);
        EVP_PKEY_free(signer);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pair;
}

void tc_free(struct tc_pair pair) {
    free(pair.certificate);
    free(pair.key);
}
