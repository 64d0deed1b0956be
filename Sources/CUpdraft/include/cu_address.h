// The address of a socket.
#pragma once

#include <sys/socket.h>

struct cu_address {
    struct sockaddr_storage storage;
    socklen_t length;
};
