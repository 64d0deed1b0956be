// Names of addresses. dladdr knows exported functions only, and most of a program's own are not;
// those stand in the symbol table of the file, which is read here (unless the program is stripped).
#define _GNU_SOURCE
#include "cu_stall.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__ELF__)
#include <elf.h>
#include <link.h>
#if !defined(ElfW)
#define ElfW(type) Elf_##type
#endif
#endif

// Exported by the standard library.
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *size,
                            uint32_t flags) __attribute__((weak));

static void set_name(struct cu_symbol *out, const char *name) {
    char *demangled = swift_demangle ? swift_demangle(name, strlen(name), NULL, NULL, 0) : NULL;
    strncpy(out->name, demangled ? demangled : name, sizeof out->name - 1);
    free(demangled);
}

#if defined(__ELF__)
static bool is_within(uint64_t offset, uint64_t length, uint64_t size) {
    return offset <= size && length <= size - offset;
}

// Looks for the function around `value` in a mapped file; false if there is none.
static bool search(const uint8_t *file, uint64_t size, uint64_t value, struct cu_symbol *out) {
    const ElfW(Ehdr) *header = (const void *)file;
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_shentsize != sizeof(ElfW(Shdr)) ||
        !is_within(header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr)), size))
        return false;
    const ElfW(Shdr) *sections = (const void *)(file + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        const ElfW(Shdr) *table = &sections[i];
        if (table->sh_type != SHT_SYMTAB || table->sh_link >= header->e_shnum ||
            !is_within(table->sh_offset, table->sh_size, size))
            continue;
        const ElfW(Shdr) *strings = &sections[table->sh_link];
        if (!is_within(strings->sh_offset, strings->sh_size, size) || strings->sh_size == 0)
            continue;
        const char *names = (const char *)(file + strings->sh_offset);
        if (names[strings->sh_size - 1] != 0) continue;
        const ElfW(Sym) *symbols = (const void *)(file + table->sh_offset);
        for (uint64_t k = 0; k < table->sh_size / sizeof *symbols; k++) {
            const ElfW(Sym) *symbol = &symbols[k];
            // The type has the same place in the word in both classes.
            if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || value < symbol->st_value ||
                value - symbol->st_value >= symbol->st_size || symbol->st_name >= strings->sh_size)
                continue;
            set_name(out, names + symbol->st_name);
            out->offset = value - symbol->st_value;
            return true;
        }
    }
    return false;
}

static void search_file(const char *path, uint64_t value, struct cu_symbol *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_size > 0) {
        size_t size = (size_t)status.st_size;
        void *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED) {
            search(file, size, value, out);
            munmap(file, size);
        }
    }
    close(fd);
}

// The program or library that an address is in, and how far it lies from where its file says.
struct place {
    uint64_t address, shift;
    bool is_known, is_program;
};

static int look_in(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    struct place *place = context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD ||
            place->address - object->dlpi_addr - part->p_vaddr >= part->p_memsz)
            continue;
        place->shift = object->dlpi_addr;
        place->is_known = true;
        // The C library of Linux has no name for it.
        place->is_program = object->dlpi_name == NULL || object->dlpi_name[0] == 0;
        return 1;
    }
    return 0;
}
#endif

void cu_symbolise(uint64_t address, struct cu_symbol *out) {
    memset(out, 0, sizeof *out);
    Dl_info info = {0};
    if (!dladdr((void *)(uintptr_t)address, &info)) return;
    const char *path = info.dli_fname ? info.dli_fname : "";
    const char *slash = strrchr(path, '/');
    strncpy(out->module, slash ? slash + 1 : path, sizeof out->module - 1);
    out->offset = address - (uint64_t)(uintptr_t)info.dli_fbase;
    if (info.dli_sname) {
        set_name(out, info.dli_sname);
        out->offset = address - (uint64_t)(uintptr_t)info.dli_saddr;
        return;
    }
#if defined(__ELF__)
    struct place place = {.address = address};
    dl_iterate_phdr(look_in, &place);
    if (place.is_known)
        search_file(place.is_program ? "/proc/self/exe" : path, address - place.shift, out);
#endif
}
