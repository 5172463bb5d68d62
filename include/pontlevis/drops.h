/* SPDX-License-Identifier: BSD-3-Clause */
/* Enumeration of the drop reasons in drops.def, and their names and texts for whoever prints them. */
#ifndef PONTLEVIS_DROPS_H
#define PONTLEVIS_DROPS_H

enum pont_drop {
#define PONT_DROP(stage, name, text) PONT_DROP_##stage##_##name,
#include "pontlevis/drops.def"
#undef PONT_DROP
	PONT_DROP_COUNT
};

struct pont_drop_description {
	const char *stage; /* name of the stage, and of its file in dataplane/ */
	const char *name;  /* "stage.name", the counter's name */
	const char *text;  /* one line for people */
};

/* Describes a drop reason. The result is constant; NULL for a value that is no reason. */
static inline const struct pont_drop_description *pont_drop_describe(unsigned int drop)
{
	static const struct pont_drop_description all[PONT_DROP_COUNT] = {
#define PONT_DROP(stage, name, text) {#stage, #stage "." #name, text},
#include "pontlevis/drops.def"
#undef PONT_DROP
	};

	return drop < PONT_DROP_COUNT ? &all[drop] : (const struct pont_drop_description *)0;
}

#endif
