/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/screen.h"

#include <string.h>

#include "control/cli/messages.h"

enum { BROKEN_MAX = 3 }; /* lines of the screen for one of a text: its end helps less than the next one's beginning */

/* Bytes of the escape sequence or character at text. *columns: places it takes. */
static size_t step(const char *text, size_t length, size_t *columns)
{
	size_t bytes = 1;

	*columns = text[0] != '\033';
	if (text[0] == '\033') {
		while (bytes < length && text[bytes - 1] != 'm')
			bytes++;
	} else {
		while (bytes < length && ((unsigned char)text[bytes] & 0xc0) == 0x80)
			bytes++;
	}
	return bytes;
}

size_t screen_width(const char *line, size_t length)
{
	size_t width = 0, columns;

	for (size_t i = 0; i < length; width += columns)
		i += step(line + i, length - i, &columns);
	return width;
}

void screen_put(FILE *out, const char *line, size_t length, size_t columns)
{
	size_t used = 0, taken;

	for (size_t i = 0; i < length;) {
		size_t bytes = step(line + i, length - i, &taken);

		used += taken;
		/* Behind the cut, colours still end where they would. */
		if (taken == 0 || used <= columns)
			(void)fwrite(line + i, 1, bytes, out);
		i += bytes;
	}
}

/* Lines of the screen for a line of the text. */
static size_t lines_of(const char *line, size_t length)
{
	size_t width = screen_width(line, length);

	if (width > (size_t)BROKEN_MAX * SCREEN_COLUMNS)
		return BROKEN_MAX;
	return width ? (width + SCREEN_COLUMNS - 1) / SCREEN_COLUMNS : 1;
}

static size_t count(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/* How many lines of the text fit; *taken: lines of the screen for them. */
static size_t how_many(const char *text, size_t room, size_t *taken)
{
	size_t fitting = 0;

	for (*taken = 0; *text; fitting++) {
		size_t length = strcspn(text, "\n"), lines = lines_of(text, length);

		if (*taken + lines > room)
			break;
		*taken += lines;
		text += length + 1;
	}
	return fitting;
}

/* Prints a line of the text, cut at what lines_of() counts. */
static void put_whole(FILE *out, const char *line, size_t length)
{
	static const char cut[] = "...";
	size_t most = (size_t)BROKEN_MAX * SCREEN_COLUMNS;

	if (screen_width(line, length) > most) {
		screen_put(out, line, length, most - strlen(cut));
		(void)fputs(cut, out);
	} else {
		(void)fwrite(line, 1, length, out);
	}
	(void)fputc('\n', out);
}

size_t screen_fit(FILE *out, const char *text, size_t head, size_t room, const char *where)
{
	size_t taken, all = count(text), fitting = how_many(text, room, &taken), more;

	if (fitting < all)
		fitting = how_many(text, room ? room - 1 : 0, &taken);
	if (fitting <= head) {
		fitting = taken = 0;
		all -= all < head ? all : head;
	}
	if (all == 0 || (fitting == 0 && room == 0))
		return 0;
	more = all - fitting;
	for (; fitting; fitting--) {
		size_t length = strcspn(text, "\n");

		put_whole(out, text, length);
		text += length + 1;
	}
	if (more == 0)
		return taken;
	(void)fprintf(out, ngettext("... and %zu more: %s", "... and %zu more: %s", more), more, where);
	(void)fputc('\n', out);
	return taken + 1;
}
