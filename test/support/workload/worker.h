#ifndef WORKER_H
#define WORKER_H

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX 64
/*
 * Contents consist of cells that say whose they are and where they belong, so that a reader can tell a whole
 * content from a mixture: `VALUE` (15 digits), a blank, the cell's index (15 digits), a line feed.
 */
#define CELL 32
#define CONTENT_MAX (16 << 20)
#define RESULT_MAX (1 << 20)

typedef struct {
  const char *name;
  int words;
  int (*run)(char **words); /* -1 with errno for a failure; what it found goes to `result` */
} operation;

extern const operation operations[];
extern char result[RESULT_MAX];
extern const char *root;

int kept_fd(const char *name, int flags);
void drop(const char *name);

#endif
