#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

// PCRE2_UNSET is a cast, which Swift does not see; offsets are checked against it.
static const size_t cpcre2_unset = PCRE2_UNSET;
