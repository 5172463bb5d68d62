/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/pointer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct writer {
	char *text;
	size_t used, size;
	bool full;
};

static void put(struct writer *writer, const char *bytes, size_t length)
{
	if (writer->full || writer->used + length >= writer->size) {
		writer->full = true;
		return;
	}
	memcpy(writer->text + writer->used, bytes, length);
	writer->used += length;
}

/* Bytes of the UTF-8 character at c. */
static size_t character(const char *c)
{
	size_t length = 1;

	while (((unsigned char)c[length] & 0xc0) == 0x80)
		length++;
	return length;
}

static void put_name(struct writer *writer, const char *name)
{
	while (*name != '\0') {
		size_t length = character(name);

		if (*name == '~')
			put(writer, "~0", 2);
		else if (*name == '/')
			put(writer, "~1", 2);
		else
			put(writer, name, length);
		name += length;
	}
}

static void put_steps(struct writer *writer, const struct pointer *pointer)
{
	char number[24];

	if (pointer == NULL)
		return;
	put_steps(writer, pointer->parent);
	put(writer, "/", 1);
	if (pointer->name != NULL) {
		put_name(writer, pointer->name);
	} else {
		(void)snprintf(number, sizeof(number), "%zu", pointer->index);
		put(writer, number, strlen(number));
	}
}

void pointer_text(const struct pointer *pointer, char *text, size_t size)
{
	struct writer writer = {.text = text, .size = size};

	put_steps(&writer, pointer);
	text[writer.used] = '\0';
}
