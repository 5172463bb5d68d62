/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages inside the channel: what is accepted can be written again and read back as the same message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message message, again;
	char why[MESSAGE_ERROR_SIZE];
	size_t length, length_again;
	char *text, *text_again;

	if (message_decode(data, size, &message, why) < 0) {
		/* A refusal has a reason, and the reason is harmless in a log. */
		if (why[0] == '\0' || !memchr(why, '\0', sizeof(why)))
			abort();
		return 0;
	}
	text = message_encode(&message, &length);
	if (!text || message_decode(text, length, &again, why) < 0)
		abort();
	text_again = message_encode(&again, &length_again);
	if (!text_again || strcmp(text, text_again) != 0)
		abort();
	free(text);
	free(text_again);
	return 0;
}
