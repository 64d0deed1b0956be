#if !__has_include(<pcre2.h>)
#error "The trait Regex needs the headers of PCRE2; on Debian and its relatives: apt-get install libpcre2-dev"
#endif

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

// PCRE2_UNSET is a cast, which Swift does not see; offsets are checked against it.
static const size_t cpcre2_unset = PCRE2_UNSET;
