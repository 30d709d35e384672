/*
 * posix-probe: runs scripted system calls and prints what each returned.
 *
 * Standard input holds one command a line: words separated by one space, any byte written as %XX.
 * Each command is answered by one line: `= RESULT [key=value ...]` or `! ERRNO`, so that the answers of
 * two filesystems can be compared as text. The words of every command stand beside its function.
 */
#ifndef POSIX_PROBE_H
#define POSIX_PROBE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 64
#define LINK_MAX_TEXT 4096

typedef struct {
  const char *name;
  int words; /* how many arguments it takes at least */
  void (*run)(char **a);
} command;

extern const command file_commands[], name_commands[], attr_commands[], tree_commands[], process_commands[];
extern int slots[SLOTS]; /* open descriptors by slot number; -1 when free */

/* Answers: exactly one of these ends each command. */
void answer(long long result);                   /* `= r`, or `! ERRNO` when r is -1 */
void answer_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void emit(const char *format, ...) __attribute__((format(printf, 1, 2))); /* part of a line */
void emit_name(const char *bytes, size_t length); /* with %XX */
void end_line(void);

/* Arguments. */
long long number(const char *word);    /* C notation, suffixes K M G T */
long flags_of(const char *word);       /* O_CREAT|O_RDWR, RENAME_EXCHANGE, ..., or a number */
int fd_of(const char *word);           /* descriptor of a slot, or -1 */
struct timespec time_of(const char *); /* now, omit, or SECONDS[.NANOSECONDS] */
void put_slot(const char *word, int fd);

void fill(unsigned char *to, size_t length, long long seed, long long offset);
uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t length);
#define HASH_START 14695981039346656037ULL
void run_line(char *line);
void unmap_all(void);
void close_dirs(void);
void forget_marks(void);

#endif
