// For tests only: certificates and keys, made anew in each run.

#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

#include <stdbool.h>

enum tc_key { TC_EC, TC_RSA, TC_RSA_SHORT };

struct tc_request {
    const char *common_name;
    // As in "DNS:a.example,IP:127.0.0.1"; null for none.
    const char *names;
    // When it begins and ends, in days from now.
    int first_day, last_day;
    bool is_authority;
    enum tc_key key;
    // Encrypts the key; null leaves it plain.
    const char *password;
};

// PEM texts, to be freed with `tc_free`; null after a failure.
struct tc_pair {
    char *certificate;
    char *key;
};

// Signed by `issuer`, or by itself if that is null.
struct tc_pair tc_make(const struct tc_request *request, const struct tc_pair *issuer);
void tc_free(struct tc_pair pair);

#endif
