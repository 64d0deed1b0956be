#include "cupdraft.h"
